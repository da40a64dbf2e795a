//! The configured names that no channel is known by: each is asked for once, and told when it leads nowhere. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::driver::Failure;
use crate::status::UnresolvedName;

/// Waits before a name is asked for again that could not be asked for: this, doubled each time.
const RETRY_MIN: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// What was told of a name that is not asked for yet.
const NOT_ASKED: &str = "not asked for yet";

#[derive(Debug)]
enum State {
    /// To be asked for, from then on.
    Due(Instant),
    /// On its way.
    Asked,
    /// It leads nowhere. Only a restart asks again.
    Over,
}

#[derive(Debug)]
struct Name {
    state: State,
    failures: u32,
    reason: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Name>);

impl Names {
    /// These names, without `@`.
    pub(super) fn new(names: impl IntoIterator<Item = String>, now: Instant) -> Names {
        let names = names.into_iter().map(|name| {
            let fresh = Name {
                state: State::Due(now),
                failures: 0,
                reason: NOT_ASKED.to_owned(),
            };
            (name, fresh)
        });
        Names(names.collect())
    }

    /// Whether a channel is known by every name.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets the names that a channel is known by now.
    pub(super) fn forget(&mut self, is_known: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| !is_known(name));
    }

    /// The next name to ask for; one at a time.
    pub(super) fn next(&mut self, now: Instant) -> Option<String> {
        if self.is_asking() {
            return None;
        }
        let mut due = self.0.iter_mut();
        let (name, it) = due.find(|(_, it)| matches!(it.state, State::Due(at) if at <= now))?;
        it.state = State::Asked;
        Some(name.clone())
    }

    /// When [`Names::next`] may have one, if nothing comes in before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.is_asking() {
            return None;
        }
        let due = self.0.values().filter_map(|it| match it.state {
            State::Due(at) => Some(at),
            _ => None,
        });
        due.min()
    }

    /// Whoever was asked has gone: what is on its way never comes.
    pub(super) fn interrupted(&mut self, now: Instant) {
        for it in self.0.values_mut() {
            if matches!(it.state, State::Asked) {
                it.state = State::Due(now);
            }
        }
    }

    /// The name leads to nothing that could be mirrored.
    pub(super) fn leads_nowhere(&mut self, name: &str, why: &str) {
        if let Some(it) = self.0.get_mut(name) {
            (it.state, it.reason) = (State::Over, why.to_owned());
        }
    }

    /// It could not be asked for; whether that is its end.
    pub(super) fn failed(
        &mut self,
        name: &str,
        failure: &Failure,
        why: &str,
        now: Instant,
    ) -> bool {
        let Some(it) = self.0.get_mut(name) else {
            return false;
        };
        it.reason = why.to_owned();
        let doubled = RETRY_MIN * 2_u32.saturating_pow(it.failures.min(8));
        let wait = match failure {
            Failure::Wait(wait) => *wait,
            Failure::Temporary => doubled.min(RETRY_MAX),
            _ => {
                it.state = State::Over;
                return true;
            }
        };
        it.failures = it.failures.saturating_add(1);
        it.state = State::Due(now + wait);
        false
    }

    /// As `status` shows them.
    pub(super) fn report(&self) -> Vec<UnresolvedName> {
        let names = self.0.iter().map(|(name, it)| UnresolvedName {
            name: format!("@{name}"),
            reason: it.reason.clone(),
        });
        names.collect()
    }

    fn is_asking(&self) -> bool {
        let mut states = self.0.values().map(|it| &it.state);
        states.any(|state| matches!(state, State::Asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str], now: Instant) -> Names {
        Names::new(names.iter().map(|it| (*it).to_owned()), now)
    }

    #[test]
    fn each_is_asked_for_once_and_one_at_a_time() {
        let now = Instant::now();
        let mut names = names(&["a", "b"], now);
        assert_eq!(names.next(now).as_deref(), Some("a"));
        assert_eq!((names.next(now), names.deadline()), (None, None));
        names.forget(|name| name == "a");
        assert_eq!(names.next(now).as_deref(), Some("b"));
        assert!(names.failed("b", &Failure::Refused, "nobody has it", now));
        assert_eq!((names.next(now), names.deadline()), (None, None));
        let [told] = &names.report()[..] else {
            panic!("only b is unknown")
        };
        assert_eq!((&*told.name, &*told.reason), ("@b", "nobody has it"));
    }

    #[test]
    fn what_could_not_be_asked_waits_longer_each_time() {
        let start = Instant::now();
        let mut names = names(&["a"], start);
        let mut now = start;
        for minutes in [0.5, 1.0, 2.0, 4.0] {
            assert_eq!(names.next(now).as_deref(), Some("a"));
            assert!(!names.failed("a", &Failure::Temporary, "no line", now));
            let due = now + Duration::from_secs_f64(minutes * 60.0);
            assert_eq!(names.deadline(), Some(due));
            now = due;
        }
        let wait = Duration::from_secs(7200);
        assert_eq!(names.next(now).as_deref(), Some("a"));
        names.failed("a", &Failure::Wait(wait), "a flood", now);
        assert_eq!(names.deadline(), Some(now + wait), "to the second");
    }

    #[test]
    fn a_question_that_was_lost_comes_again() {
        let now = Instant::now();
        let mut names = names(&["a"], now);
        names.next(now);
        names.interrupted(now);
        assert_eq!(names.next(now).as_deref(), Some("a"));
    }
}

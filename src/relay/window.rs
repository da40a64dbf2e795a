//! What was published and is not confirmed yet. Pure.

use std::collections::VecDeque;

/// Publications in flight, oldest first, each covering the numbers up to its `last`. Confirms may come in any order;
/// the cursor moves over the contiguous confirmed prefix only. What the broker refused is published again in place.
#[derive(Debug, Clone)]
pub struct Window<T> {
    entries: VecDeque<Entry<T>>,
    /// Name of the oldest entry; names are counted on from it.
    oldest: u64,
    prefix: u64,
    max: usize,
}

#[derive(Debug, Clone)]
struct Entry<T> {
    first: u64,
    last: u64,
    state: State,
    note: T,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sent,
    Confirmed,
    Refused,
}

/// A publication that has to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// Its name.
    pub name: u64,
    /// Its first number.
    pub first: u64,
    /// Its last number.
    pub last: u64,
}

impl<T> Window<T> {
    /// Everything up to `prefix` is confirmed; at most `max` publications may be in flight.
    pub fn new(prefix: u64, max: usize) -> Window<T> {
        Window {
            entries: VecDeque::new(),
            oldest: 1,
            prefix,
            max: max.max(1),
        }
    }

    /// How many more publications may leave.
    pub fn room(&self) -> usize {
        self.max - self.entries.len().min(self.max)
    }

    /// Everything up to here is confirmed.
    pub fn prefix(&self) -> u64 {
        self.prefix
    }

    /// The last number that was published.
    pub fn last(&self) -> u64 {
        self.entries.back().map_or(self.prefix, |entry| entry.last)
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Notes a publication of everything after [`last`](Self::last) up to `upto`, and names it. One that covers
    /// nothing (a marker) is in flight like any other.
    pub fn sent(&mut self, upto: u64, note: T) -> u64 {
        let first = self.last() + 1;
        self.entries.push_back(Entry {
            first,
            last: upto.max(first - 1),
            state: State::Sent,
            note,
        });
        self.oldest + self.entries.len() as u64 - 1
    }

    /// There is nothing to publish between [`last`](Self::last) and `upto`: the numbers lie in a hole of the log. In
    /// flight like a publication that is confirmed already.
    pub fn skip(&mut self, upto: u64, note: T) -> Vec<T> {
        if upto <= self.last() {
            return Vec::new();
        }
        let name = self.sent(upto, note);
        self.confirmed(name)
    }

    /// A confirm came; returns the notes of what the prefix moved over, oldest first.
    pub fn confirmed(&mut self, name: u64) -> Vec<T> {
        self.mark(name, State::Confirmed);
        let mut passed = Vec::new();
        while let Some(entry) = self.entries.pop_front_if(|it| it.state == State::Confirmed) {
            self.oldest += 1;
            self.prefix = self.prefix.max(entry.last);
            passed.push(entry.note);
        }
        passed
    }

    /// The broker did not take it. A marker is not worth another try.
    pub fn refused(&mut self, name: u64) -> Vec<T> {
        match self.get(name) {
            Some(entry) if entry.last < entry.first => self.confirmed(name),
            _ => {
                self.mark(name, State::Refused);
                Vec::new()
            }
        }
    }

    /// The oldest publication that was refused.
    pub fn again(&self) -> Option<Again> {
        let at = self
            .entries
            .iter()
            .position(|entry| entry.state == State::Refused)?;
        let entry = &self.entries[at];
        Some(Again {
            name: self.oldest + at as u64,
            first: entry.first,
            last: entry.last,
        })
    }

    /// It was published again.
    pub fn sent_again(&mut self, name: u64) {
        self.mark(name, State::Sent);
    }

    /// The connection is gone, and nobody knows what became of what was in flight: all of it has to leave again.
    pub fn forget(&mut self) {
        self.oldest += self.entries.len() as u64;
        self.entries.clear();
    }

    /// A publication that counts as confirmed was lost after all: everything from `first` on has to leave again.
    pub fn lost(&mut self, first: u64) {
        self.forget();
        self.prefix = self.prefix.min(first.saturating_sub(1));
    }

    fn get(&self, name: u64) -> Option<&Entry<T>> {
        let at = usize::try_from(name.checked_sub(self.oldest)?).ok()?;
        self.entries.get(at)
    }

    /// Names of forgotten publications are ignored.
    fn mark(&mut self, name: u64, state: State) {
        let at = name
            .checked_sub(self.oldest)
            .and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
            entry.state = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_prefix_waits_for_the_oldest() {
        let mut window = Window::new(10, 3);
        let (a, b, c) = (
            window.sent(12, 'a'),
            window.sent(13, 'b'),
            window.sent(20, 'c'),
        );
        assert_eq!((window.room(), window.last()), (0, 20));
        assert!(window.confirmed(c).is_empty());
        assert!(window.refused(b).is_empty());
        assert_eq!(window.confirmed(a), ['a']);
        assert_eq!(window.prefix(), 12);
        assert_eq!(
            window.again(),
            Some(Again {
                name: b,
                first: 13,
                last: 13
            })
        );
        window.sent_again(b);
        assert_eq!(window.again(), None);
        assert_eq!(window.confirmed(b), ['b', 'c']);
        assert_eq!((window.prefix(), window.is_empty()), (20, true));
    }

    #[test]
    fn a_marker_is_never_published_again_and_moves_nothing() {
        let mut window = Window::new(5, 4);
        let marker = window.sent(5, ());
        assert_eq!(window.refused(marker).len(), 1);
        assert_eq!(
            (window.prefix(), window.last(), window.again()),
            (5, 5, None)
        );
    }

    #[test]
    fn a_late_return_takes_the_cursor_back() {
        let mut window = Window::new(0, 4);
        let a = window.sent(10, ());
        window.confirmed(a);
        window.sent(20, ());
        window.lost(4);
        assert_eq!((window.prefix(), window.last()), (3, 3));
        assert!(window.confirmed(a).is_empty());
        assert_eq!(window.prefix(), 3);
    }

    #[test]
    fn a_hole_is_passed_behind_what_is_in_flight() {
        let mut window = Window::new(5, 2);
        let a = window.sent(7, 'a');
        assert!(window.skip(1_000, '-').is_empty(), "a is in flight");
        assert_eq!(
            (window.prefix(), window.last(), window.room()),
            (5, 1_000, 0)
        );
        assert!(window.skip(1_000, '-').is_empty(), "passed already");
        assert_eq!(window.confirmed(a), ['a', '-']);
        assert_eq!((window.prefix(), window.is_empty()), (1_000, true));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Hole(u64),
        Send(u64),
        Confirm(prop::sample::Index),
        Refuse(prop::sample::Index),
        Retry,
        Disconnect,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u64..4).prop_map(Step::Send),
            1 => (1u64..4).prop_map(Step::Hole),
            4 => any::<prop::sample::Index>().prop_map(Step::Confirm),
            1 => any::<prop::sample::Index>().prop_map(Step::Refuse),
            1 => Just(Step::Retry),
            1 => Just(Step::Disconnect),
        ]
    }

    proptest! {
        /// Whatever the broker answers in whatever order: the prefix only covers numbers that were confirmed, never
        /// goes back by itself, and once everything is confirmed it is at the last number sent.
        #[test]
        fn the_prefix_covers_only_what_was_confirmed(steps in prop::collection::vec(step(), 0..200), max in 1usize..9) {
            let mut window = Window::new(0, max);
            let mut open: Vec<(u64, u64, u64)> = Vec::new(); // name, first, last
            let mut safe = std::collections::BTreeSet::new();
            for step in steps {
                let before = window.prefix();
                match step {
                    Step::Send(count) if window.room() > 0 => {
                        let first = window.last() + 1;
                        let name = window.sent(first + count - 1, ());
                        open.push((name, first, first + count - 1));
                    }
                    Step::Hole(count) => {
                        let last = window.last();
                        window.skip(last + count, ());
                        safe.extend(last + 1..=last + count);
                    }
                    Step::Confirm(at) if !open.is_empty() => {
                        let (name, first, last) = open.remove(at.index(open.len()));
                        safe.extend(first..=last);
                        window.confirmed(name);
                    }
                    Step::Refuse(at) if !open.is_empty() => {
                        let (name, first, last) = open[at.index(open.len())];
                        window.refused(name);
                        if first > last {
                            open.retain(|it| it.0 != name);
                        }
                    }
                    Step::Retry => {
                        if let Some(again) = window.again() {
                            prop_assert!(open.contains(&(again.name, again.first, again.last)));
                            window.sent_again(again.name);
                        }
                    }
                    Step::Disconnect => {
                        window.forget();
                        open.clear();
                    }
                    _ => {}
                }
                prop_assert!(window.prefix() >= before);
                prop_assert!((1..=window.prefix()).all(|seq| safe.contains(&seq)));
                prop_assert!(window.room() <= max);
            }
            for (name, _, _) in open {
                window.confirmed(name);
            }
            prop_assert_eq!(window.prefix(), window.last());
            prop_assert!(window.is_empty());
        }
    }
}

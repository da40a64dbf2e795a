//! Where an account is, in one word, from what is known of its connection. Pure.

use std::time::Instant;

use crate::status::AccountState;

/// What is known of the connection.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Something came from the server since the last loss.
    connected: bool,
    /// What was missed has been asked for and answered since then.
    answered: bool,
    /// And everything that this led to.
    caught_up: bool,
    /// Why the last try failed.
    trouble: Option<String>,
    /// How the server refused to say what was missed.
    refused: Option<String>,
    /// The server answers and does not push.
    deaf: bool,
    /// Until when what was missed cannot be asked for, and how that is told.
    waits: Option<(Instant, String)>,
}

impl Standing {
    /// The server said something.
    pub(super) fn heard(&mut self) {
        self.connected = true;
        self.trouble = None;
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self) {
        self.connected = false;
        self.answered = false;
        self.caught_up = false;
        self.refused = None;
    }

    /// The server said what was missed.
    pub(super) fn answered(&mut self) {
        self.heard();
        self.answered = true;
        self.refused = None;
    }

    /// The server does not say what was missed.
    pub(super) fn refused(&mut self, why: String) {
        self.refused = Some(why);
    }

    /// A request failed for want of a connection.
    pub(super) fn failed(&mut self, why: String) {
        self.trouble = Some(why);
    }

    /// Nothing is being asked.
    pub(super) fn settled(&mut self) {
        self.caught_up |= self.answered;
    }

    /// Whether the server does not push.
    pub(super) fn deaf(&mut self, deaf: bool) {
        self.deaf = deaf;
    }

    /// What was missed may not be asked for until then.
    pub(super) fn waits(&mut self, until: Instant, why: String) {
        self.waits = Some((until, why));
    }

    /// Whether everything is here.
    pub(super) fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// The state to show.
    pub(super) fn state(&mut self, now: Instant) -> AccountState {
        if self.waits.as_ref().is_some_and(|(until, _)| *until <= now) {
            self.waits = None;
        }
        if !self.connected {
            return match &self.trouble {
                Some(why) => AccountState::Degraded(why.clone()),
                None => AccountState::Connecting,
            };
        }
        if self.deaf {
            return AccountState::Deaf;
        }
        let waits = self.waits.as_ref().map(|(_, why)| why);
        match waits.or(self.trouble.as_ref()).or(self.refused.as_ref()) {
            Some(why) => AccountState::Degraded(why.clone()),
            None if self.caught_up => AccountState::Live,
            None => AccountState::CatchingUp,
        }
    }
}

/// What of the states goes into the log: few changes, those that tell whether the mirror hears anything.
#[derive(Debug, Default)]
pub(super) struct Told(Option<&'static str>);

impl Told {
    /// The state's name if it is to be logged now.
    pub(super) fn news(&mut self, state: &AccountState) -> Option<&'static str> {
        let worth_telling = matches!(
            state,
            AccountState::Live
                | AccountState::Deaf
                | AccountState::NeedsLogin
                | AccountState::LoggingIn(_)
                | AccountState::LoggedOut(_)
        );
        let name = state.as_str();
        (worth_telling && self.0.replace(name) != Some(name)).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_word_follows_what_is_known() {
        let now = Instant::now();
        let mut standing = Standing::default();
        assert_eq!(standing.state(now), AccountState::Connecting);
        standing.failed("refused".into());
        assert_eq!(
            standing.state(now),
            AccountState::Degraded("refused".into())
        );
        standing.heard();
        standing.settled();
        assert!(!standing.is_caught_up(), "nobody said what was missed");
        assert_eq!(standing.state(now), AccountState::CatchingUp);
        standing.answered();
        assert_eq!(standing.state(now), AccountState::CatchingUp);
        standing.settled();
        assert_eq!(standing.state(now), AccountState::Live);
        let until = now + Duration::from_secs(30);
        standing.waits(until, "30 s".into());
        assert_eq!(standing.state(now), AccountState::Degraded("30 s".into()));
        assert_eq!(standing.state(until), AccountState::Live, "to the second");
        standing.refused("400".into());
        standing.heard();
        assert_eq!(standing.state(until), AccountState::Degraded("400".into()));
        standing.answered();
        assert_eq!(standing.state(until), AccountState::Live);
        standing.deaf(true);
        assert_eq!(standing.state(now), AccountState::Deaf);
        standing.deaf(false);
        standing.lost();
        assert_eq!(standing.state(now), AccountState::Connecting);
    }

    #[test]
    fn a_line_that_comes_and_goes_is_told_once() {
        let mut told = Told::default();
        assert_eq!(told.news(&AccountState::Connecting), None);
        assert_eq!(told.news(&AccountState::Live), Some("live"));
        assert_eq!(told.news(&AccountState::Connecting), None);
        assert_eq!(told.news(&AccountState::Live), None);
        assert_eq!(told.news(&AccountState::Deaf), Some("deaf"));
        assert_eq!(told.news(&AccountState::Live), Some("live"));
    }
}

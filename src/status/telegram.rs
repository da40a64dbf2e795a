//! The accounts' part of the board: how each live connection to Telegram is doing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::channels::{self, BackfillReport, ChannelBoard, ChannelReport, StretchReport};
use super::chats::UnresolvedName;
use super::now_us;

/// Where an account is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccountState {
    /// There is no session: `telegram-gateway login` makes one, and the account goes on by itself.
    #[default]
    NeedsLogin,
    /// The same, and somebody is at it.
    LoggingIn(String),
    /// A connection is being made.
    Connecting,
    /// Connected; what was missed is being fetched.
    CatchingUp,
    /// Updates come as they happen.
    Live,
    /// Updates come, but something is in the way.
    Degraded(String),
    /// Connected, but the server sends nothing although there is something to send.
    Deaf,
    /// Telegram ended the session; only a person can begin another.
    LoggedOut(String),
    /// The session cannot be used; only a person can mend it.
    Stuck(String),
}

impl AccountState {
    /// The word on the screen and in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            AccountState::NeedsLogin | AccountState::LoggingIn(_) => "needs-login",
            AccountState::Connecting => "connecting",
            AccountState::CatchingUp => "catching-up",
            AccountState::Live => "live",
            AccountState::Degraded(_) => "degraded",
            AccountState::Deaf => "deaf",
            AccountState::LoggedOut(_) => "logged-out",
            AccountState::Stuck(_) => "stuck",
        }
    }

    /// Why, and what to do about it.
    pub fn reason(&self) -> Option<&str> {
        match self {
            AccountState::NeedsLogin => Some("log in: telegram-gateway login"),
            AccountState::LoggingIn(reason)
            | AccountState::Degraded(reason)
            | AccountState::LoggedOut(reason)
            | AccountState::Stuck(reason) => Some(reason),
            _ => None,
        }
    }

    /// Nothing changes until a person does something.
    pub fn needs_operator(&self) -> bool {
        matches!(
            self,
            AccountState::NeedsLogin
                | AccountState::LoggingIn(_)
                | AccountState::LoggedOut(_)
                | AccountState::Stuck(_)
        )
    }
}

/// What an account's connection has done since the start.
#[derive(Debug, Clone, Default)]
pub struct AccountBoard {
    /// Where it is.
    pub state: AccountState,
    /// Updates in the pages that were handed over.
    pub updates: u64,
    /// Containers of updates that came while the queue was full; they are fetched again.
    pub dropped: u64,
    /// Updates that could not be read, kept raw.
    pub unknown: u64,
    /// Lost connections that were made again.
    pub reconnects: u64,
    /// Times that the whole client was made anew.
    pub rebuilds: u64,
    /// Requests by method.
    pub requests: BTreeMap<&'static str, u64>,
    /// Methods that must wait, and until when in microseconds since the epoch.
    pub waits: BTreeMap<&'static str, i64>,
    /// Waits that Telegram asked for since the start.
    pub floods: u64,
    /// By how many seconds Telegram's clock is ahead of this machine's (negative: behind), when that is too many.
    pub clock_skew_seconds: Option<i64>,
    /// Deletions that nobody told, found by looking.
    pub missed_deletions: u64,
    /// What is known of its channels.
    pub channels: BTreeMap<i64, ChannelBoard>,
    /// What is fetched of their past.
    pub backfills: BTreeMap<i64, BackfillReport>,
    /// Configured names that no channel is known by.
    pub unresolved: Vec<UnresolvedName>,
}

impl AccountBoard {
    /// These channels are short-polled now.
    pub fn set_hot(&mut self, hot: &[i64]) {
        for id in hot {
            self.channels.entry(*id).or_default();
        }
        for (id, channel) in &mut self.channels {
            channel.is_hot = hot.contains(id);
        }
    }

    /// A channel was further than anybody had pushed.
    pub fn channel_untold(&mut self, channel: i64) {
        self.channels.entry(channel).or_default().untold += 1;
    }

    /// What was fetched of a channel's past; with an outcome when a stretch of it is over.
    pub fn filled(
        &mut self,
        channel: i64,
        stretches: Vec<StretchReport>,
        found: u32,
        outcome: Option<&str>,
    ) {
        let report = BackfillReport {
            channel,
            name: None,
            waiting: stretches.len(),
            stretches,
            found,
            outcome: outcome.map(str::to_owned),
        };
        self.backfills.insert(channel, report);
    }

    /// A request was sent.
    pub fn requested(&mut self, method: &'static str) {
        *self.requests.entry(method).or_default() += 1;
    }

    /// Telegram wants a method left alone for some seconds.
    pub fn waits(&mut self, method: &'static str, seconds: u64) {
        let micros = i64::try_from(seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        self.floods += 1;
        self.waits.insert(method, now_us().saturating_add(micros));
    }

    /// Those that go on, and then some of those that are over.
    fn backfills(&self) -> Vec<BackfillReport> {
        let mut shown: Vec<BackfillReport> = self.backfills.values().cloned().collect();
        shown.sort_by_key(|it| std::cmp::Reverse(it.waiting));
        shown.truncate(channels::SHOWN_MAX);
        shown
    }

    /// The figures as `status` shows them.
    pub(super) fn report(&self, name: &str) -> AccountReport {
        let now = now_us();
        let left = |until: i64| u64::try_from(until.saturating_sub(now)).unwrap_or(0);
        let waits = self.waits.iter().map(|(method, until)| Wait {
            method: (*method).to_owned(),
            seconds_left: left(*until).div_ceil(1_000_000),
        });
        let requests = self.requests.iter();
        AccountReport {
            name: name.to_owned(),
            state: self.state.as_str().to_owned(),
            reason: self.state.reason().map(str::to_owned),
            needs_operator: self.state.needs_operator(),
            waits: waits.filter(|wait| wait.seconds_left > 0).collect(),
            updates: self.updates,
            dropped: self.dropped,
            unknown: self.unknown,
            reconnects: self.reconnects,
            rebuilds: self.rebuilds,
            floods: self.floods,
            requests: requests.map(|(k, v)| ((*k).to_owned(), *v)).collect(),
            clock_skew_seconds: self.clock_skew_seconds,
            missed_deletions: self.missed_deletions,
            channels: channels::reports(&self.channels),
            backfills: self.backfills(),
            unresolved: self.unresolved.clone(),
        }
    }
}

/// An account as a running daemon shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountReport {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is, in a word.
    pub state: String,
    /// Why, and what to do about it.
    pub reason: Option<String>,
    /// Nothing changes until a person does something.
    pub needs_operator: bool,
    /// Methods that Telegram wants left alone.
    pub waits: Vec<Wait>,
    /// Updates handed over since the start.
    pub updates: u64,
    /// Containers that came while the queue was full, and were fetched again.
    pub dropped: u64,
    /// Updates that could not be read, kept raw.
    pub unknown: u64,
    /// Lost connections that were made again.
    pub reconnects: u64,
    /// Times that the whole client was made anew.
    pub rebuilds: u64,
    /// Waits that Telegram asked for since the start.
    pub floods: u64,
    /// Requests by method since the start.
    pub requests: BTreeMap<String, u64>,
    /// By how many seconds Telegram's clock is ahead of this machine's (negative: behind), when that is too many.
    pub clock_skew_seconds: Option<i64>,
    /// Deletions that nobody told, found by looking.
    pub missed_deletions: u64,
    /// The channels that matter most.
    pub channels: Vec<ChannelReport>,
    /// What is fetched of their past.
    pub backfills: Vec<BackfillReport>,
    /// Configured names that no channel is known by.
    pub unresolved: Vec<UnresolvedName>,
}

/// A method that Telegram wants left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Its name in Telegram's schema.
    pub method: String,
    /// For how long still.
    pub seconds_left: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_waits_and_for_how_long() {
        let mut board = AccountBoard::default();
        board.requested("messages.getHistory");
        board.requested("messages.getHistory");
        board.waits("messages.getHistory", 90);
        board.waits("contacts.resolveUsername", 0);
        let report = board.report("main");
        assert_eq!(report.requests["messages.getHistory"], 2);
        let [wait] = &report.waits[..] else {
            panic!("a wait that is over is not shown: {:?}", report.waits)
        };
        assert!((89..=90).contains(&wait.seconds_left), "{wait:?}");
        assert_eq!(report.floods, 2, "both were asked for");
        assert!(report.needs_operator, "nobody has logged in");
    }
}

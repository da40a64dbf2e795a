//! What can be made to go wrong: rules on methods, and states of the whole data centre.

use std::time::Duration;

use crate::connection::Held;

/// An error that a method answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// As in 400, and negative where Telegram has it so.
    pub code: i32,
    /// As in `CHANNEL_INVALID`, with its number where it has one.
    pub message: String,
}

impl RpcError {
    /// Any error.
    pub fn new(code: i32, message: &str) -> Self {
        Self {
            code,
            message: message.to_owned(),
        }
    }

    pub(crate) fn bad_request(message: &str) -> Self {
        Self::new(400, message)
    }

    /// Too many calls; again in so many seconds.
    pub fn flood_wait(seconds: u32) -> Self {
        Self::new(420, &format!("FLOOD_WAIT_{seconds}"))
    }

    /// The same, in the form that accounts without Premium get for transfers.
    pub fn flood_premium_wait(seconds: u32) -> Self {
        Self::new(420, &format!("FLOOD_PREMIUM_WAIT_{seconds}"))
    }

    /// The same, in the form of groups that let a member write now and then.
    pub fn slowmode_wait(seconds: u32) -> Self {
        Self::new(420, &format!("SLOWMODE_WAIT_{seconds}"))
    }

    /// Something broke on the server.
    pub fn internal() -> Self {
        Self::new(500, "INTERNAL_SERVER_ERROR")
    }

    /// The server took too long.
    pub fn timed_out() -> Self {
        Self::new(-503, "Timeout")
    }

    /// `what` as in `FILE`, `PHONE`, `USER` or `NETWORK`.
    pub fn migrate(what: &str, dc_id: i32) -> Self {
        Self::new(303, &format!("{what}_MIGRATE_{dc_id}"))
    }

    /// The key has no account.
    pub fn key_unregistered() -> Self {
        Self::new(401, "AUTH_KEY_UNREGISTERED")
    }

    /// The login was ended by its owner.
    pub fn session_revoked() -> Self {
        Self::new(401, "SESSION_REVOKED")
    }

    /// The account is no more.
    pub fn user_deactivated() -> Self {
        Self::new(401, "USER_DEACTIVATED")
    }

    /// The key was used from two places at once.
    pub fn key_duplicated() -> Self {
        Self::new(406, "AUTH_KEY_DUPLICATED")
    }
}

/// What happens to a call that a rule is about.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// It is answered with an error.
    Fail(RpcError),
    /// It is never answered.
    Ignore,
    /// The connection is closed in place of an answer.
    Cut,
    /// It is answered later.
    Delay(Duration),
    /// It is answered when [`crate::DataCentre::release_answers`] says so.
    Hold,
    /// It is sent back with `bad_msg_notification`, or `bad_server_salt` for the code 48.
    BadMessage(i32),
    /// The answer, if it is a difference, has an update in it that no client can read.
    Garble,
    /// The transport answers with an error, as 404 or 429.
    TransportError(u16),
}

/// Which calls something happens to, and what.
#[derive(Clone, Debug)]
pub struct Rule {
    number: u64,
    method: Option<String>,
    channel: Option<i64>,
    account: Option<usize>,
    times: Option<u32>,
    reaction: Reaction,
}

impl Rule {
    /// For every call of a method, as in `updates.getDifference`, until it is removed.
    pub fn on(method: &str, reaction: Reaction) -> Self {
        Self {
            method: Some(method.to_owned()),
            ..Self::on_any(reaction)
        }
    }

    /// For every call of any method of the API. Service messages, as pings are, have to be named.
    pub fn on_any(reaction: Reaction) -> Self {
        Self {
            number: 0,
            method: None,
            channel: None,
            account: None,
            times: None,
            reaction,
        }
    }

    /// Only for calls that name this channel.
    pub fn channel(mut self, id: i64) -> Self {
        self.channel = Some(id);
        self
    }

    /// Only for calls of this account.
    pub fn account(mut self, account: usize) -> Self {
        self.account = Some(account);
        self
    }

    /// Only so many times.
    ///
    /// # Panics
    ///
    /// If it is to act no time at all.
    pub fn times(mut self, times: u32) -> Self {
        assert!(times > 0, "a rule acts once at least");
        self.times = Some(times);
        self
    }
}

/// The call that rules are asked about.
pub(crate) struct Asked<'a> {
    /// The method and the wrappers around it.
    pub(crate) methods: &'a [&'static str],
    /// A service message of MTProto.
    pub(crate) is_service: bool,
    /// The channels that the call names.
    pub(crate) channel: Option<i64>,
    pub(crate) account: Option<usize>,
}

impl Rule {
    fn is_about(&self, call: &Asked<'_>) -> bool {
        let method = self.method.as_deref();
        method.map_or(!call.is_service, |method| call.methods.contains(&method))
            && (self.channel.is_none() || self.channel == call.channel)
            && (self.account.is_none() || self.account == call.account)
    }
}

#[derive(Default)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    rules_made: u64,
    /// Nothing that arrives is read, and nothing is sent.
    pub(crate) is_mute: bool,
    /// New connections are refused.
    pub(crate) is_refusing: bool,
    /// Answers that wait to be released.
    pub(crate) held: Vec<Held>,
}

impl Faults {
    pub(crate) fn add(&mut self, mut rule: Rule) -> u64 {
        self.rules_made += 1;
        rule.number = self.rules_made;
        self.rules.push(rule);
        self.rules_made
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.rules.retain(|rule| rule.number != number);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The reaction to a call by the oldest rule that is about it, which is used up by that.
    pub(crate) fn reaction(&mut self, call: &Asked<'_>) -> Option<Reaction> {
        let at = self.rules.iter().position(|rule| rule.is_about(call))?;
        let rule = &mut self.rules[at];
        let reaction = rule.reaction.clone();
        if let Some(times) = &mut rule.times {
            *times -= 1;
            if *times == 0 {
                self.rules.remove(at);
            }
        }
        Some(reaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        Rule::on("updates.getChannelDifference", Reaction::Ignore).channel(5)
    }

    fn call(channel: i64) -> Asked<'static> {
        Asked {
            methods: &["updates.getChannelDifference"],
            is_service: false,
            channel: Some(channel),
            account: Some(0),
        }
    }

    #[test]
    fn a_rule_acts_as_often_as_it_is_told_and_on_what_it_is_about() {
        let mut faults = Faults::default();
        faults.add(rule().times(2));
        assert!(faults.reaction(&call(6)).is_none());
        assert!(faults.reaction(&call(5)).is_some());
        assert!(faults.reaction(&call(5)).is_some());
        assert!(faults.reaction(&call(5)).is_none());
        let forever = faults.add(rule());
        assert!((0..9).all(|_| faults.reaction(&call(5)).is_some()));
        faults.remove(forever);
        assert!(faults.reaction(&call(5)).is_none());
    }

    #[test]
    fn service_messages_have_to_be_named() {
        let mut faults = Faults::default();
        faults.add(Rule::on_any(Reaction::Ignore));
        let ping = Asked {
            methods: &["ping"],
            is_service: true,
            channel: None,
            account: None,
        };
        assert!(faults.reaction(&ping).is_none());
        faults.add(Rule::on("ping", Reaction::Ignore));
        assert!(faults.reaction(&ping).is_some());
    }
}

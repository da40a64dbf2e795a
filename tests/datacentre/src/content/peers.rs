//! Channels, basic groups and users as they are attached to updates and listed.

use grammers_tl_types as tl;

use super::blank::{blank_channel, blank_chat, blank_user};

/// A channel or supergroup to be made.
#[derive(Clone, Debug)]
pub struct ChannelSpec {
    pub(crate) id: Option<i64>,
    pub(crate) access_hash: Option<i64>,
    pub(crate) channel: tl::types::Channel,
}

impl ChannelSpec {
    /// A broadcast channel.
    pub fn broadcast(title: &str) -> Self {
        let mut channel = blank_channel();
        channel.title = title.to_owned();
        channel.broadcast = true;
        Self {
            id: None,
            access_hash: None,
            channel,
        }
    }

    /// A supergroup.
    pub fn supergroup(title: &str) -> Self {
        let mut spec = Self::broadcast(title);
        (spec.channel.broadcast, spec.channel.megagroup) = (false, true);
        spec
    }

    /// With a public name.
    pub fn username(mut self, username: &str) -> Self {
        self.channel.username = Some(username.to_owned());
        self
    }

    /// The bare id; one is chosen otherwise.
    pub fn id(mut self, id: i64) -> Self {
        self.id = Some(id);
        self
    }

    /// The hash that the first account has to show; others have their own.
    pub fn access_hash(mut self, hash: i64) -> Self {
        self.access_hash = Some(hash);
        self
    }

    /// With topics.
    pub fn forum(mut self) -> Self {
        self.channel.forum = true;
        self
    }

    /// Changes any other field.
    pub fn with(mut self, change: impl FnOnce(&mut tl::types::Channel)) -> Self {
        change(&mut self.channel);
        self
    }
}

/// A user to be made.
#[derive(Clone, Debug)]
pub struct UserSpec {
    pub(crate) id: Option<i64>,
    pub(crate) user: tl::types::User,
}

impl UserSpec {
    /// A person with this first name.
    pub fn named(first_name: &str) -> Self {
        let mut user = blank_user();
        user.first_name = Some(first_name.to_owned());
        Self { id: None, user }
    }

    /// With a public name.
    pub fn username(mut self, username: &str) -> Self {
        self.user.username = Some(username.to_owned());
        self
    }

    /// The id; one is chosen otherwise.
    pub fn id(mut self, id: i64) -> Self {
        self.id = Some(id);
        self
    }

    /// No person but a bot.
    pub fn bot(mut self) -> Self {
        self.user.bot = true;
        self.user.bot_info_version = Some(1);
        self
    }

    /// Changes any other field.
    pub fn with(mut self, change: impl FnOnce(&mut tl::types::User)) -> Self {
        change(&mut self.user);
        self
    }
}

/// The user of a spec, under its id.
pub(crate) fn person(spec: UserSpec, id: i64) -> tl::types::User {
    let mut user = spec.user;
    user.id = id;
    user.access_hash = Some(super::super::world::user_hash(id));
    user
}

pub(crate) fn group_as_chat(id: i64, title: &str, date: i32) -> tl::types::Chat {
    let mut chat = blank_chat();
    chat.id = id;
    chat.title = title.to_owned();
    chat.date = date;
    chat.participants_count = 2;
    chat.version = 1;
    chat
}

//! What happens in the world, as a test tells it. Peers and messages that are named have to exist.

use grammers_tl_types as tl;
use tl::Serializable;

use crate::centre::DataCentre;
use crate::content::{
    ChannelSpec, Draft, PollSpec, Preview, channel_peer, group_as_chat, group_peer, user_peer,
};
use crate::world::{Channel, Group, World};

impl DataCentre {
    /// A channel that all accounts are in.
    pub fn add_channel(&self, spec: ChannelSpec) -> i64 {
        self.shared.change(|world| {
            let id = spec.id.unwrap_or_else(|| world.next_peer_id());
            let channel = Channel::new(spec, id, world.date());
            world.channels.insert(id, channel);
            id
        })
    }

    /// The hash that an account has to show for a channel.
    pub fn access_hash(&self, channel: i64, account: usize) -> i64 {
        self.shared
            .look(|world| world.channels[&channel].hash_for(account))
    }

    pub fn post(&self, channel: i64, draft: impl Into<Draft>) -> i32 {
        self.in_channel(channel, |world, date| {
            let mailbox = &mut world.channel(channel).mailbox;
            mailbox.post(draft.into(), channel_peer(channel), date)
        })
    }

    /// A post from before anybody looked: in the history, and no update.
    pub fn seed(&self, channel: i64, draft: impl Into<Draft>, date: i32) -> i32 {
        self.shared.change(|world| {
            let mailbox = &mut world.channel(channel).mailbox;
            mailbox.seed(draft.into(), channel_peer(channel), date)
        })
    }

    pub fn edit(&self, channel: i64, id: i32, draft: impl Into<Draft>) {
        self.in_channel(channel, |world, date| {
            let edited = world.channel(channel).mailbox.edit(id, draft.into(), date);
            ((), edited.expect("a message to edit"))
        });
    }

    pub fn delete(&self, channel: i64, ids: &[i32]) {
        self.in_channel(channel, |world, date| {
            ((), world.channel(channel).mailbox.delete(ids, date))
        });
    }

    /// Posts that are deleted before anybody sees them: ids without messages.
    pub fn skip_ids(&self, channel: i64, count: i32) {
        self.shared
            .change(|world| world.channel(channel).mailbox.skip_ids(count));
    }

    pub fn pin(&self, channel: i64, ids: &[i32], is_pinned: bool) {
        self.in_channel(channel, |world, date| {
            let channel_state = world.channel(channel);
            channel_state.pinned = ids.last().copied().filter(|_| is_pinned);
            (
                (),
                channel_state
                    .mailbox
                    .pin(channel_peer(channel), ids, is_pinned, date),
            )
        });
    }

    /// The preview of a link has been fetched.
    pub fn preview(&self, channel: i64, preview: &Preview) {
        let page = tl::enums::WebPage::from(preview.0.clone());
        self.in_channel(channel, |world, date| {
            ((), world.channel(channel).mailbox.preview(page, date))
        });
    }

    /// New counts of views: no pts, so a difference does not tell of them.
    pub fn views(&self, channel: i64, id: i32, views: i32) {
        self.in_channel(channel, |world, _| {
            world
                .channel(channel)
                .mailbox
                .touch(id, |message| message.views = Some(views));
            let update = tl::types::UpdateChannelMessageViews {
                channel_id: channel,
                id,
                views,
            };
            ((), update.into())
        });
    }

    pub fn forwards(&self, channel: i64, id: i32, forwards: i32) {
        self.in_channel(channel, |world, _| {
            world
                .channel(channel)
                .mailbox
                .touch(id, |message| message.forwards = Some(forwards));
            let update = tl::types::UpdateChannelMessageForwards {
                channel_id: channel,
                id,
                forwards,
            };
            ((), update.into())
        });
    }

    /// New reactions as accounts that may react see them: no pts.
    pub fn reactions(&self, channel: i64, id: i32, counts: &[(&str, i32)]) {
        let reactions = reactions_of(counts);
        self.in_channel(channel, |world, _| {
            let mailbox = &mut world.channel(channel).mailbox;
            mailbox.touch(id, |message| message.reactions = Some(reactions.clone()));
            let update = tl::types::UpdateMessageReactions {
                peer: channel_peer(channel),
                msg_id: id,
                top_msg_id: None,
                saved_peer_id: None,
                reactions,
            };
            ((), update.into())
        });
    }

    /// New reactions as an edit that changes no text, with pts: what broadcast channels get.
    pub fn reactions_as_edit(&self, channel: i64, id: i32, counts: &[(&str, i32)]) {
        let reactions = reactions_of(counts);
        self.in_channel(channel, |world, date| {
            let edited = world.channel(channel).mailbox.amend(id, date, |message| {
                message.reactions = Some(reactions);
                message.edit_hide = true;
                message.edit_date = Some(date);
            });
            ((), edited.expect("a message with reactions"))
        });
    }

    /// New votes in a poll that was posted: no pts.
    pub fn votes(&self, channel: i64, id: i32, poll: &PollSpec) {
        self.in_channel(channel, |world, _| {
            let media = poll.as_media();
            world
                .channel(channel)
                .mailbox
                .touch(id, |message| message.media = Some(media));
            let update = tl::types::UpdateMessagePoll {
                peer: Some(channel_peer(channel)),
                msg_id: Some(id),
                top_msg_id: None,
                poll_id: poll.id,
                poll: Some(poll.poll()),
                results: poll.results(),
            };
            ((), update.into())
        });
    }

    /// Changes a channel itself (title, name, kind), and says so with `updateChannel`.
    pub fn change_channel(&self, channel: i64, change: impl FnOnce(&mut tl::types::Channel)) {
        self.in_channel(channel, |world, _| {
            change(&mut world.channel(channel).inner);
            (
                (),
                tl::types::UpdateChannel {
                    channel_id: channel,
                }
                .into(),
            )
        });
    }

    /// Tells that a channel has moved on, in place of the updates themselves.
    pub fn channel_too_long(&self, channel: i64, tells_pts: bool) {
        self.in_channel(channel, |world, _| {
            let pts = tells_pts.then(|| world.channel(channel).mailbox.pts);
            (
                (),
                tl::types::UpdateChannelTooLong {
                    channel_id: channel,
                    pts,
                }
                .into(),
            )
        });
    }

    fn in_channel<T>(
        &self,
        channel: i64,
        happen: impl FnOnce(&mut World, i32) -> (T, tl::enums::Update),
    ) -> T {
        self.shared.change(|world| {
            let date = world.date();
            let (made, update) = happen(world, date);
            world.publish_in_channel(channel, &update);
            made
        })
    }

    /// A message that an account gets from a user.
    pub fn receive(&self, account: usize, from: i64, draft: impl Into<Draft>) -> i32 {
        self.in_account(account, |world, date| {
            let account = &mut world.accounts[account];
            if !account.correspondents.contains(&from) {
                account.correspondents.push(from);
            }
            account.mailbox.post(draft.into(), user_peer(from), date)
        })
    }

    /// An edit in a private chat or a group, of the id that the account has for it.
    pub fn edit_for(&self, account: usize, id: i32, draft: impl Into<Draft>) {
        self.in_account(account, |world, date| {
            let edited = world.accounts[account].mailbox.edit(id, draft.into(), date);
            ((), edited.expect("a message to edit"))
        });
    }

    /// A deletion in private chats and groups: the update does not say in which.
    pub fn delete_for(&self, account: usize, ids: &[i32]) {
        self.in_account(account, |world, date| {
            ((), world.accounts[account].mailbox.delete(ids, date))
        });
    }

    /// Any update of the common box, which is given its pts.
    pub fn common_update(
        &self,
        account: usize,
        pts_count: i32,
        update: impl FnOnce(i32) -> tl::enums::Update,
    ) {
        self.in_account(account, |world, date| {
            (
                (),
                world.accounts[account].mailbox.log(pts_count, date, update),
            )
        });
    }

    /// Any update of the secondary box, which is given its qts.
    pub fn secondary_update(&self, account: usize, update: impl FnOnce(i32) -> tl::enums::Update) {
        self.in_account(account, |world, _| {
            let account = &mut world.accounts[account];
            let qts = account.qts() + 1;
            let update = update(qts);
            account.secondary.push((qts, update.clone()));
            ((), update)
        });
    }

    fn in_account<T>(
        &self,
        account: usize,
        happen: impl FnOnce(&mut World, i32) -> (T, tl::enums::Update),
    ) -> T {
        self.shared.change(|world| {
            let date = world.date();
            let (made, update) = happen(world, date);
            world.publish(account, update);
            made
        })
    }

    /// A basic group of some accounts.
    pub fn add_group(&self, title: &str, members: &[usize]) -> i64 {
        self.shared.change(|world| {
            let id = world.next_peer_id();
            let inner = group_as_chat(id, title, world.date());
            let (members, twins) = (members.to_vec(), Default::default());
            world.groups.insert(
                id,
                Group {
                    inner,
                    members,
                    twins,
                },
            );
            id
        })
    }

    /// A message in a basic group: the id that it has for the first member. Each member has its own.
    pub fn post_in_group(&self, group: i64, from: i64, draft: impl Into<Draft>) -> i32 {
        let draft = draft.into().from_user(from);
        self.shared.change(|world| {
            let date = world.date();
            let mut twins = Vec::new();
            for member in world.groups[&group].members.clone() {
                let mailbox = &mut world.accounts[member].mailbox;
                let (id, update) = mailbox.post(draft.clone(), group_peer(group), date);
                twins.push((member, id));
                world.publish(member, update);
            }
            let id = twins.first().expect("a member").1;
            world
                .groups
                .entry(group)
                .and_modify(|group| drop(group.twins.insert(id, twins)));
            id
        })
    }

    /// The id that a message of a group has for a member, from the one that it has for the first.
    pub fn id_in_group(&self, group: i64, id: i32, member: usize) -> Option<i32> {
        self.shared.look(|world| {
            let twins = world.groups.get(&group)?.twins.get(&id)?;
            twins
                .iter()
                .find(|(account, _)| *account == member)
                .map(|(_, id)| *id)
        })
    }

    /// Pushes what `happen` makes happen in one container per account.
    pub fn together(&self, happen: impl FnOnce(&Self)) {
        self.shared.change(World::begin_together);
        happen(self);
        self.shared.change(World::end_together);
    }

    /// Pushes an update that nothing is known of, as it is.
    pub fn push(&self, account: usize, update: tl::enums::Update) {
        self.shared.change(|world| world.publish(account, update));
    }

    /// Pushes a container as it is.
    pub fn push_updates(&self, account: usize, updates: &tl::enums::Updates) {
        self.shared
            .change(|world| world.send_to_account(account, updates.to_bytes()));
    }

    pub fn channel_pts(&self, channel: i64) -> i32 {
        self.shared
            .look(|world| world.channels[&channel].mailbox.pts)
    }

    pub fn common_pts(&self, account: usize) -> i32 {
        self.shared
            .look(|world| world.accounts[account].mailbox.pts)
    }

    /// All messages that a channel has, oldest first.
    pub fn messages(&self, channel: i64) -> Vec<tl::enums::Message> {
        self.shared.look(|world| {
            let messages = world.channels[&channel].mailbox.messages.values();
            world.refreshed(messages.cloned().collect())
        })
    }
}

fn reactions_of(counts: &[(&str, i32)]) -> tl::enums::MessageReactions {
    let results = counts.iter().map(|&(emoji, count)| {
        let emoticon = emoji.to_owned();
        tl::types::ReactionCount {
            chosen_order: None,
            reaction: tl::types::ReactionEmoji { emoticon }.into(),
            count,
        }
        .into()
    });
    tl::types::MessageReactions {
        min: true,
        can_see_list: false,
        reactions_as_tags: false,
        results: results.collect(),
        recent_reactions: None,
        top_reactors: None,
    }
    .into()
}

//! What happens in channels and supergroups.

use grammers_tl_types as tl;

use crate::centre::DataCentre;
use crate::content::{ChannelSpec, Draft, PollSpec, Preview, channel_peer};
use crate::world::Channel;

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

    /// Where a channel is.
    pub fn channel_pts(&self, channel: i64) -> i32 {
        self.shared
            .look(|world| world.channels[&channel].mailbox.pts)
    }

    /// All messages that a channel has, oldest first.
    pub fn messages(&self, channel: i64) -> Vec<tl::enums::Message> {
        self.shared.look(|world| {
            let messages = world.channels[&channel].mailbox.messages.values();
            world.refreshed(messages.cloned().collect())
        })
    }

    /// A new post; its id.
    pub fn post(&self, channel: i64, draft: impl Into<Draft>) -> i32 {
        self.shared.change(|world| {
            let date = world.date();
            let mailbox = &mut world.channel(channel).mailbox;
            let (id, update) = mailbox.post(draft.into(), channel_peer(channel), date);
            world.publish_in_channel(channel, &update);
            id
        })
    }

    /// A post from before anybody looked: in the history, and no update.
    pub fn seed(&self, channel: i64, draft: impl Into<Draft>, date: i32) -> i32 {
        self.shared.change(|world| {
            let mailbox = &mut world.channel(channel).mailbox;
            mailbox.seed(draft.into(), channel_peer(channel), date)
        })
    }

    /// Posts that are deleted before anybody sees them: ids without messages.
    pub fn skip_ids(&self, channel: i64, count: i32) {
        self.shared
            .change(|world| world.channel(channel).mailbox.skip_ids(count));
    }

    /// Makes something happen in a channel, and tells everybody who is in it.
    fn happen(&self, channel: i64, happen: impl FnOnce(&mut Channel, i32) -> tl::enums::Update) {
        self.shared.change(|world| {
            let date = world.date();
            let update = happen(world.channel(channel), date);
            world.publish_in_channel(channel, &update);
        });
    }

    /// Puts a draft in the place of a post.
    pub fn edit(&self, channel: i64, id: i32, draft: impl Into<Draft>) {
        self.happen(channel, |channel, date| {
            let edited = channel.mailbox.edit(id, draft.into(), date);
            edited.expect("a message to edit")
        });
    }

    /// Deletes posts.
    pub fn delete(&self, channel: i64, ids: &[i32]) {
        self.happen(channel, |channel, date| channel.mailbox.delete(ids, date));
    }

    /// Pins posts, or no longer does.
    pub fn pin(&self, channel: i64, ids: &[i32], is_pinned: bool) {
        let peer = channel_peer(channel);
        self.happen(channel, |channel, date| {
            channel.pinned = ids.last().copied().filter(|_| is_pinned);
            channel.mailbox.pin(peer, ids, is_pinned, date)
        });
    }

    /// The preview of a link has been fetched.
    pub fn preview(&self, channel: i64, preview: &Preview) {
        let page = preview.0.clone().into();
        self.happen(channel, |channel, date| channel.mailbox.preview(page, date));
    }

    /// New counts of views: no pts, so a difference does not tell of them.
    pub fn views(&self, channel_id: i64, id: i32, views: i32) {
        self.happen(channel_id, |channel, _| {
            channel.mailbox.touch(id, |message| {
                message.views = Some(views);
                // The two stand together or not at all.
                message.forwards.get_or_insert(0);
            });
            tl::types::UpdateChannelMessageViews {
                channel_id,
                id,
                views,
            }
            .into()
        });
    }

    /// New counts of forwards: no pts either.
    pub fn forwards(&self, channel_id: i64, id: i32, forwards: i32) {
        self.happen(channel_id, |channel, _| {
            channel.mailbox.touch(id, |message| {
                message.forwards = Some(forwards);
                message.views.get_or_insert(0);
            });
            tl::types::UpdateChannelMessageForwards {
                channel_id,
                id,
                forwards,
            }
            .into()
        });
    }

    /// New reactions as accounts that may react see them: no pts.
    pub fn reactions(&self, channel: i64, id: i32, counts: &[(&str, i32)]) {
        let (peer, reactions) = (channel_peer(channel), reactions_of(counts));
        self.happen(channel, |channel, _| {
            let new = Some(reactions.clone());
            channel.mailbox.touch(id, |message| message.reactions = new);
            tl::types::UpdateMessageReactions {
                peer,
                msg_id: id,
                top_msg_id: None,
                saved_peer_id: None,
                reactions,
            }
            .into()
        });
    }

    /// New reactions as an edit that changes no text, with pts: what broadcast channels get.
    pub fn reactions_as_edit(&self, channel: i64, id: i32, counts: &[(&str, i32)]) {
        let reactions = reactions_of(counts);
        self.happen(channel, |channel, date| {
            let edited = channel.mailbox.amend(id, date, |message| {
                message.reactions = Some(reactions);
                message.edit_hide = true;
                message.edit_date = Some(date);
            });
            edited.expect("a message with reactions")
        });
    }

    /// New votes in a poll that was posted: no pts.
    pub fn votes(&self, channel: i64, id: i32, poll: &PollSpec) {
        let peer = channel_peer(channel);
        self.happen(channel, |channel, _| {
            let media = poll.as_media();
            channel
                .mailbox
                .touch(id, |message| message.media = Some(media));
            tl::types::UpdateMessagePoll {
                peer: Some(peer),
                msg_id: Some(id),
                top_msg_id: None,
                poll_id: poll.id,
                poll: Some(poll.poll()),
                results: poll.results(),
            }
            .into()
        });
    }

    /// Changes a channel itself (title, name, kind), and says so with `updateChannel`.
    pub fn change_channel(&self, channel_id: i64, change: impl FnOnce(&mut tl::types::Channel)) {
        self.happen(channel_id, |channel, _| {
            change(&mut channel.inner);
            tl::types::UpdateChannel { channel_id }.into()
        });
    }

    /// Tells that a channel has moved on, in place of the updates themselves.
    pub fn channel_too_long(&self, channel_id: i64, tells_pts: bool) {
        self.happen(channel_id, |channel, _| {
            let pts = tells_pts.then_some(channel.mailbox.pts);
            tl::types::UpdateChannelTooLong { channel_id, pts }.into()
        });
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

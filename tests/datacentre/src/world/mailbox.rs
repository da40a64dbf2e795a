//! One box of updates: its messages, its log, and what a difference makes of them.

use std::collections::{BTreeMap, BTreeSet};

use grammers_tl_types as tl;

use crate::content::{Draft, message_mut};

/// Whose pts it is, and so which constructors its updates have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Private chats and basic groups of one account.
    Common,
    Channel(i64),
}

#[derive(Clone, Debug)]
enum What {
    New(i32),
    Edited(i32),
    Other(Box<tl::enums::Update>),
}

#[derive(Clone, Debug)]
struct Entry {
    pts: i32,
    count: i32,
    what: What,
}

/// Part of a log as a difference gives it.
pub(crate) struct Page {
    pub(crate) new_messages: Vec<tl::enums::Message>,
    pub(crate) other_updates: Vec<tl::enums::Update>,
    pub(crate) pts: i32,
    pub(crate) is_last: bool,
}

/// A box: messages by id, and the log of what happened to them.
#[derive(Debug)]
pub(crate) struct Mailbox {
    flavour: Flavour,
    pub(crate) pts: i32,
    log: Vec<Entry>,
    pub(crate) messages: BTreeMap<i32, tl::enums::Message>,
    next_id: i32,
    /// The server date of the last entry.
    pub(crate) changed: i32,
}

impl Mailbox {
    pub(crate) fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            pts: 1,
            log: Vec::new(),
            messages: BTreeMap::new(),
            next_id: 1,
            changed: 0,
        }
    }

    /// Leaves out ids, as posts do that were deleted before anybody saw them.
    pub(crate) fn skip_ids(&mut self, count: i32) {
        self.next_id += count;
    }

    /// How many entries are newer than a pts.
    pub(crate) fn missed_since(&self, pts: i32) -> usize {
        self.log.len() - self.log.partition_point(|entry| entry.pts <= pts)
    }

    pub(crate) fn post(
        &mut self,
        draft: Draft,
        peer: tl::enums::Peer,
        date: i32,
    ) -> (i32, tl::enums::Update) {
        let id = self.next_id;
        self.next_id += 1;
        self.messages.insert(id, draft.placed(id, peer, date));
        (id, self.note(1, date, |_| What::New(id)))
    }

    /// Puts a message into the history without an update, as history from before the account joined.
    pub(crate) fn seed(&mut self, draft: Draft, peer: tl::enums::Peer, date: i32) -> i32 {
        let id = self.next_id;
        self.next_id += 1;
        self.messages.insert(id, draft.placed(id, peer, date));
        id
    }

    /// None when there is no such message.
    pub(crate) fn edit(&mut self, id: i32, draft: Draft, date: i32) -> Option<tl::enums::Update> {
        let message = self.messages.get_mut(&id)?;
        *message = draft.in_place_of(message, date);
        Some(self.note(1, date, |_| What::Edited(id)))
    }

    /// An edit that changes what it is told to, as new reactions and counters do.
    pub(crate) fn amend(
        &mut self,
        id: i32,
        date: i32,
        change: impl FnOnce(&mut tl::types::Message),
    ) -> Option<tl::enums::Update> {
        change(message_mut(self.messages.get_mut(&id)?)?);
        Some(self.note(1, date, |_| What::Edited(id)))
    }

    /// Changes a message with no update and no pts.
    pub(crate) fn touch(&mut self, id: i32, change: impl FnOnce(&mut tl::types::Message)) {
        if let Some(message) = self.messages.get_mut(&id).and_then(message_mut) {
            change(message);
        }
    }

    pub(crate) fn delete(&mut self, ids: &[i32], date: i32) -> tl::enums::Update {
        for id in ids {
            self.messages.remove(id);
        }
        let (flavour, messages) = (self.flavour, ids.to_vec());
        let pts_count = count(ids);
        self.log(pts_count, date, |pts| match flavour {
            Flavour::Common => tl::types::UpdateDeleteMessages {
                messages,
                pts,
                pts_count,
            }
            .into(),
            Flavour::Channel(channel_id) => tl::types::UpdateDeleteChannelMessages {
                channel_id,
                messages,
                pts,
                pts_count,
            }
            .into(),
        })
    }

    pub(crate) fn pin(
        &mut self,
        peer: tl::enums::Peer,
        ids: &[i32],
        pinned: bool,
        date: i32,
    ) -> tl::enums::Update {
        for id in ids {
            self.touch(*id, |message| message.pinned = pinned);
        }
        let (flavour, messages) = (self.flavour, ids.to_vec());
        let pts_count = count(ids);
        self.log(pts_count, date, |pts| match flavour {
            Flavour::Common => tl::types::UpdatePinnedMessages {
                pinned,
                peer,
                messages,
                pts,
                pts_count,
            }
            .into(),
            Flavour::Channel(channel_id) => tl::types::UpdatePinnedChannelMessages {
                pinned,
                channel_id,
                messages,
                pts,
                pts_count,
            }
            .into(),
        })
    }

    pub(crate) fn preview(&mut self, webpage: tl::enums::WebPage, date: i32) -> tl::enums::Update {
        let flavour = self.flavour;
        self.log(1, date, |pts| match flavour {
            Flavour::Common => tl::types::UpdateWebPage {
                webpage,
                pts,
                pts_count: 1,
            }
            .into(),
            Flavour::Channel(channel_id) => tl::types::UpdateChannelWebPage {
                channel_id,
                webpage,
                pts,
                pts_count: 1,
            }
            .into(),
        })
    }

    /// Logs an update that carries its own pts, which is given to it.
    pub(crate) fn log(
        &mut self,
        count: i32,
        date: i32,
        update: impl FnOnce(i32) -> tl::enums::Update,
    ) -> tl::enums::Update {
        self.note(count, date, |pts| What::Other(Box::new(update(pts))))
    }

    fn note(&mut self, count: i32, date: i32, what: impl FnOnce(i32) -> What) -> tl::enums::Update {
        self.pts += count;
        self.changed = date;
        let entry = Entry {
            pts: self.pts,
            count,
            what: what(self.pts),
        };
        let update = self.as_update(&entry);
        self.log.push(entry);
        update.expect("what was just logged is there")
    }

    /// None when the message is gone by now.
    fn as_update(&self, entry: &Entry) -> Option<tl::enums::Update> {
        let (pts, pts_count) = (entry.pts, entry.count);
        Some(match (&entry.what, self.flavour) {
            (What::Other(update), _) => (**update).clone(),
            (What::New(id), Flavour::Common) => {
                let message = self.messages.get(id)?.clone();
                tl::types::UpdateNewMessage {
                    message,
                    pts,
                    pts_count,
                }
                .into()
            }
            (What::New(id), Flavour::Channel(_)) => {
                let message = self.messages.get(id)?.clone();
                tl::types::UpdateNewChannelMessage {
                    message,
                    pts,
                    pts_count,
                }
                .into()
            }
            (What::Edited(id), Flavour::Common) => {
                let message = self.messages.get(id)?.clone();
                tl::types::UpdateEditMessage {
                    message,
                    pts,
                    pts_count,
                }
                .into()
            }
            (What::Edited(id), Flavour::Channel(_)) => {
                let message = self.messages.get(id)?.clone();
                tl::types::UpdateEditChannelMessage {
                    message,
                    pts,
                    pts_count,
                }
                .into()
            }
        })
    }

    /// What happened after a pts, up to `limit` entries. New messages are as they are now; an edit of a message that
    /// is new in the same page is not told apart from it.
    pub(crate) fn since(&self, pts: i32, limit: usize) -> Page {
        let start = self.log.partition_point(|entry| entry.pts <= pts);
        let entries = &self.log[start..];
        let entries = &entries[..entries.len().min(limit)];
        let mut page = Page {
            new_messages: Vec::new(),
            other_updates: Vec::new(),
            pts: entries.last().map_or(self.pts, |entry| entry.pts),
            is_last: start + entries.len() == self.log.len(),
        };
        let mut new_ids = BTreeSet::new();
        for entry in entries {
            match &entry.what {
                What::New(id) => {
                    new_ids.insert(*id);
                    page.new_messages.extend(self.messages.get(id).cloned());
                }
                What::Edited(id) if new_ids.contains(id) => {}
                What::Edited(_) | What::Other(_) => {
                    page.other_updates.extend(self.as_update(entry))
                }
            }
        }
        if page.is_last {
            page.pts = self.pts;
        }
        page
    }
}

fn count(ids: &[i32]) -> i32 {
    i32::try_from(ids.len()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::channel_peer;

    fn with_posts(posts: i32) -> Mailbox {
        let mut mailbox = Mailbox::new(Flavour::Channel(5));
        for number in 0..posts {
            mailbox.post(Draft::from(format!("post {number}")), channel_peer(5), 100);
        }
        mailbox
    }

    #[test]
    fn pts_counts_messages_edits_and_every_deleted_id() {
        let mut mailbox = with_posts(3);
        assert_eq!(mailbox.pts, 4);
        assert!(mailbox.edit(1, Draft::from("new"), 101).is_some());
        assert!(mailbox.edit(9, Draft::from("nothing"), 101).is_none());
        assert_eq!(mailbox.pts, 5);
        mailbox.delete(&[2, 3], 102);
        assert_eq!(mailbox.pts, 7);
        mailbox.pin(channel_peer(5), &[1], true, 103);
        assert_eq!((mailbox.pts, mailbox.changed), (8, 103));
    }

    #[test]
    fn a_difference_gives_messages_as_they_are_now() {
        let mut mailbox = with_posts(3);
        mailbox.edit(3, Draft::from("new text"), 101);
        mailbox.edit(1, Draft::from("seen before"), 101);
        mailbox.delete(&[2], 102);
        let page = mailbox.since(2, 100);
        let ids: Vec<_> = page
            .new_messages
            .iter()
            .map(tl::enums::Message::id)
            .collect();
        assert_eq!(ids, [3]);
        assert_eq!(page.other_updates.len(), 2);
        assert!(page.is_last);
        assert_eq!(page.pts, mailbox.pts);
    }

    #[test]
    fn slices_follow_one_another_to_the_end() {
        let mailbox = with_posts(5);
        let (mut pts, mut ids) = (1, Vec::new());
        loop {
            let page = mailbox.since(pts, 2);
            ids.extend(page.new_messages.iter().map(tl::enums::Message::id));
            pts = page.pts;
            if page.is_last {
                break;
            }
        }
        assert_eq!(ids, [1, 2, 3, 4, 5]);
    }
}

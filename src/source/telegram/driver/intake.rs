//! What is pushed, brought to one form.

use grammers_session::updates::{MessageBoxes, UpdatesLike};
use grammers_tl_types as tl;

/// Pushed updates of one packet.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) updates: Vec<tl::enums::Update>,
    pub(super) users: Vec<tl::enums::User>,
    pub(super) chats: Vec<tl::enums::Chat>,
    /// The packet's number and the one of its last part; 0 when it has none.
    pub(super) seq: (i32, i32),
}

/// What a push says.
#[derive(Debug)]
pub(super) enum Intake {
    /// Updates.
    Packet(Packet),
    /// Updates are missing.
    Missing,
    /// Updates came that the library could not read, and are missing now.
    Unreadable,
}

/// Reads a push.
pub(super) fn read(updates: UpdatesLike) -> Intake {
    match updates {
        UpdatesLike::Updates(updates) => read_updates(updates),
        UpdatesLike::InvitedUsers(invited) => read_updates(invited.updates),
        UpdatesLike::ChatInviteJoinResult(joined) => read_updates(joined.updates),
        UpdatesLike::MalformedUpdates => Intake::Unreadable,
        // The rest answers calls that write, and a mirror makes none: whoever made one finds its effect in the
        // difference.
        UpdatesLike::ConnectionClosed
        | UpdatesLike::ShortSentMessage { .. }
        | UpdatesLike::AffectedMessages(_)
        | UpdatesLike::AffectedChannelMessages { .. } => Intake::Missing,
    }
}

fn read_updates(updates: tl::enums::Updates) -> Intake {
    use tl::enums::Updates as Us;
    let packet = match updates {
        Us::TooLong | Us::UpdateShortSentMessage(_) => return Intake::Missing,
        Us::UpdateShort(short) => Packet::single(short.update),
        Us::UpdateShortMessage(mut short) => {
            let numbers = (short.pts, short.pts_count);
            (short.pts, short.pts_count) = (0, 0);
            match lengthened(short.into(), numbers) {
                Some(update) => Packet::single(update),
                None => return Intake::Missing,
            }
        }
        Us::UpdateShortChatMessage(mut short) => {
            let numbers = (short.pts, short.pts_count);
            (short.pts, short.pts_count) = (0, 0);
            match lengthened(short.into(), numbers) {
                Some(update) => Packet::single(update),
                None => return Intake::Missing,
            }
        }
        Us::Combined(combined) => Packet {
            updates: combined.updates,
            users: combined.users,
            chats: combined.chats,
            seq: (combined.seq_start, combined.seq),
        },
        Us::Updates(updates) => Packet {
            updates: updates.updates,
            users: updates.users,
            chats: updates.chats,
            seq: (updates.seq, updates.seq),
        },
    };
    Intake::Packet(packet)
}

/// The whole form of a short message. The library knows how to make it; it gets it without numbers, with which its
/// own sums could overflow.
fn lengthened(
    short: tl::enums::Updates,
    (pts, pts_count): (i32, i32),
) -> Option<tl::enums::Update> {
    let made = MessageBoxes::new().process_updates(UpdatesLike::Updates(short));
    let (mut updates, _, _) = made.ok()?;
    match updates.pop() {
        Some((tl::enums::Update::NewMessage(update), _)) => {
            Some(tl::enums::Update::NewMessage(tl::types::UpdateNewMessage {
                pts,
                pts_count,
                ..update
            }))
        }
        _ => None,
    }
}

impl Packet {
    fn single(update: tl::enums::Update) -> Packet {
        Packet {
            updates: vec![update],
            users: Vec::new(),
            chats: Vec::new(),
            seq: (0, 0),
        }
    }
}

//! Which sequence an update belongs to, and which stretch of it.

use grammers_tl_types as tl;
use tl::enums::Update as U;

/// A sequence of updates that is numbered without holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sequence {
    /// The account's pts.
    Common,
    /// The account's qts.
    Secondary,
    /// A channel's pts.
    Channel(i64),
}

/// The stretch of its sequence that an update covers: from (exclusive) to (inclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) start: i32,
    pub(super) end: i32,
}

/// Where an update stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a sequence.
    At(Sequence, Span),
    /// In none: it counts whenever it comes.
    Free,
    /// In a sequence, with numbers that cannot be. The update itself may still be true.
    Nonsense(Sequence),
}

impl Span {
    fn new(end: i32, count: i32) -> Option<Span> {
        let start = end.checked_sub(count)?;
        (count >= 0 && start >= 0).then_some(Span { start, end })
    }
}

/// Reads an update's place.
pub(super) fn place(update: &U) -> Place {
    let Some((sequence, end, count)) = numbers(update) else {
        return Place::Free;
    };
    // Telegram sends 0 where a number does not apply, as in updates about members.
    if end == 0 {
        return Place::Free;
    }
    match Span::new(end, count) {
        Some(span) => Place::At(sequence, span),
        None => Place::Nonsense(sequence),
    }
}

/// Sequence, number behind the update, and how many numbers it takes.
fn numbers(update: &U) -> Option<(Sequence, i32, i32)> {
    use Sequence::{Channel, Common, Secondary};
    Some(match update {
        U::NewMessage(u) => (Common, u.pts, u.pts_count),
        U::EditMessage(u) => (Common, u.pts, u.pts_count),
        U::DeleteMessages(u) => (Common, u.pts, u.pts_count),
        U::ReadHistoryInbox(u) => (Common, u.pts, u.pts_count),
        U::ReadHistoryOutbox(u) => (Common, u.pts, u.pts_count),
        U::ReadMessagesContents(u) => (Common, u.pts, u.pts_count),
        U::WebPage(u) => (Common, u.pts, u.pts_count),
        U::FolderPeers(u) => (Common, u.pts, u.pts_count),
        U::PinnedMessages(u) => (Common, u.pts, u.pts_count),
        U::NewChannelMessage(u) => (Channel(channel_of(&u.message)?), u.pts, u.pts_count),
        U::EditChannelMessage(u) => (Channel(channel_of(&u.message)?), u.pts, u.pts_count),
        U::DeleteChannelMessages(u) => (Channel(u.channel_id), u.pts, u.pts_count),
        U::ReadChannelInbox(u) => (Channel(u.channel_id), u.pts, 0),
        U::ChannelWebPage(u) => (Channel(u.channel_id), u.pts, u.pts_count),
        U::PinnedChannelMessages(u) => (Channel(u.channel_id), u.pts, u.pts_count),
        U::NewEncryptedMessage(u) => (Secondary, u.qts, 1),
        U::MessagePollVote(u) => (Secondary, u.qts, 1),
        U::ChatParticipant(u) => (Secondary, u.qts, 1),
        U::ChannelParticipant(u) => (Secondary, u.qts, 1),
        U::BotStopped(u) => (Secondary, u.qts, 1),
        U::BotChatInviteRequester(u) => (Secondary, u.qts, 1),
        U::BotChatBoost(u) => (Secondary, u.qts, 1),
        U::BotMessageReaction(u) => (Secondary, u.qts, 1),
        U::BotMessageReactions(u) => (Secondary, u.qts, 1),
        U::BotBusinessConnect(u) => (Secondary, u.qts, 1),
        U::BotNewBusinessMessage(u) => (Secondary, u.qts, 1),
        U::BotEditBusinessMessage(u) => (Secondary, u.qts, 1),
        U::BotDeleteBusinessMessage(u) => (Secondary, u.qts, 1),
        U::BotPurchasedPaidMedia(u) => (Secondary, u.qts, 1),
        U::ManagedBot(u) => (Secondary, u.qts, 1),
        U::BotGuestChatQuery(u) => (Secondary, u.qts, 1),
        U::BotStarsSubscription(u) => (Secondary, u.qts, 1),
        _ => return None,
    })
}

/// The channel that a message stands in. An empty message need not say.
fn channel_of(message: &tl::enums::Message) -> Option<i64> {
    let peer = match message {
        tl::enums::Message::Empty(m) => m.peer_id.as_ref()?,
        tl::enums::Message::Message(m) => &m.peer_id,
        tl::enums::Message::Service(m) => &m.peer_id,
    };
    match peer {
        tl::enums::Peer::Channel(channel) => Some(channel.channel_id),
        _ => None,
    }
}

/// Updates of one packet in the order of their sequences: Telegram may send a read mark before the message that it
/// marks, with the same number.
pub(super) fn sort(updates: &mut [U]) {
    updates.sort_by_key(|update| match place(update) {
        Place::At(_, span) => (span.start, span.end),
        Place::Free | Place::Nonsense(_) => (0, 0),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(pts: i32, pts_count: i32) -> U {
        U::DeleteMessages(tl::types::UpdateDeleteMessages {
            messages: vec![],
            pts,
            pts_count,
        })
    }

    #[test]
    fn numbers_that_cannot_be_are_told_apart() {
        let at = |start, end| Place::At(Sequence::Common, Span { start, end });
        assert_eq!(place(&deleted(7, 2)), at(5, 7));
        assert_eq!(place(&deleted(2, 2)), at(0, 2));
        assert_eq!(place(&deleted(0, 0)), Place::Free);
        for (pts, count) in [
            (1, 2),
            (5, -1),
            (-5, 1),
            (i32::MIN, 1),
            (i32::MAX, i32::MIN),
        ] {
            let found = place(&deleted(pts, count));
            assert_eq!(found, Place::Nonsense(Sequence::Common), "{pts} {count}");
        }
    }
}

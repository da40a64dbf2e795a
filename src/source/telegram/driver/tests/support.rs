//! A desk with a driver on it, and short names for what the server says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{self as tl, enums::Update as U};

use super::super::*;

/// The channel of most tests, and another one.
pub(super) const CH: i64 = 1_000;
pub(super) const OTHER: i64 = 2_000;

pub(super) fn message(channel: Option<i64>, id: i32) -> tl::enums::Message {
    let peer = channel.map_or_else(
        || tl::types::PeerUser { user_id: 7 }.into(),
        |channel_id| tl::types::PeerChannel { channel_id }.into(),
    );
    tl::types::MessageEmpty {
        id,
        peer_id: Some(peer),
    }
    .into()
}

pub(super) fn post(channel: i64, id: i32, pts: i32) -> U {
    tl::types::UpdateNewChannelMessage {
        message: message(Some(channel), id),
        pts,
        pts_count: 1,
    }
    .into()
}

pub(super) fn edit(channel: i64, id: i32, pts: i32) -> U {
    tl::types::UpdateEditChannelMessage {
        message: message(Some(channel), id),
        pts,
        pts_count: 1,
    }
    .into()
}

pub(super) fn delete(channel_id: i64, id: i32, pts: i32) -> U {
    tl::types::UpdateDeleteChannelMessages {
        channel_id,
        messages: vec![id],
        pts,
        pts_count: 1,
    }
    .into()
}

pub(super) fn pin(channel_id: i64, id: i32, pts: i32) -> U {
    tl::types::UpdatePinnedChannelMessages {
        pinned: true,
        channel_id,
        messages: vec![id],
        pts,
        pts_count: 1,
    }
    .into()
}

pub(super) fn views(channel_id: i64, id: i32) -> U {
    tl::types::UpdateChannelMessageViews {
        channel_id,
        id,
        views: 5,
    }
    .into()
}

pub(super) fn read_mark(channel_id: i64, max_id: i32, pts: i32) -> U {
    tl::types::UpdateReadChannelInbox {
        folder_id: None,
        channel_id,
        max_id,
        still_unread_count: 0,
        pts,
    }
    .into()
}

pub(super) fn private(id: i32, pts: i32) -> U {
    tl::types::UpdateNewMessage {
        message: message(None, id),
        pts,
        pts_count: 1,
    }
    .into()
}

pub(super) fn too_long(channel_id: i64, pts: Option<i32>) -> U {
    tl::types::UpdateChannelTooLong { channel_id, pts }.into()
}

pub(super) fn numbered(updates: Vec<U>, seq_start: i32, seq: i32) -> UpdatesLike {
    let combined = tl::types::UpdatesCombined {
        updates,
        users: vec![],
        chats: vec![],
        date: 0,
        seq_start,
        seq,
    };
    UpdatesLike::Updates(tl::enums::Updates::Combined(combined))
}

pub(super) fn pushed(updates: Vec<U>) -> UpdatesLike {
    numbered(updates, 0, 0)
}

pub(super) fn state(pts: i32, qts: i32, date: i32, seq: i32) -> tl::enums::updates::State {
    tl::types::updates::State {
        pts,
        qts,
        date,
        seq,
        unread_count: 0,
    }
    .into()
}

pub(super) fn nothing_new() -> Answer {
    let empty = tl::types::updates::DifferenceEmpty { date: 10, seq: 0 };
    Answer::Difference(empty.into())
}

pub(super) fn difference(messages: &[i32], updates: Vec<U>, pts: i32) -> Answer {
    let whole = tl::types::updates::Difference {
        new_messages: messages.iter().map(|id| message(None, *id)).collect(),
        new_encrypted_messages: vec![],
        other_updates: updates,
        chats: vec![],
        users: vec![],
        state: state(pts, 0, 10, 0),
    };
    Answer::Difference(whole.into())
}

pub(super) fn slice(messages: &[i32], updates: Vec<U>, pts: i32) -> Answer {
    let slice = tl::types::updates::DifferenceSlice {
        new_messages: messages.iter().map(|id| message(None, *id)).collect(),
        new_encrypted_messages: vec![],
        other_updates: updates,
        chats: vec![],
        users: vec![],
        intermediate_state: state(pts, 0, 10, 0),
    };
    Answer::Difference(slice.into())
}

pub(super) fn channel_part(messages: &[i32], updates: Vec<U>, pts: i32, last: bool) -> Answer {
    let part = tl::types::updates::ChannelDifference {
        r#final: last,
        pts,
        timeout: None,
        new_messages: messages.iter().map(|id| message(Some(CH), *id)).collect(),
        other_updates: updates,
        chats: vec![],
        users: vec![],
    };
    Answer::ChannelDifference(part.into())
}

pub(super) fn channel_empty(pts: i32, timeout: Option<i32>) -> Answer {
    let empty = tl::types::updates::ChannelDifferenceEmpty {
        r#final: true,
        pts,
        timeout,
    };
    Answer::ChannelDifference(empty.into())
}

pub(super) fn channel_too_long(messages: &[i32], pts: Option<i32>) -> Answer {
    let settings = tl::types::PeerNotifySettings {
        show_previews: None,
        silent: None,
        mute_until: None,
        ios_sound: None,
        android_sound: None,
        other_sound: None,
        stories_muted: None,
        stories_hide_sender: None,
        stories_ios_sound: None,
        stories_android_sound: None,
        stories_other_sound: None,
    };
    let dialog = tl::types::Dialog {
        pinned: false,
        unread_mark: false,
        view_forum_as_messages: false,
        peer: tl::types::PeerChannel { channel_id: CH }.into(),
        top_message: 0,
        read_inbox_max_id: 0,
        read_outbox_max_id: 0,
        unread_count: 0,
        unread_mentions_count: 0,
        unread_reactions_count: 0,
        unread_poll_votes_count: 0,
        notify_settings: settings.into(),
        pts,
        draft: None,
        folder_id: None,
        ttl_period: None,
    };
    let answer = tl::types::updates::ChannelDifferenceTooLong {
        r#final: true,
        timeout: None,
        dialog: dialog.into(),
        messages: messages.iter().map(|id| message(Some(CH), *id)).collect(),
        chats: vec![],
        users: vec![],
    };
    Answer::ChannelDifference(answer.into())
}

pub(super) fn account_at(pts: i32) -> Position {
    Position::Common(Common {
        pts,
        qts: 0,
        date: 5,
        seq: 0,
    })
}

pub(super) fn channel_at(id: i64, pts: i32) -> Position {
    Position::Channel {
        id,
        pts,
        behind: false,
    }
}

/// A page's updates in words, as `post 7`.
pub(super) fn words(page: &Page) -> Vec<String> {
    let word = |seen: &Seen| match &seen.update {
        U::NewMessage(u) => format!("private {}", u.message.id()),
        U::NewChannelMessage(u) => format!("post {}", u.message.id()),
        U::EditChannelMessage(u) => format!("edit {}", u.message.id()),
        U::DeleteChannelMessages(u) => format!("delete {}", u.messages[0]),
        U::PinnedChannelMessages(u) => format!("pin {}", u.messages[0]),
        U::ChannelMessageViews(u) => format!("views {}", u.id),
        other => format!("{other:?}"),
    };
    page.updates.iter().map(word).collect()
}

/// A driver, its time, and every page that it gave.
pub(super) struct Desk {
    pub(super) driver: Driver,
    pub(super) now: Instant,
    pub(super) pages: Vec<Page>,
    loaded: BTreeMap<BoxName, Position>,
}

impl Desk {
    pub(super) fn new(positions: &[Position]) -> Desk {
        let now = Instant::now();
        Desk {
            driver: Driver::load(positions.iter().copied(), 1, now),
            now,
            pages: Vec::new(),
            loaded: positions.iter().map(|p| (p.name(), *p)).collect(),
        }
    }

    /// A driver that has heard that there is nothing new.
    pub(super) fn live(positions: &[Position]) -> Desk {
        let mut desk = Desk::new(positions);
        let request = desk.only_request();
        assert_eq!(request.method(), "updates.getDifference");
        desk.answer(&request, nothing_new());
        desk
    }

    pub(super) fn push(&mut self, updates: UpdatesLike) {
        let pages = self.driver.push(updates, self.now);
        self.pages.extend(pages);
    }

    pub(super) fn answer(&mut self, request: &Request, answer: Answer) {
        let pages = self.driver.answer(request, answer, self.now);
        self.pages.extend(pages);
    }

    pub(super) fn fail(&mut self, request: &Request, failure: Failure) {
        let pages = self.driver.failed(request, failure, self.now);
        self.pages.extend(pages);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Goes to the driver's next moment.
    pub(super) fn pass_to_deadline(&mut self) -> Duration {
        let deadline = self.driver.deadline().expect("something is planned");
        let pause = deadline.saturating_duration_since(self.now);
        self.now += pause;
        pause
    }

    pub(super) fn requests(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.driver.next_request(self.now)).collect()
    }

    #[track_caller]
    pub(super) fn only_request(&mut self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// The one channel difference that is asked, and from where.
    #[track_caller]
    pub(super) fn channel_request(&mut self) -> (Request, i32) {
        match self.only_request() {
            Request::ChannelDifference { channel, call } => {
                let pts = call.pts;
                (Request::ChannelDifference { channel, call }, pts)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The words of all pages so far, taken away.
    pub(super) fn told(&mut self) -> Vec<String> {
        self.keep_positions();
        self.pages.drain(..).flat_map(|page| words(&page)).collect()
    }

    /// The gaps of all pages so far: after, until, cause.
    pub(super) fn gaps(&self) -> Vec<(Option<i64>, Option<i64>, GapCause)> {
        let gaps = self.pages.iter().flat_map(|page| &page.gaps);
        gaps.map(|(_, gap)| (gap.after_pts, gap.until_pts, gap.cause))
            .collect()
    }

    fn keep_positions(&mut self) {
        for position in self.pages.iter().flat_map(|page| &page.positions) {
            self.loaded.insert(position.name(), *position);
        }
    }

    /// The position that the log has.
    pub(super) fn position(&mut self, name: BoxName) -> Option<Position> {
        self.keep_positions();
        self.loaded.get(&name).copied()
    }

    pub(super) fn channel_pts(&mut self, id: i64) -> Option<i32> {
        match self.position(BoxName::Channel(id))? {
            Position::Channel { pts, .. } => Some(pts),
            Position::Common(_) => None,
        }
    }

    pub(super) fn account_pts(&mut self) -> Option<i32> {
        match self.position(BoxName::Common)? {
            Position::Common(common) => Some(common.pts),
            Position::Channel { .. } => None,
        }
    }

    /// Kills the program and starts it again from what the log has.
    pub(super) fn restart(&mut self) {
        self.keep_positions();
        let positions = self.loaded.values().copied();
        self.driver = Driver::load(positions, 1, self.now);
        self.pages.clear();
    }
}

/// A channel as a member sees it, with its access hash: the shortest bytes that are one.
pub(super) fn full_channel(id: i64) -> tl::enums::Chat {
    use grammers_tl_types::{Deserializable, Identifiable, Serializable};
    let mut bytes = tl::types::Channel::CONSTRUCTOR_ID.to_bytes();
    (1_u32 << 13).serialize(&mut bytes); // flags: an access hash
    0_u32.serialize(&mut bytes);
    id.serialize(&mut bytes);
    77_i64.serialize(&mut bytes);
    String::from("title").serialize(&mut bytes);
    tl::enums::ChatPhoto::Empty.serialize(&mut bytes);
    0_i32.serialize(&mut bytes);
    tl::enums::Chat::from_bytes(&bytes).expect("a channel")
}

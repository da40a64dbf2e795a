//! What the library's own update loop loses.
//!
//! Each test asserts the loss. One that fails after an upgrade of the library shows that it is mended there, and that
//! the cure on our side is no longer needed. That nothing of this is lost on our side is shown by the tests of the driver and
//! of the account.

use std::sync::Arc;

use datacentre::{ChannelSpec, DataCentre, Delivery, Reaction, RpcError, Rule, UserSpec};
use grammers_client::client::UpdateStream;
use grammers_client::tl;
use grammers_session::Session;
use grammers_session::storages::MemorySession;
use grammers_session::types::{ChannelState, UpdateState, UpdatesState};
use tl::enums::Update as U;

use crate::support::{Visitor, in_time, meet, session_with, start};

/// The channel by which a test knows that the loop has come so far.
const LAST_WORD: &str = "the last word";

/// A data centre and a session that has seen all that happened in it until now.
struct Away {
    dc: DataCentre,
    session: Arc<MemorySession>,
    /// In this one nothing happens but the last word.
    other: i64,
    channel: i64,
}

impl Away {
    async fn new() -> Self {
        let dc = start().await;
        // The loop asks for the difference of a channel again and again otherwise.
        dc.change_limits(|limits| limits.channel_timeout = None);
        let channel = dc.add_channel(ChannelSpec::broadcast("Signals"));
        let other = dc.add_channel(ChannelSpec::broadcast("Other"));
        for number in 0..3 {
            dc.post(channel, format!("seen {number}"));
        }
        let session = session_with(&dc, dc.auth_key()).await;
        meet(&session, &dc, &[channel, other]).await;
        let away = Self {
            dc,
            session,
            other,
            channel,
        };
        away.remember(&[channel, other]).await;
        away
    }

    /// Saves the positions as they are now.
    async fn remember(&self, channels: &[i64]) {
        let positions = channels.iter().map(|id| ChannelState {
            id: *id,
            pts: self.dc.channel_pts(*id),
        });
        let state = UpdatesState {
            pts: self.dc.common_pts(0),
            qts: 1,
            // Later than all that happens: the difference of the account names no channels.
            date: i32::MAX,
            seq: 1,
            channels: positions.collect(),
        };
        let kept = self.session.set_update_state(UpdateState::All(state)).await;
        kept.expect("kept in memory");
    }

    async fn saved_pts(&self, channel: i64) -> Option<i32> {
        let state = self.session.updates_state().await.expect("kept in memory");
        let found = state.channels.iter().find(|state| state.id == channel);
        found.map(|state| state.pts)
    }

    /// Comes back with the library's loop.
    async fn back(&self) -> (Visitor, UpdateStream) {
        let mut visitor = Visitor::with_session(Arc::clone(&self.session));
        let stream = visitor.stream(true).await;
        (visitor, stream)
    }

    /// Waits until something is so of the data centre, and then says the last word in the other channel, while the
    /// loop runs. What it gave out of the channel before that: posts, edits, deleted ids.
    async fn heard(
        &self,
        stream: &mut UpdateStream,
        is_so: impl Fn(&DataCentre) -> bool,
    ) -> [usize; 3] {
        let updates = self.updates(stream, is_so).await;
        let mut counts = [0; 3];
        updates
            .iter()
            .for_each(|update| count(update, self.channel, &mut counts));
        counts
    }

    /// The same: the updates themselves, of all channels.
    async fn updates(
        &self,
        stream: &mut UpdateStream,
        is_so: impl Fn(&DataCentre) -> bool,
    ) -> Vec<U> {
        let mut updates = Vec::new();
        let listening = async {
            loop {
                let (update, ..) = stream.next_raw().await.expect("an update");
                if is_last_word(&update) {
                    return;
                }
                updates.push(update);
            }
        };
        let speaking = async {
            self.dc.until(is_so).await;
            self.dc.post(self.other, LAST_WORD);
        };
        in_time("the last word", async { tokio::join!(listening, speaking) }).await;
        updates
    }

    /// The same, when both channels have been asked for: the loop does that before it looks at what is pushed.
    async fn heard_of_both(&self, stream: &mut UpdateStream) -> [usize; 3] {
        self.heard(stream, |dc| differences(dc) >= 2).await
    }

    fn post_many(&self, count: usize) {
        for number in 0..count {
            self.dc.post(self.channel, format!("missed {number}"));
        }
    }
}

fn differences(dc: &DataCentre) -> usize {
    dc.count("updates.getChannelDifference")
}

fn text_of(message: &tl::enums::Message) -> &str {
    match message {
        tl::enums::Message::Message(message) => &message.message,
        _ => "",
    }
}

fn is_last_word(update: &U) -> bool {
    matches!(update, U::NewChannelMessage(it) if text_of(&it.message) == LAST_WORD)
}

fn count(update: &U, channel: i64, counts: &mut [usize; 3]) {
    let is_here = |message: &tl::enums::Message| match message {
        tl::enums::Message::Message(it) => it.peer_id == datacentre::channel_peer(channel),
        _ => false,
    };
    match update {
        U::NewChannelMessage(it) if is_here(&it.message) => counts[0] += 1,
        U::EditChannelMessage(it) if is_here(&it.message) => counts[1] += 1,
        U::DeleteChannelMessages(it) if it.channel_id == channel => counts[2] += it.messages.len(),
        _ => {}
    }
}

#[tokio::test]
async fn l1_edits_and_deletions_in_a_final_channel_difference_are_lost() {
    let away = Away::new().await;
    away.dc.edit(away.channel, 1, "seen 0, corrected");
    away.dc.delete(away.channel, &[2]);
    away.dc.post(away.channel, "missed");
    let (_visitor, mut stream) = away.back().await;
    let [posts, edits, deletions] = away.heard_of_both(&mut stream).await;
    assert_eq!((posts, edits, deletions), (1, 0, 0), "1, 1 and 1 happened");
}

#[tokio::test]
async fn l1_is_about_the_final_one_only() {
    let away = Away::new().await;
    away.dc
        .change_limits(|limits| limits.channel_difference = 1);
    away.dc.edit(away.channel, 1, "seen 0, corrected");
    away.dc.delete(away.channel, &[2]);
    away.dc.post(away.channel, "missed");
    let (_visitor, mut stream) = away.back().await;
    let heard = away.heard(&mut stream, |dc| differences(dc) >= 4).await;
    assert_eq!(heard, [1, 1, 1]);
}

/// Fifty posts that were not pushed, and then a hint, with the pts of the channel or without.
async fn hinted(tells_pts: bool) -> [usize; 3] {
    let away = Away::new().await;
    let (_visitor, mut stream) = away.back().await;
    let heard = away.heard_of_both(&mut stream).await;
    assert_eq!(heard, [0; 3], "nothing was missed");
    away.dc.deliver(Delivery::Withheld);
    away.post_many(50);
    away.dc.deliver(Delivery::Live);
    away.dc.channel_too_long(away.channel, tells_pts);
    away.heard(&mut stream, |dc| differences(dc) >= 3).await
}

#[tokio::test]
async fn l2_a_hint_with_the_pts_of_a_channel_loses_all_up_to_it() {
    assert_eq!(hinted(true).await, [0, 0, 0], "50 posts happened");
    assert_eq!(hinted(false).await, [50, 0, 0]);
}

#[tokio::test]
async fn l3_a_channel_difference_that_is_too_long_is_skipped_in_silence() {
    let away = Away::new().await;
    away.dc.change_limits(|limits| {
        limits.channel_difference_too_long = 10;
        limits.too_long_messages = 5;
    });
    away.post_many(51);
    let (_visitor, mut stream) = away.back().await;
    let heard = away.heard_of_both(&mut stream).await;
    assert_eq!(heard, [0, 0, 0], "51 posts happened, of which 5 were told");
    stream.sync_update_state().await.expect("kept in memory");
    let saved = away.saved_pts(away.channel).await;
    assert_eq!(
        saved,
        Some(away.dc.channel_pts(away.channel)),
        "and it is over them"
    );
}

#[tokio::test]
async fn l3_a_difference_of_the_account_that_is_too_long_is_skipped_in_silence() {
    let away = Away::new().await;
    away.dc
        .change_limits(|limits| limits.difference_too_long = 3);
    let friend = away.dc.add_user(UserSpec::named("Friend"));
    for number in 0..5 {
        away.dc.receive(0, friend, format!("missed {number}"));
    }
    let (_visitor, mut stream) = away.back().await;
    let updates = away.updates(&mut stream, |dc| differences(dc) >= 2).await;
    assert!(updates.is_empty(), "5 messages came: {updates:?}");
}

#[tokio::test]
async fn l4_a_channel_without_an_access_hash_is_given_up() {
    let mut away = Away::new().await;
    away.session = session_with(&away.dc, away.dc.auth_key()).await;
    meet(&away.session, &away.dc, &[away.other]).await;
    away.remember(&[away.channel, away.other]).await;
    away.post_many(5);
    let (_visitor, mut stream) = away.back().await;
    let heard = away.heard(&mut stream, |dc| differences(dc) >= 1).await;
    assert_eq!(heard, [0, 0, 0], "5 posts happened");
    assert_eq!(differences(&away.dc), 1, "nobody asked");
    stream.sync_update_state().await.expect("kept in memory");
    assert_eq!(
        away.saved_pts(away.channel).await,
        None,
        "and where it was is forgotten"
    );
}

#[tokio::test]
async fn l5_a_channel_that_always_fails_stops_all_others() {
    let away = Away::new().await;
    let poison = Reaction::Fail(RpcError::new(400, "CHANNEL_INVALID"));
    let rule = Rule::on("updates.getChannelDifference", poison);
    away.dc.add_fault(rule.channel(away.channel));
    for number in 0..5 {
        away.dc.post(away.other, format!("healthy {number}"));
    }
    let (_visitor, mut stream) = away.back().await;
    for _ in 0..50 {
        let next = in_time("an answer", stream.next_raw()).await;
        let error = next.err().map(|error| error.is("CHANNEL_INVALID"));
        assert_eq!(
            error,
            Some(true),
            "only the same error, and no post of the other"
        );
    }
    assert_eq!(
        differences(&away.dc),
        50,
        "all of them for the one that fails"
    );
}

#[tokio::test]
async fn l6_listing_the_dialogs_loses_what_was_missed() {
    for (lists, posts) in [(true, 0), (false, 5)] {
        let away = Away::new().await;
        away.post_many(5);
        if lists {
            let before = Visitor::with_session(Arc::clone(&away.session));
            let mut dialogs = before.client.iter_dialogs();
            while dialogs.next().await.expect("a dialog").is_some() {}
            let saved = away.saved_pts(away.channel).await;
            assert_eq!(saved, Some(away.dc.channel_pts(away.channel)));
        }
        let (_visitor, mut stream) = away.back().await;
        let heard = away.heard_of_both(&mut stream).await;
        assert_eq!(heard, [posts, 0, 0], "5 posts happened");
    }
}

#[tokio::test]
async fn a_session_that_the_server_made_anew_is_told_to_nobody() {
    let away = Away::new().await;
    let mut visitor = Visitor::with_session(Arc::clone(&away.session));
    visitor.arrive().await;
    // What happened in between is for a difference, of which the client should be told.
    away.dc.announce_sessions();
    away.dc.post(away.other, LAST_WORD);
    let next = visitor.pushed().await;
    let is_post = matches!(&next, tl::enums::Updates::Updates(it) if is_last_word(&it.updates[0]));
    assert!(is_post, "{next:?}");
}

#[tokio::test]
async fn an_update_that_cannot_be_read_costs_its_neighbours() {
    let away = Away::new().await;
    let (_visitor, mut stream) = away.back().await;
    away.heard_of_both(&mut stream).await;
    let views = tl::types::UpdateChannelMessageViews {
        channel_id: away.channel,
        id: 1,
        views: 7,
    };
    away.dc.push(0, views.clone().into());
    let updates = away.updates(&mut stream, |_| true).await;
    assert_eq!(updates, [views.clone().into()]);
    away.dc.push_garbled(0, vec![views.into()]);
    let updates = away.updates(&mut stream, |_| true).await;
    assert!(
        updates.is_empty(),
        "views were in the same container: {updates:?}"
    );
}

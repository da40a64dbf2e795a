//! What the data centre pushes, and how it wraps it.

use datacentre::{
    Attach, ChannelSpec, DataCentre, Delivery, Draft, Order, PollSpec, Preview, Style, UserSpec,
    channel_peer, group_peer,
};
use grammers_client::tl;
use grammers_session::updates::UpdatesLike;
use tl::enums::{Update as U, Updates};

use crate::support::{Visitor, start};

async fn with_channel() -> (DataCentre, i64, Visitor) {
    let dc = start().await;
    let channel = dc.add_channel(ChannelSpec::broadcast("Signals"));
    let visitor = Visitor::new(&dc).await;
    visitor.arrive().await;
    (dc, channel, visitor)
}

/// The updates in the next container.
async fn next(visitor: &mut Visitor) -> Vec<U> {
    match visitor.pushed().await {
        Updates::Updates(container) => container.updates,
        other => panic!("{other:?}"),
    }
}

async fn next_one(visitor: &mut Visitor) -> U {
    let updates = next(visitor).await;
    let count = updates.len();
    updates
        .into_iter()
        .next()
        .filter(|_| count == 1)
        .expect("one update")
}

async fn next_post(visitor: &mut Visitor) -> tl::types::Message {
    match next_one(visitor).await {
        U::NewChannelMessage(new) => match new.message {
            tl::enums::Message::Message(message) => message,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// The pts of a channel's update and how many it counts for.
fn counted(update: &U) -> Option<(i32, i32)> {
    Some(match update {
        U::NewChannelMessage(it) => (it.pts, it.pts_count),
        U::EditChannelMessage(it) => (it.pts, it.pts_count),
        U::DeleteChannelMessages(it) => (it.pts, it.pts_count),
        U::PinnedChannelMessages(it) => (it.pts, it.pts_count),
        U::ChannelWebPage(it) => (it.pts, it.pts_count),
        _ => return None,
    })
}

#[tokio::test]
async fn everything_that_happens_in_a_channel_is_pushed_with_its_pts() {
    let (dc, channel, mut visitor) = with_channel().await;
    let first = dc.post(channel, "one");
    let second = dc.post(channel, "two");
    dc.edit(channel, first, "one, corrected");
    dc.pin(channel, &[first], true);
    dc.preview(channel, &Preview::new(7, "https://example.org", "Example"));
    dc.reactions_as_edit(channel, first, &[("\u{1f44d}", 3)]);
    dc.delete(channel, &[first, second]);
    let mut expected = 1;
    for _ in 0..7 {
        let update = next_one(&mut visitor).await;
        let (pts, count) = counted(&update).expect("an update with pts");
        expected += count;
        assert_eq!(pts, expected, "{update:?}");
    }
    assert_eq!((expected, dc.channel_pts(channel)), (9, 9));
    assert!(dc.messages(channel).is_empty());
}

#[tokio::test]
async fn counters_come_without_pts() {
    let (dc, channel, mut visitor) = with_channel().await;
    let poll = PollSpec::new(9, "Up or down?", &["up", "down"]);
    let id = dc.post(channel, Draft::from("").poll(&poll));
    next_post(&mut visitor).await;
    dc.views(channel, id, 100);
    dc.forwards(channel, id, 5);
    dc.reactions(channel, id, &[("\u{1f525}", 2)]);
    dc.votes(channel, id, &poll.votes(&[3, 1]));
    let pts = dc.channel_pts(channel);
    let views = next_one(&mut visitor).await;
    assert!(
        matches!(&views, U::ChannelMessageViews(it) if it.views == 100),
        "{views:?}"
    );
    let forwards = next_one(&mut visitor).await;
    assert!(
        matches!(&forwards, U::ChannelMessageForwards(it) if it.forwards == 5),
        "{forwards:?}"
    );
    let reactions = next_one(&mut visitor).await;
    assert!(
        matches!(&reactions, U::MessageReactions(it) if it.msg_id == id),
        "{reactions:?}"
    );
    let votes = next_one(&mut visitor).await;
    assert!(
        matches!(&votes, U::MessagePoll(it) if it.poll_id == 9),
        "{votes:?}"
    );
    assert_eq!(dc.channel_pts(channel), pts);
    let [tl::enums::Message::Message(message)] = &dc.messages(channel)[..] else {
        panic!("one message");
    };
    assert_eq!((message.views, message.forwards), (Some(100), Some(5)));
}

#[tokio::test]
async fn two_accounts_see_one_channel_each_with_a_hash_of_its_own() {
    let dc = start().await;
    let channel = dc.add_channel(ChannelSpec::broadcast("Signals"));
    let second = dc.add_account(UserSpec::named("Second"));
    let key = dc.add_key(Some(second));
    let mut visitors = [Visitor::new(&dc).await, Visitor::with_key(&dc, key).await];
    for visitor in &visitors {
        visitor.arrive().await;
    }
    dc.post(channel, "to both");
    dc.set_member(channel, second, false);
    dc.post(channel, "to the first");
    dc.set_member(channel, second, true);
    dc.post(channel, "to both again");
    let mut seen = Vec::new();
    for (account, visitor) in visitors.iter_mut().enumerate() {
        let Updates::Updates(container) = visitor.pushed().await else {
            panic!("another container");
        };
        let [tl::enums::Chat::Channel(chat)] = &container.chats[..] else {
            panic!("{:?}", container.chats);
        };
        assert_eq!(chat.access_hash, Some(dc.access_hash(channel, account)));
        seen.push(next_post(visitor).await.message);
    }
    assert_eq!(seen, ["to the first", "to both again"]);
    assert_ne!(dc.access_hash(channel, 0), dc.access_hash(channel, second));
}

#[tokio::test]
async fn private_chats_and_groups_count_in_the_box_of_the_account() {
    let dc = start().await;
    let second = dc.add_account(UserSpec::named("Second"));
    let friend = dc.add_user(UserSpec::named("Friend"));
    let group = dc.add_group("Friends", &[0, second]);
    let mut visitor = Visitor::new(&dc).await;
    visitor.arrive().await;
    let private = dc.receive(0, friend, "hello");
    let in_group = dc.post_in_group(group, friend, "hello all");
    dc.edit_for(0, private, "hello again");
    dc.delete_for(0, &[in_group]);
    let updates = [
        next_one(&mut visitor).await,
        next_one(&mut visitor).await,
        next_one(&mut visitor).await,
        next_one(&mut visitor).await,
    ];
    let [
        U::NewMessage(first),
        U::NewMessage(second_one),
        U::EditMessage(edit),
        U::DeleteMessages(gone),
    ] = &updates
    else {
        panic!("{updates:?}");
    };
    let tl::enums::Message::Message(message) = &second_one.message else {
        panic!("{second_one:?}");
    };
    assert_eq!(message.peer_id, group_peer(group));
    assert_eq!(
        (first.pts, second_one.pts, edit.pts, gone.pts),
        (2, 3, 4, 5)
    );
    assert_eq!(gone.messages, [in_group]);
    assert_eq!((dc.common_pts(0), dc.common_pts(second)), (5, 2));
    assert_eq!(dc.id_in_group(group, in_group, second), Some(1));
    assert_eq!(in_group, 2, "ids are the account's own");
}

#[tokio::test]
async fn a_group_becomes_a_supergroup_and_both_say_so() {
    let dc = start().await;
    let stranger = dc.add_account(UserSpec::named("Stranger"));
    let friend = dc.add_user(UserSpec::named("Friend"));
    let group = dc.add_group("Friends", &[0]);
    let mut visitor = Visitor::new(&dc).await;
    visitor.arrive().await;
    let supergroup = dc.move_group(group, friend, ChannelSpec::supergroup("Friends"));
    let Updates::Updates(container) = visitor.pushed().await else {
        panic!("another container");
    };
    assert!(matches!(container.updates[..], [U::NewMessage(_)]));
    let ids: Vec<_> = container.chats.iter().map(tl::enums::Chat::id).collect();
    assert_eq!(ids, [group, supergroup]);
    let came = next_one(&mut visitor).await;
    assert_eq!(counted(&came), Some((2, 1)));
    let request = tl::functions::messages::GetChats { id: vec![group] };
    let chats = visitor.ask(&request);
    let tl::enums::messages::Chats::Chats(chats) = chats.await.expect("a group") else {
        panic!("a slice");
    };
    let [tl::enums::Chat::Chat(chat)] = &chats.chats[..] else {
        panic!("{:?}", chats.chats);
    };
    let moved = tl::types::InputChannel {
        channel_id: supergroup,
        access_hash: dc.access_hash(supergroup, 0),
    };
    assert_eq!(
        (chat.deactivated, &chat.migrated_to),
        (true, &Some(moved.into()))
    );
    assert_eq!(dc.common_pts(stranger), 1);
}

#[tokio::test]
async fn updates_are_wrapped_as_asked_for() {
    let dc = start().await;
    let friend = dc.add_user(UserSpec::named("Friend"));
    let group = dc.add_group("Friends", &[0]);
    let channel = dc.add_channel(ChannelSpec::broadcast("Signals"));
    let mut visitor = Visitor::new(&dc).await;
    visitor.arrive().await;
    dc.wrap_in(Style::Short);
    dc.receive(0, friend, "short");
    dc.post_in_group(group, friend, "short in a group");
    dc.post(channel, "short in a channel");
    let short = visitor.pushed().await;
    assert!(
        matches!(&short, Updates::UpdateShortMessage(it) if it.user_id == friend),
        "{short:?}"
    );
    let short = visitor.pushed().await;
    assert!(
        matches!(&short, Updates::UpdateShortChatMessage(it) if it.chat_id == group),
        "{short:?}"
    );
    let short = visitor.pushed().await;
    assert!(matches!(&short, Updates::UpdateShort(_)), "{short:?}");
    dc.wrap_in(Style::Sequenced);
    dc.post(channel, "sequenced");
    let sequenced = visitor.pushed().await;
    assert!(
        matches!(&sequenced, Updates::Updates(it) if it.seq == 2),
        "{sequenced:?}"
    );
    dc.wrap_in(Style::Combined);
    dc.post(channel, "combined");
    let combined = visitor.pushed().await;
    let is_combined =
        matches!(&combined, Updates::Combined(it) if (it.seq_start, it.seq) == (3, 4));
    assert!(is_combined, "{combined:?}");
}

#[tokio::test]
async fn what_happens_together_comes_in_one_container() {
    let (dc, channel, mut visitor) = with_channel().await;
    dc.together(|dc| {
        for part in 1..=3 {
            dc.post(channel, Draft::from(format!("part {part}")).album(77));
        }
    });
    assert_eq!(next(&mut visitor).await.len(), 3);
}

#[tokio::test]
async fn pushes_are_withheld_doubled_and_reordered() {
    let (dc, channel, mut visitor) = with_channel().await;
    dc.deliver(Delivery::Withheld);
    dc.post(channel, "never");
    dc.deliver(Delivery::Twice);
    dc.post(channel, "twice");
    dc.deliver(Delivery::Held);
    dc.post(channel, "before");
    dc.post(channel, "after");
    dc.release(Order::Reversed);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(next_post(&mut visitor).await.message);
    }
    assert_eq!(seen, ["twice", "twice", "after", "before"]);
}

#[tokio::test]
async fn channels_are_attached_in_full_or_less() {
    let (dc, channel, mut visitor) = with_channel().await;
    let mut hashes = Vec::new();
    for attach in [Attach::Min, Attach::NoHash, Attach::Nothing] {
        dc.attach_channel(channel, attach);
        dc.post(channel, "with less");
        let Updates::Updates(container) = visitor.pushed().await else {
            panic!("another container");
        };
        let chats = container.chats.into_iter().map(|chat| match chat {
            tl::enums::Chat::Channel(chat) => (chat.min, chat.access_hash),
            other => panic!("{other:?}"),
        });
        hashes.push(chats.collect::<Vec<_>>());
    }
    let [min, none, nothing] = &hashes[..] else {
        panic!("{hashes:?}");
    };
    assert!(matches!(min[..], [(true, Some(hash))] if hash != dc.access_hash(channel, 0)));
    assert_eq!((&none[..], &nothing[..]), (&[(true, None)][..], &[][..]));
}

#[tokio::test]
async fn changes_of_a_channel_and_hints_are_pushed() {
    let (dc, channel, mut visitor) = with_channel().await;
    dc.change_channel(channel, |channel| {
        channel.title = "Better signals".to_owned()
    });
    let Updates::Updates(container) = visitor.pushed().await else {
        panic!("another container");
    };
    let [tl::enums::Chat::Channel(chat)] = &container.chats[..] else {
        panic!("{:?}", container.chats);
    };
    assert_eq!(chat.title, "Better signals");
    assert!(matches!(container.updates[..], [U::Channel(_)]));
    dc.channel_too_long(channel, true);
    let hint = next_one(&mut visitor).await;
    assert!(
        matches!(&hint, U::ChannelTooLong(it) if it.pts == Some(1)),
        "{hint:?}"
    );
}

#[tokio::test]
async fn any_update_and_any_container_can_be_pushed() {
    let (dc, channel, mut visitor) = with_channel().await;
    dc.common_update(0, 2, |pts| {
        tl::types::UpdateReadHistoryInbox {
            folder_id: None,
            peer: channel_peer(channel),
            top_msg_id: None,
            max_id: 1,
            still_unread_count: 0,
            pts,
            pts_count: 2,
        }
        .into()
    });
    assert!(matches!(next_one(&mut visitor).await, U::ReadHistoryInbox(it) if it.pts == 3));
    dc.secondary_update(0, |qts| {
        tl::types::UpdateBotStopped {
            user_id: 1,
            date: 2,
            stopped: true,
            qts,
        }
        .into()
    });
    assert!(matches!(next_one(&mut visitor).await, U::BotStopped(it) if it.qts == 2));
    dc.push(0, U::Config);
    assert_eq!(next_one(&mut visitor).await, U::Config);
    dc.push_updates(0, &Updates::TooLong);
    assert_eq!(visitor.pushed().await, Updates::TooLong);
}

#[tokio::test]
async fn a_container_with_something_unknown_cannot_be_read_by_the_client() {
    let (dc, channel, mut visitor) = with_channel().await;
    dc.push_garbled(0, vec![U::Config]);
    let next = visitor.next_update().await;
    assert!(matches!(next, UpdatesLike::MalformedUpdates), "{next:?}");
    dc.post(channel, "the line goes on");
    assert_eq!(next_post(&mut visitor).await.message, "the line goes on");
}

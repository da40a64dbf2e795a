//! What a client asks when nothing is wrong.

use datacentre::{ChannelSpec, Draft, UserSpec, channel_peer};
use grammers_client::tl;
use tl::functions as f;

use crate::support::{Visitor, error_name, start, start_with};

fn input_channel(channel_id: i64, access_hash: i64) -> tl::enums::InputChannel {
    tl::types::InputChannel {
        channel_id,
        access_hash,
    }
    .into()
}

fn input_peer(channel_id: i64, access_hash: i64) -> tl::enums::InputPeer {
    tl::types::InputPeerChannel {
        channel_id,
        access_hash,
    }
    .into()
}

fn history(peer: tl::enums::InputPeer, offset_id: i32, limit: i32) -> f::messages::GetHistory {
    f::messages::GetHistory {
        peer,
        offset_id,
        offset_date: 0,
        add_offset: 0,
        limit,
        max_id: 0,
        min_id: 0,
        hash: 0,
    }
}

fn ids(messages: &[tl::enums::Message]) -> Vec<i32> {
    messages.iter().map(tl::enums::Message::id).collect()
}

#[tokio::test]
async fn a_client_is_who_its_key_says() {
    let dc = start().await;
    let second = dc.add_account(UserSpec::named("Second").username("second"));
    let key = dc.add_key(Some(second));
    let first = Visitor::new(&dc).await;
    let other = Visitor::with_key(&dc, key).await;
    let me = first.client.get_me().await.expect("oneself");
    assert_eq!(me.username(), Some("mirror"));
    let me = other.client.get_me().await.expect("oneself");
    assert_eq!(me.id().bare_id_unchecked(), dc.user_of(second));
    assert_eq!(dc.count("users.getUsers"), 2);
    assert_eq!(dc.count("initConnection"), 2);
}

#[tokio::test]
async fn a_key_without_an_account_is_not_authorized() {
    let dc = start().await;
    let key = dc.add_key(None);
    let nobody = Visitor::with_key(&dc, key).await;
    let answer = nobody.ask(&f::updates::GetState {}).await;
    assert_eq!(error_name(answer), "AUTH_KEY_UNREGISTERED");
    let config = nobody.ask(&f::help::GetConfig {}).await;
    config.expect("anybody may ask this");
}

#[tokio::test]
async fn the_configuration_names_the_data_centres() {
    let dc = start_with(|options| options.other_dcs = vec![4]).await;
    let visitor = Visitor::new(&dc).await;
    let config = visitor.ask(&f::help::GetConfig {}).await.expect("a config");
    let tl::enums::Config::Config(config) = config;
    let told = config.dc_options.iter().map(|option| {
        let tl::enums::DcOption::Option(option) = option;
        (option.id, u16::try_from(option.port).expect("a port"))
    });
    let ports = [2, 4].map(|id| (id, dc.address_of(id).expect("an address").port()));
    assert_eq!(told.collect::<Vec<_>>(), ports);
    assert_eq!(config.this_dc, 2);
}

#[tokio::test]
async fn a_name_is_resolved_to_a_channel_with_the_hash_of_the_account() {
    let dc = start().await;
    let channel = dc.add_channel(ChannelSpec::broadcast("Signals").username("Signals"));
    let visitor = Visitor::new(&dc).await;
    let username = "signals".to_owned();
    let request = f::contacts::ResolveUsername {
        username,
        referer: None,
    };
    let tl::enums::contacts::ResolvedPeer::Peer(found) =
        visitor.ask(&request).await.expect("a channel");
    assert_eq!(found.peer, channel_peer(channel));
    let [tl::enums::Chat::Channel(chat)] = &found.chats[..] else {
        panic!("{:?}", found.chats);
    };
    assert_eq!(chat.access_hash, Some(dc.access_hash(channel, 0)));
    let unknown = f::contacts::ResolveUsername {
        username: "nobody".to_owned(),
        referer: None,
    };
    assert_eq!(
        error_name(visitor.ask(&unknown).await),
        "USERNAME_NOT_OCCUPIED"
    );
}

#[tokio::test]
async fn a_history_comes_in_pages_and_single_messages_by_id() {
    let dc = start().await;
    let channel = dc.add_channel(ChannelSpec::broadcast("Signals"));
    let hash = dc.access_hash(channel, 0);
    for number in 1..=7 {
        dc.seed(channel, format!("post {number}"), 1_700_000_000 + number);
    }
    dc.delete(channel, &[5]);
    let visitor = Visitor::new(&dc).await;
    let peer = input_peer(channel, hash);
    let page = visitor
        .ask(&history(peer.clone(), 0, 4))
        .await
        .expect("a page");
    let tl::enums::messages::Messages::ChannelMessages(page) = page else {
        panic!("{page:?}");
    };
    assert_eq!(ids(&page.messages), [7, 6, 4, 3]);
    assert_eq!((page.count, page.pts), (6, dc.channel_pts(channel)));
    let rest = visitor.ask(&history(peer, 3, 4)).await.expect("a page");
    let tl::enums::messages::Messages::ChannelMessages(rest) = rest else {
        panic!("{rest:?}");
    };
    assert_eq!(ids(&rest.messages), [2, 1]);

    let by_id = f::channels::GetMessages {
        channel: input_channel(channel, hash),
        id: [4, 5]
            .map(|id| tl::types::InputMessageId { id }.into())
            .into(),
    };
    let found = visitor.ask(&by_id).await.expect("messages");
    let tl::enums::messages::Messages::ChannelMessages(found) = found else {
        panic!("{found:?}");
    };
    let [
        tl::enums::Message::Message(four),
        tl::enums::Message::Empty(five),
    ] = &found.messages[..]
    else {
        panic!("{:?}", found.messages);
    };
    assert_eq!((four.message.as_str(), five.id), ("post 4", 5));
}

#[tokio::test]
async fn all_dialogs_are_listed_page_by_page() {
    let dc = start().await;
    let mut expected = Vec::new();
    for number in 0..205 {
        let channel = dc.add_channel(ChannelSpec::broadcast(&format!("Channel {number}")));
        dc.seed(channel, "hello", 1_700_000_000 + number);
        expected.push(channel);
    }
    let group = dc.add_group("Friends", &[0]);
    let friend = dc.add_user(UserSpec::named("Friend"));
    dc.post_in_group(group, friend, "in the group");
    dc.receive(0, friend, "in private");
    expected.extend([group, friend]);
    let visitor = Visitor::new(&dc).await;
    let mut dialogs = visitor.client.iter_dialogs();
    let mut found = Vec::new();
    while let Some(dialog) = dialogs.next().await.expect("a dialog") {
        found.push(dialog.peer_id().bare_id_unchecked());
    }
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(dc.count("messages.getDialogs") >= 3);
}

#[tokio::test]
async fn a_wrong_hash_and_a_ban_are_told_apart() {
    let dc = start().await;
    let channel = dc.add_channel(ChannelSpec::supergroup("Talk"));
    let hash = dc.access_hash(channel, 0);
    let visitor = Visitor::new(&dc).await;
    let ask = |hash| f::channels::GetFullChannel {
        channel: input_channel(channel, hash),
    };
    let answer = visitor.ask(&ask(hash + 1)).await;
    assert_eq!(error_name(answer), "CHANNEL_INVALID");
    let full = visitor.ask(&ask(hash)).await.expect("a channel");
    let tl::enums::messages::ChatFull::Full(full) = full;
    let tl::enums::ChatFull::ChannelFull(full) = full.full_chat else {
        panic!("no channel");
    };
    assert_eq!(full.pts, 1);
    dc.forbid(channel, 0, true);
    assert_eq!(error_name(visitor.ask(&ask(hash)).await), "CHANNEL_PRIVATE");
}

#[tokio::test]
async fn long_answers_are_compressed_and_rich_messages_come_whole() {
    let dc = start_with(|options| options.pack_over = 200).await;
    let channel = dc.add_channel(ChannelSpec::broadcast("Signals"));
    let text = "BUY ".repeat(500);
    let draft = Draft::from(text.as_str())
        .bold(0, 3)
        .url_button("Chart", "https://example.org");
    let id = dc.post(channel, draft.counters(10, 2));
    let visitor = Visitor::new(&dc).await;
    let peer = input_peer(channel, dc.access_hash(channel, 0));
    let page = visitor.ask(&history(peer, 0, 1)).await.expect("a page");
    let tl::enums::messages::Messages::ChannelMessages(page) = page else {
        panic!("{page:?}");
    };
    assert_eq!(page.messages, dc.messages(channel));
    let [tl::enums::Message::Message(message)] = &page.messages[..] else {
        panic!("{:?}", page.messages);
    };
    assert_eq!((message.id, &message.message), (id, &text));
    assert_eq!((message.views, message.forwards), (Some(10), Some(2)));
    assert!(message.reply_markup.is_some() && message.post);
}

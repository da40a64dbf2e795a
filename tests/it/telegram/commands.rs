//! The operator's commands with the program itself: which channels there are, and their past, with a daemon and without.

use std::collections::BTreeMap;
use std::process::Output;

use datacentre::{ChannelSpec, Reaction, RpcError, Rule, UserSpec};
use grammers_tl_types as tl;
use serde_json::Value;
use telegram_gateway::daemon::Daemon;
use telegram_gateway::event::{Body, PeerId, PeerKind};
use telegram_gateway::source::telegram::session::Place;
use telegram_gateway::status::Status;

use super::login::Entrance;
use super::program::state;
use crate::support::gateway::{Gateway, Running, wait_until};

const RESOLVE: &str = "contacts.resolveUsername";
const HISTORY: &str = "messages.getHistory";
/// Long ago.
const DATE: i32 = 1_600_000_000;

fn marked(channel: i64) -> i64 {
    let peer = PeerId::new(PeerKind::Channel, channel);
    peer.expect("a channel").marked()
}

#[track_caller]
fn ends(ran: &Output, code: i32, told: &str) {
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert_eq!(ran.status.code(), Some(code), "{out}\n{err}");
    assert!(out.contains(told) || err.contains(told), "{out}\n{err}");
}

/// The report about one chat.
fn chat(chats: &Value, id: i64) -> Value {
    let chats = chats.as_array().expect("chats");
    let found = chats.iter().find(|chat| chat["id"] == id);
    found
        .unwrap_or_else(|| panic!("no {id} in {chats:?}"))
        .clone()
}

/// The titles of the channels that the log tells of.
fn titles(gateway: &Gateway) -> Vec<String> {
    if gateway.journal().is_none() {
        return Vec::new();
    }
    let events = tokio::runtime::Handle::current().block_on(gateway.events());
    let titles = events.into_iter().filter_map(|it| match it.event.body {
        Body::Channel(info) => info.title,
        _ => None,
    });
    titles.collect()
}

fn live(it: &Entrance) -> Running {
    let daemon = it.gateway.start(&["run"]);
    wait_until("it is live", || state(&it.gateway) == "live");
    daemon
}

/// An account in a channel with a name and in a supergroup, of which the channel is followed.
async fn two(more: &[&str]) -> (Entrance, i64, i64) {
    let mut it = Entrance::new(Some(0)).await;
    let mut follow = vec!["@signals"];
    follow.extend(more);
    it.gateway.set("TGW_TELEGRAM__FOLLOW", &follow.join(","));
    let spec = ChannelSpec::broadcast("Signals").username("signals");
    let signals = it.dc.add_channel(spec);
    let talk = it.dc.add_channel(ChannelSpec::supergroup("Talk\u{1b}[2J"));
    (it, signals, talk)
}

/// Texts by message id that the server has.
fn told(it: &Entrance, channel: i64) -> BTreeMap<i64, String> {
    let messages = it.dc.messages(channel).into_iter();
    let texts = messages.filter_map(|message| match message {
        tl::enums::Message::Message(message) => Some((i64::from(message.id), message.message)),
        _ => None,
    });
    texts.collect()
}

/// Texts by message id that the store shows, without those that were deleted.
fn shown(gateway: &Gateway) -> BTreeMap<i64, String> {
    use sqlx::ConnectOptions as _;
    let path = gateway.config().sqlite.expect("configured").path;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let rows = tokio::runtime::Handle::current().block_on(async {
        let mut connection = options.connect().await?;
        sqlx::query_as("select message_id, text from messages where deleted_at is null")
            .fetch_all(&mut connection)
            .await
    });
    // The store is made by the daemon that starts.
    let rows: Vec<(i64, String)> = rows.unwrap_or_default();
    rows.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_the_commands_open_the_session_themselves() {
    let (it, signals, talk) = two(&[]).await;
    tokio::task::block_in_place(|| alone(&it, signals, talk));
}

fn alone(it: &Entrance, signals: i64, talk: i64) {
    let gateway = &it.gateway;
    ends(&gateway.run(&["channels", "list"]), 1, "no log is in");
    let found = gateway.json(&["channels", "discover", "--dry-run", "--json"]);
    assert_eq!(found.as_array().map(Vec::len), Some(2));
    let followed = chat(&found, marked(signals));
    assert_eq!(followed["followed"], true);
    assert_eq!(followed["why"], "named");
    assert_eq!(followed["username"], "signals");
    assert_eq!(followed["member"], true);
    let other = chat(&found, marked(talk));
    assert_eq!(other["followed"], false);
    assert_eq!(other["kind"], "supergroup");
    assert_eq!(gateway.tail(), 0, "a dry run keeps nothing");
    let listed = gateway.json(&["channels", "list", "--json"]);
    assert_eq!(listed["unresolved"][0]["name"], "@signals");
    let text = gateway.ok(&["channels", "discover"]);
    assert!(text.contains("1 of 2 chats are mirrored"), "{text}");
    assert!(text.contains("Talk\\u{1b}[2J"), "no escapes: {text}");
    assert_eq!(titles(gateway), ["Signals"], "what is followed is told");
    gateway.ok(&["channels", "discover"]);
    assert_eq!(gateway.tail(), 1, "nothing is told twice");
    let listed = gateway.json(&["channels", "list", "--json"]);
    assert_eq!(listed["unresolved"], Value::Array(Vec::new()));
    assert_eq!(chat(&listed["chats"], marked(signals))["title"], "Signals");
    let resolved = gateway.json(&["channels", "resolve", "t.me/Signals", "--json"]);
    assert_eq!(resolved[0]["id"], marked(signals));
    assert_eq!(it.dc.count(RESOLVE), 0, "the name is known");
    let by_id = gateway.json(&["channels", "resolve", &marked(talk).to_string(), "--json"]);
    assert_eq!(by_id[0]["followed"], false);
    let backfill = gateway.run(&["backfill", "--channel", "@signals"]);
    ends(&backfill, 69, "start it: telegram-gateway run");
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_changes_nothing_and_says_why() {
    let (it, _, _) = two(&[]).await;
    it.dc.add_user(UserSpec::named("Ada").username("ada_l"));
    tokio::task::block_in_place(|| {
        let resolve = |chat: &str| it.gateway.run(&["channels", "resolve", chat]);
        ends(&resolve("signals"), 2, "write @name");
        let other = ["channels", "discover", "--account", "other"];
        ends(&it.gateway.run(&other), 2, "it names main");
        assert_eq!(it.dc.connections_made(), 0, "nobody was asked");
        assert!(it.gateway.journal().is_none(), "nothing was made");
        ends(&resolve("@nobody_here"), 1, "USERNAME_NOT_OCCUPIED");
        ends(&resolve("@ada_l"), 1, "no channel and no group");
        ends(&resolve("-1001999999999"), 1, "join it with this account");
        let wait = Reaction::Fail(RpcError::flood_wait(33));
        it.dc.add_fault(Rule::on(RESOLVE, wait).times(1));
        ends(&resolve("@signals"), 69, "FLOOD_WAIT");
        assert_eq!(it.gateway.tail(), 0);
        let claim = Place::new(&it.gateway.data_dir(), "main")
            .claim()
            .expect("free");
        let holder = format!("process {}", std::process::id());
        ends(&resolve("@signals"), 75, &holder);
        drop(claim);
        it.dc.refuse_connections(true);
        it.dc.cut();
        ends(&resolve("@signals"), 69, "no connection");
        it.dc.refuse_connections(false);
        ends(&resolve("@signals"), 0, "Signals");
        assert_eq!(titles(&it.gateway), ["Signals"]);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_logged_in_asks_nobody() {
    let it = Entrance::new(None).await;
    tokio::task::block_in_place(|| {
        let discover = || it.gateway.run(&["channels", "discover"]);
        ends(&discover(), 77, "telegram-gateway login");
        let mut daemon = it.gateway.start(&["run"]);
        wait_until("it says so", || state(&it.gateway) == "needs-login");
        ends(&discover(), 77, "needs-login");
        let order = it.gateway.run(&["backfill", "--channel", "durov"]);
        ends(&order, 2, "write @name");
        let order = it.gateway.run(&["backfill", "--channel", "-1000001000001"]);
        ends(&order, 77, "needs-login");
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_answers_over_the_connection_that_it_has() {
    let (it, signals, talk) = two(&[]).await;
    tokio::task::block_in_place(|| {
        let mut daemon = live(&it);
        let connections = it.dc.connections_made();
        let found = it.gateway.json(&["channels", "discover", "--json"]);
        assert_eq!(chat(&found, marked(signals))["followed"], true);
        assert_eq!(chat(&found, marked(talk))["followed"], false);
        let resolved = it
            .gateway
            .json(&["channels", "resolve", "@signals", "--json"]);
        assert_eq!(resolved[0]["id"], marked(signals));
        let unknown = it.gateway.run(&["channels", "resolve", "@nobody_here"]);
        ends(&unknown, 1, "check its spelling");
        it.dc.post(signals, "a word");
        wait_until("it is heard", || {
            let listed = it.gateway.json(&["channels", "list", "--json"]);
            let signals = chat(&listed["chats"], marked(signals));
            signals["last_message_id"].is_i64() && signals["age_seconds"].is_u64()
        });
        assert_eq!(
            it.dc.connections_made(),
            connections,
            "one session, one line"
        );
        assert_eq!(titles(&it.gateway), ["Signals"]);
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_names_are_resolved_at_the_start_and_one_that_leads_nowhere_is_shown() {
    let (it, signals, _) = two(&["@nobody_here", "@ada_l"]).await;
    it.dc.add_user(UserSpec::named("Ada").username("ada_l"));
    for n in 0..20 {
        it.dc.seed(signals, format!("old {n}").as_str(), DATE + n);
    }
    tokio::task::block_in_place(|| {
        let mut daemon = live(&it);
        // Nothing was posted: the name alone brings the channel and its past.
        wait_until("its past is shown", || {
            shown(&it.gateway) == told(&it, signals)
        });
        wait_until("the others are told", || {
            let names = unresolved(&it.gateway);
            names.len() == 2 && names.iter().all(|(_, why)| why != "not asked for yet")
        });
        let [ada, nobody] = &unresolved(&it.gateway)[..] else {
            panic!("two names")
        };
        assert_eq!((&*ada.0, &*nobody.0), ("@ada_l", "@nobody_here"));
        assert!(ada.1.contains("not the name of a channel"), "{ada:?}");
        assert!(nobody.1.contains("USERNAME_NOT_OCCUPIED"), "{nobody:?}");
        let text = it.gateway.ok(&["status"]);
        assert!(
            text.contains("unknown   @nobody_here: Telegram says"),
            "{text}"
        );
        let listed = it.gateway.ok(&["channels", "list"]);
        assert!(listed.contains("@ada_l is nobody yet"), "{listed}");
        assert_eq!(it.dc.count(RESOLVE), 3, "each once");
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
        assert!(
            daemon.words().contains("leads nowhere"),
            "{}",
            daemon.words()
        );
        let mut daemon = live(&it);
        wait_until("asked again after a restart", || it.dc.count(RESOLVE) == 5);
        it.dc.post(signals, "new");
        wait_until("and the stream goes on", || {
            shown(&it.gateway) == told(&it, signals)
        });
        assert_eq!(it.dc.count(RESOLVE), 5, "the known one is not");
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    });
}

/// The names that the running account shows as unknown, with the reasons.
fn unresolved(gateway: &Gateway) -> Vec<(String, String)> {
    let report = gateway.json(&["status", "--json"]);
    let names = report["accounts"][0]["unresolved"].as_array().cloned();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = names.unwrap_or_default().into_iter();
    names
        .map(|it| (word(&it["name"]), word(&it["reason"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_names_is_waited_out_and_holds_nothing_up() {
    let (mut it, signals, talk) = two(&["@nobody_here"]).await;
    let follow = format!("@signals,@nobody_here,{}", marked(talk));
    it.gateway.set("TGW_TELEGRAM__FOLLOW", &follow);
    let wait = Reaction::Fail(RpcError::flood_wait(3600));
    it.dc.add_fault(Rule::on(RESOLVE, wait));
    tokio::task::block_in_place(|| {
        let mut daemon = live(&it);
        wait_until("the wait is told", || {
            let names = unresolved(&it.gateway);
            names.iter().all(|(_, why)| why != "not asked for yet") && names.len() == 2
        });
        it.dc.post(talk, "goes on");
        wait_until("the stream goes on", || {
            shown(&it.gateway) == told(&it, talk)
        });
        assert_eq!(it.dc.count(RESOLVE), 1, "the method is left alone");
        it.dc.post(signals, "it is known by what it says");
        wait_until("seen, it is no riddle", || {
            unresolved(&it.gateway).len() == 1
        });
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    });
}

/// What is fetched of the one channel.
fn fetched(gateway: &Gateway) -> Value {
    gateway.json(&["backfill", "status", "--json"])[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_for_the_past_survives_a_kill_and_can_be_cancelled() {
    let (mut it, signals, talk) = two(&[]).await;
    it.gateway.set("TGW_TELEGRAM__BACKFILL_DEPTH", "0");
    it.dc.change_limits(|limits| limits.page = 10);
    let old: Vec<i32> = (0..60)
        .map(|n| it.dc.seed(signals, format!("old {n}").as_str(), DATE + n))
        .collect();
    tokio::task::block_in_place(|| past(&it, signals, talk, &old));
}

fn past(it: &Entrance, signals: i64, talk: i64, old: &[i32]) {
    let gateway = &it.gateway;
    let order = |more: &[&str]| gateway.run(&[&["backfill", "--channel"], more].concat());
    let daemon = live(it);
    wait_until("the name is known", || unresolved(gateway).is_empty());
    let talk = marked(talk).to_string();
    ends(&order(&[&talk]), 1, "telegram.follow");
    ends(
        &order(&["@nobody_here"]),
        1,
        "channels resolve @nobody_here",
    );
    ends(&order(&["-4242"]), 2, "only channels and supergroups");
    let cancel = ["backfill", "cancel", "--channel", "@signals"];
    ends(&gateway.run(&cancel), 1, "nothing is being fetched");
    assert_eq!(it.dc.count(HISTORY), 0, "nothing was ordered");
    it.dc.add_fault(Rule::on(HISTORY, Reaction::Hold));
    let since = old[20].to_string();
    ends(
        &order(&["@signals", "--since", &since]),
        0,
        "is being fetched",
    );
    let waits = |status: &Value| status["stretches"][0]["reason"] == "by-hand";
    assert!(waits(&fetched(gateway)), "{}", fetched(gateway));
    ends(&order(&["@signals", "--since", &since]), 1, "already");
    daemon.kill();
    assert!(waits(&fetched(gateway)), "by the log: {}", fetched(gateway));
    let text = gateway.ok(&["backfill", "status"]);
    assert!(text.contains("by-hand: 0 messages"), "{text}");
    let mut daemon = live(it);
    wait_until("it is asked for again", || it.dc.count(HISTORY) >= 2);
    it.dc.clear_faults();
    it.dc.release_answers();
    let wanted = |from: usize| {
        let mut wanted = told(it, signals);
        wanted.retain(|id, _| *id >= i64::from(old[from]));
        wanted
    };
    wait_until("what was ordered is shown", || shown(gateway) == wanted(20));
    wait_until("it is told", || fetched(gateway)["outcome"] == "filled");
    let held = it.dc.add_fault(Rule::on(HISTORY, Reaction::Hold));
    ends(
        &order(&["@signals", "--limit", "50"]),
        0,
        "is being fetched",
    );
    let status = gateway.ok(&["status"]);
    assert!(status.contains("Signals: by-hand: 0 messages"), "{status}");
    ends(&gateway.run(&cancel), 0, "is fetched any more");
    assert_eq!(fetched(gateway)["outcome"], "cancelled");
    it.dc.remove_fault(held);
    it.dc.release_answers();
    ends(
        &order(&["@signals", "--limit", "45", "--json"]),
        0,
        "waiting",
    );
    wait_until("the newest 45 are shown", || shown(gateway) == wanted(15));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    let over = gateway.json(&["backfill", "status", "--json"]);
    assert_eq!(over, Value::Array(Vec::new()), "nothing is left");
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_accounts_and_one_that_is_no_daemon_are_told_apart() {
    let (it, _, _) = two(&[]).await;
    tokio::task::block_in_place(|| {
        let source = ["run", "--source", "synthetic"];
        let mut daemon = it.gateway.start(&source);
        wait_until("it runs", || it.gateway.tail() > 0 && running(&it.gateway));
        let list = || it.gateway.run(&["channels", "list"]);
        ends(&list(), 1, "mirrors no account");
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
        assert_eq!(list().status.code(), Some(0), "by the log");
        let held = Daemon::open(it.gateway.config(), Status::new()).expect("a log");
        ends(&list(), 75, "stop the other process");
        tokio::runtime::Handle::current().block_on(held.close());
    });
}

fn running(gateway: &Gateway) -> bool {
    gateway.json(&["status", "--json"])["running"] == true
}

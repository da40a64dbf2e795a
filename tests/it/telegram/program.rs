//! The whole program on the live source: what the server has is in the log and in the stores, however often it is
//! killed and the connection is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datacentre::Options as Centre;
use serde_json::Value;
use telegram_gateway::event::{Body, Envelope, Message, PeerKind, Reaction};
use telegram_gateway::store::contract::MESSAGES;
use telegram_gateway::store::public::PublicRow;
use telegram_gateway::store::sqlite::Sqlite;
use telegram_gateway::store::timescale::Timescale;
use telegram_gateway::store::{Filter, Inspect, Snapshot as _};
use tokio::runtime::Handle;

use super::burst::{Burst, Known, Place, marked};
use super::login::Entrance;
use crate::support::gateway::{DEADLINE, Gateway, wait_until};

/// Kills in the ordinary suite; `TGW_TEST_KILLS` for more.
const KILLS: usize = 4;
/// Updates before a kill, and while the program is away.
const UPDATES: usize = 100;
const AWAY: usize = 10;

fn kills() -> usize {
    let set = std::env::var("TGW_TEST_KILLS").ok();
    set.map_or(KILLS, |text| text.parse().expect("TGW_TEST_KILLS"))
}

/// What is told of messages, by the log or by a store.
#[derive(Debug, Default, PartialEq)]
struct Told {
    there: BTreeMap<Place, Known>,
    gone: BTreeSet<Place>,
}

impl Told {
    /// The log, played.
    fn by(events: &[Envelope]) -> Told {
        let mut told = Told::default();
        for envelope in events {
            let event = &envelope.event;
            let (Some(peer), Some(id)) = (event.peer, event.body.message_id()) else {
                continue;
            };
            let at = (peer.marked(), id);
            match &event.body {
                Body::Posted(message) | Body::Edited { message, .. } => {
                    let _ = told.there.insert(at, known(message));
                }
                Body::Counters {
                    reactions: Some(given),
                    ..
                } => {
                    if let Some((_, count)) = told.there.get_mut(&at) {
                        *count = sum(given);
                    }
                }
                Body::Deleted { .. } => {
                    told.gone.insert(at);
                }
                _ => {}
            }
        }
        // Whatever came after it: a deletion is for good.
        told.there.retain(|at, _| !told.gone.contains(at));
        told
    }

    /// What a store shows, and the views that it shows.
    async fn in_store<P: Inspect>(store: &mut P) -> (Told, BTreeMap<Place, i64>) {
        let (mut told, mut views) = (Told::default(), BTreeMap::new());
        let mut snapshot = store.snapshot().await.expect("a snapshot");
        let mut take = |row: PublicRow| {
            let at = (number(&row, "peer_id"), number(&row, "message_id"));
            if !column(&row, "deleted_at").is_null() {
                told.gone.insert(at);
                return ControlFlow::Continue(());
            }
            views.insert(at, number(&row, "views"));
            let text = column(&row, "text").as_str().expect("a text").to_owned();
            let given = column(&row, "reactions").as_array();
            let counts = given.into_iter().flatten();
            let count = counts.map(|it| it["count"].as_i64().expect("a count"));
            assert!(
                told.there.insert(at, (text, count.sum())).is_none(),
                "one row a message"
            );
            ControlFlow::Continue(())
        };
        let all = Filter::default();
        let scanned = snapshot.scan(&MESSAGES, &all, &mut take).await;
        scanned.expect("rows");
        (told, views)
    }
}

fn known(message: &Message) -> Known {
    let given = message.reactions.as_deref().unwrap_or_default();
    (message.text.clone(), sum(given))
}

fn sum(given: &[Reaction]) -> i64 {
    given.iter().map(|it| it.count).sum()
}

fn column<'a>(row: &'a PublicRow, name: &str) -> &'a Value {
    let at = MESSAGES.columns.iter().position(|(it, _)| *it == name);
    &row[at.expect("a column")]
}

fn number(row: &PublicRow, name: &str) -> i64 {
    column(row, name).as_i64().unwrap_or_default()
}

fn events(gateway: &Gateway) -> Vec<Envelope> {
    Handle::current().block_on(gateway.events())
}

pub(super) fn state(gateway: &Gateway) -> Value {
    let said = gateway.run(&["status", "--json"]);
    let report: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
    report["accounts"][0]["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_has_is_in_log_and_store_after_kills_and_cuts_in_a_mixed_burst() {
    survives(Gateway::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_in_log_and_stores_behind_a_broker_too() {
    let Some(mut gateway) = Gateway::with_services().await else {
        return;
    };
    gateway.set("TGW_SQLITE__PATH", "beside.sqlite");
    survives(gateway).await;
}

async fn survives(mut gateway: Gateway) {
    gateway.set("TGW_TELEGRAM__FOLLOW", "all");
    gateway.set("TGW_TELEGRAM__PRIVATE_CHATS", "true");
    let it = Entrance::at(gateway, Centre::default(), Some(0)).await;
    let mut burst = Burst::new(Arc::clone(&it.dc));
    tokio::task::block_in_place(|| {
        let views = kill_and_cut(&it.gateway, &mut burst);
        let events = events(&it.gateway);
        compare(&it.gateway, &burst, &events, &views);
    });
}

/// The burst with its kills; then the views of some posts change, which no difference tells.
fn kill_and_cut(gateway: &Gateway, burst: &mut Burst) -> BTreeMap<Place, i64> {
    let mut daemon = gateway.start(&["run"]);
    wait_until("it is live", || state(gateway) == "live");
    burst.begin();
    until_all_is_told(gateway, burst);
    let mut random = fastrand::Rng::with_seed(200);
    for _ in 0..kills() {
        let before = gateway.tail();
        burst.go_on(UPDATES);
        let some = before + random.u64(1..UPDATES as u64 / 2);
        wait_until("some of it is in the log", || gateway.tail() > some);
        daemon.kill();
        burst.go_on(AWAY);
        daemon = gateway.start(&["run"]);
    }
    until_all_is_told(gateway, burst);
    wait_until("it is live", || state(gateway) == "live");
    let views = view_all(gateway, burst);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
    assert!(burst.happened >= kills() * (UPDATES + AWAY));
    println!("{} updates, {} kills", burst.happened, kills());
    views
}

/// Waits until the log tells of the messages what the server has; says what is missing if it never does.
fn until_all_is_told(gateway: &Gateway, burst: &Burst) {
    let started = Instant::now();
    loop {
        let told = Told::by(&events(gateway));
        let there = burst.there();
        let gone = burst.gone_in_channels();
        if told.there == there && told.gone.is_superset(&gone) {
            return;
        }
        if started.elapsed() > DEADLINE {
            let lost: Vec<_> = there
                .iter()
                .filter(|(at, it)| told.there.get(at) != Some(it))
                .collect();
            let more: Vec<_> = told
                .there
                .iter()
                .filter(|(at, it)| there.get(at) != Some(it))
                .collect();
            let untold: Vec<_> = gone.difference(&told.gone).collect();
            panic!("not told: {lost:?}; told instead: {more:?}; deletions not told: {untold:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The newest post of each channel is seen, until the log says so.
fn view_all(gateway: &Gateway, burst: &Burst) -> BTreeMap<Place, i64> {
    let mut expected = BTreeMap::new();
    for channel in &burst.channels {
        let peer = marked(PeerKind::Channel, *channel);
        let there = burst.there();
        let newest = there.range((peer, 0)..=(peer, i64::MAX)).next_back();
        let ((_, id), _) = newest.expect("a post");
        let views = 1_000_000 + i32::try_from(*id).expect("small");
        burst
            .dc
            .views(*channel, i32::try_from(*id).expect("small"), views);
        expected.insert((peer, *id), i64::from(views));
    }
    wait_until("the views are in the log", || {
        let counted = events(gateway).into_iter().filter_map(|it| {
            let peer = it.event.peer?.marked();
            match it.event.body {
                Body::Counters {
                    message_id,
                    views: Some(views),
                    ..
                } => Some(((peer, message_id), views)),
                _ => None,
            }
        });
        let counted: BTreeSet<_> = counted.collect();
        expected
            .iter()
            .all(|(at, it)| counted.contains(&(*at, *it)))
    });
    expected
}

fn compare(gateway: &Gateway, burst: &Burst, events: &[Envelope], views: &BTreeMap<Place, i64>) {
    let log = Told::by(events);
    assert_eq!(log.there, burst.there(), "0 lost, 0 too many");
    doubled_are_none(events);
    let is_content = |it: &Body| matches!(it, Body::Posted(_) | Body::Edited { .. });
    let posted: BTreeSet<Place> = places(events, is_content);
    let expected = Told {
        gone: log.gone.intersection(&posted).copied().collect(),
        there: log.there,
    };
    let config = gateway.config();
    let mut stores = Vec::new();
    let handle = Handle::current();
    if let Some(sqlite) = config.sqlite {
        stores.push(handle.block_on(Told::in_store(&mut Sqlite::new(sqlite))));
    }
    if let Some(timescale) = config.timescale {
        stores.push(handle.block_on(Told::in_store(&mut Timescale::new(timescale))));
    }
    assert!(!stores.is_empty());
    for (told, viewed) in stores {
        assert_eq!(told, expected);
        for (at, count) in views {
            assert_eq!(viewed.get(at), Some(count));
        }
    }
}

fn places(events: &[Envelope], is_it: impl Fn(&Body) -> bool) -> BTreeSet<Place> {
    let events = events.iter().filter(|it| is_it(&it.event.body));
    let places = events.filter_map(|it| {
        let event = &it.event;
        Some((event.peer?.marked(), event.body.message_id()?))
    });
    places.collect()
}

/// No version of a message is told twice as a post, no text twice as an edit, and no message is deleted twice.
fn doubled_are_none(events: &[Envelope]) {
    let mut seen = BTreeMap::new();
    for envelope in events {
        let event = &envelope.event;
        let what = match &event.body {
            // A history may tell a message as it stands after an edit that has not been told yet.
            Body::Posted(message) => ("posted", message.text.as_str(), message.edit_stamp()),
            Body::Edited { message, changed } if changed.text => {
                ("edited", message.text.as_str(), 0)
            }
            Body::Deleted { .. } => ("deleted", "", 0),
            _ => continue,
        };
        let key = (event.peer, event.body.message_id(), what);
        if let Some(first) = seen.insert(key, envelope) {
            panic!("twice: {first:?} and {envelope:?}");
        }
    }
}

//! The whole program on the live source: what the server has is in the log and in the store, however often it is killed.

use std::collections::BTreeMap;

use datacentre::ChannelSpec;
use grammers_tl_types as tl;
use serde_json::Value;

use super::login::Entrance;
use crate::support::gateway::{Gateway, wait_until};

/// Kills in the ordinary suite; `TGW_TEST_KILLS` for more.
const KILLS: usize = 4;

fn kills() -> usize {
    let set = std::env::var("TGW_TEST_KILLS").ok();
    set.map_or(KILLS, |text| text.parse().expect("TGW_TEST_KILLS"))
}

/// Texts by message id that the server has.
pub(super) fn told(it: &Entrance, channel: i64) -> BTreeMap<i64, String> {
    let messages = it.dc.messages(channel).into_iter();
    let texts = messages.filter_map(|message| match message {
        tl::enums::Message::Message(message) => Some((i64::from(message.id), message.message)),
        _ => None,
    });
    texts.collect()
}

/// Texts by message id that the store shows, without those that were deleted.
pub(super) fn shown(gateway: &Gateway) -> BTreeMap<i64, String> {
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

pub(super) fn state(gateway: &Gateway) -> Value {
    let said = gateway.run(&["status", "--json"]);
    let report: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
    report["accounts"][0]["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_has_is_in_the_store_after_kills_in_a_burst() {
    let mut it = Entrance::new(Some(0)).await;
    it.gateway.set("TGW_TELEGRAM__FOLLOW", "all");
    let channel = it.dc.add_channel(ChannelSpec::broadcast("Signals"));
    tokio::task::block_in_place(|| burst(&it, channel));
}

fn burst(it: &Entrance, channel: i64) {
    let mut daemon = it.gateway.start(&["run"]);
    wait_until("it is live", || state(&it.gateway) == "live");
    let mut ids = vec![it.dc.post(channel, "first")];
    wait_until("the first post is shown", || {
        shown(&it.gateway) == told(it, channel)
    });
    for round in 0..kills() {
        let tail = it.gateway.tail();
        for n in 0..100 {
            ids.push(it.dc.post(channel, format!("{round}/{n}").as_str()));
        }
        let at = ids.len() - 50;
        it.dc
            .edit(channel, ids[at], format!("edited in {round}").as_str());
        it.dc.delete(channel, &[ids[at + 7]]);
        wait_until("some of it is in the log", || it.gateway.tail() > tail);
        daemon.kill();
        it.dc.post(channel, format!("while away {round}").as_str());
        daemon = it.gateway.start(&["run"]);
    }
    wait_until("the store shows what the server has", || {
        shown(&it.gateway) == told(it, channel)
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    it.gateway.verify();
}

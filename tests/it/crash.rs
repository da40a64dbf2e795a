//! I1, I2, I3, I6: kill -9 at random moments loses nothing that was acknowledged and doubles nothing.
//!
//! The generator runs flat out; every event acknowledged to it is in the receipts file (O_DSYNC). After each kill the
//! program starts again where its log says it was. `TGW_TEST_KILLS` sets how often (default 20 without servers, 6 with
//! them), `TGW_TEST_SEED` when. A thousand, in rounds of a hundred on a new log each:
//! `TGW_TEST_KILLS=1000 nice cargo test --release --test it -- --nocapture acknowledged_events_survive_kills_without`.

use std::time::{Duration, Instant};

use crate::support::chance::{number, random};
use crate::support::gateway::{Gateway, wait_until};
use crate::support::receipts::{nothing_lost_or_doubled, receipts_are_in_the_log};

/// Most kills of one log: it grows with each life, and all of it is looked at in the end.
const ROUND: u64 = 100;

/// Kills a running gateway again and again, then lets it drain, and holds log, receipts and stores against each other.
async fn kill_again_and_again(gateway: &Gateway, kills: u64, random: &mut fastrand::Rng) {
    let receipts = gateway.path("receipts");
    let receipts = receipts.to_str().expect("UTF-8");
    let run = [
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--receipts",
        receipts,
    ];
    for kill in 0..kills {
        let before = gateway.tail();
        let mut running = gateway.start(&run);
        // Progress in every life, then a moment that nobody can foresee: in a commit, a publish, a transaction.
        // The first life gives a receipt, however busy the machine; the others may end before they do.
        let acknowledges = || kill > 0 || has_line(receipts);
        wait_until("events flow again", || {
            gateway.tail() > before && acknowledges() || !running.is_running()
        });
        assert!(running.is_running(), "it ended by itself at kill {kill}");
        let until = Instant::now() + Duration::from_micros(random.u64(0..150_000));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        running.kill();
    }
    gateway.ok(&["run", "--drain"]);
    let events = gateway.events().await;
    nothing_lost_or_doubled(&events);
    let acknowledged = receipts_are_in_the_log(receipts, &events);
    gateway.verify();
    println!(
        "{kills} kills, {} events, {acknowledged} acknowledged",
        events.len()
    );
}

fn has_line(file: &str) -> bool {
    std::fs::read(file).is_ok_and(|bytes| bytes.contains(&b'\n'))
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_events_survive_kills_without_servers() {
    let (mut left, mut random) = (number("TGW_TEST_KILLS", 20), random());
    while left > 0 {
        let kills = left.min(ROUND);
        kill_again_and_again(&Gateway::embedded(), kills, &mut random).await;
        left -= kills;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_events_survive_kills_with_all_servers() {
    if let Some(gateway) = Gateway::with_services().await {
        kill_again_and_again(&gateway, number("TGW_TEST_KILLS", 6), &mut random()).await;
    }
}

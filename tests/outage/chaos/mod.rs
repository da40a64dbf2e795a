//! Everything at once: the daemon is killed again and again while every server is killed, wiped, purged, cut off and
//! held up, each by a hand of its own. Then it is quiet, and log, receipts and stores are held against each other.
//!
//! `TGW_TEST_CHAOS_MINUTES` says for how long (1), `TGW_TEST_SEED` how: the seed gives each hand the order of its faults
//! and their moments. Which hand comes first, the machine decides. By hand:
//! `TGW_TEST_CHAOS_MINUTES=30 cargo test --test outage -- --nocapture servers_fail_at_once`.

mod hands;

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;

use self::hands::{Cache, Line, Servers};
use super::{ALONE, AllUp, behind};
use crate::support::chance::{number, random};
use crate::support::gateway::{Gateway, Running, wait_until};
use crate::support::receipts::{nothing_lost_or_doubled, receipts_are_in_the_log};

/// Messages a second.
const RATE: &str = "300";

/// What all hands share.
struct Chaos<'a> {
    gateway: &'a Gateway,
    began: Instant,
    length: Duration,
    /// Set when a hand has found something wrong.
    over: AtomicBool,
}

impl Chaos<'_> {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed) && self.began.elapsed() < self.length
    }

    /// The last daemon lives from here on, through what the servers still suffer.
    fn kills_go_on(&self) -> bool {
        self.goes_on() && self.began.elapsed() < self.length * 5 / 6
    }

    /// Lets so much time pass, or less when all is over.
    fn moment(&self, milliseconds: u64) {
        let began = Instant::now();
        wait_until("a moment", || {
            self.over.load(Ordering::Relaxed)
                || began.elapsed() >= Duration::from_millis(milliseconds)
        });
    }

    fn say(&self, hand: &str, what: impl Debug) {
        println!(
            "{:7.2} s  {hand}: {what:?}",
            self.began.elapsed().as_secs_f64()
        );
    }

    /// Does what is on the list in ever another order, until it is over. Gives how often.
    fn hand<F: Copy + Debug>(
        &self,
        name: &str,
        list: &[F],
        mut random: Rng,
        mut does: impl FnMut(F, &mut Rng),
    ) -> usize {
        let _stop = StopAll(&self.over);
        let (mut left, mut done) = (Vec::new(), 0);
        while self.goes_on() {
            if left.is_empty() {
                left = list.to_vec();
                random.shuffle(&mut left);
            }
            let Some(fault) = left.pop() else { break };
            self.say(name, fault);
            does(fault, &mut random);
            done += 1;
            self.moment(random.u64(50..1_500));
        }
        done
    }
}

/// Ends everything when a hand fails.
struct StopAll<'a>(&'a AtomicBool);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Starts a daemon again and again, and kills it but for the last one, which it gives back. Where each one finds the
/// database is left to chance: behind PgBouncer or not.
fn live_and_die(chaos: &Chaos, line: &Line, mut random: Rng) -> (Running, usize) {
    let _stop = StopAll(&chaos.over);
    let receipts = chaos.gateway.path("receipts");
    let receipts = receipts.to_str().expect("UTF-8");
    let run = ["run", "--source", "synthetic", "--rate", RATE];
    let run = [&run[..], &["--receipts", receipts]].concat();
    let mut kills = 0;
    loop {
        let pooled = random.bool();
        chaos.say("daemon", if pooled { "lives, pooled" } else { "lives" });
        let mut daemon = chaos.gateway.start_with(&line.values(pooled), &run);
        chaos.moment(random.u64(200..8_000));
        let words = daemon.words();
        assert!(daemon.is_running(), "it ended by itself: {words}");
        assert!(!words.contains("panicked"), "{words}");
        if !chaos.kills_go_on() {
            return (daemon, kills);
        }
        daemon.kill();
        kills += 1;
    }
}

/// Rebuilds beside the daemon, which may come through or not.
#[derive(Debug, Clone, Copy)]
enum Chore {
    Timescale,
    Redis,
}

impl Chore {
    const ALL: [Chore; 2] = [Chore::Timescale, Chore::Redis];

    fn begin_and_kill(self, chaos: &Chaos, random: &mut Rng) {
        let store = match self {
            Chore::Timescale => "timescale",
            Chore::Redis => "redis",
        };
        let mut rebuild = chaos.gateway.start(&["rebuild", store]);
        let (began, limit) = (Instant::now(), random.u64(100..10_000));
        wait_until("it ends, or a moment that nobody can foresee", || {
            !rebuild.is_running() || began.elapsed() >= Duration::from_millis(limit)
        });
        let words = rebuild.words();
        assert!(!words.contains("panicked"), "{words}");
        rebuild.kill();
        drop_kept(chaos.gateway);
    }
}

/// Generations that are kept for a way back take room; what cannot be asked or dropped now is dropped later.
fn drop_kept(gateway: &Gateway) {
    let list = gateway.run(&["generation", "list", "--json"]);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap_or_default();
    for kept in list.as_array().into_iter().flatten() {
        if kept["stage"] == "kept" {
            gateway.run(&[
                "generation",
                "drop",
                &kept["generation"].to_string(),
                "--yes",
            ]);
        }
    }
}

/// Once it is quiet, everything is right by itself.
async fn all_is_there(gateway: &Gateway, mut daemon: Running) {
    wait_until("all have caught up by themselves", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        behind(gateway).is_some_and(|lag| lag < 500)
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    let events = gateway.events().await;
    nothing_lost_or_doubled(&events);
    let receipts = gateway.path("receipts");
    let acknowledged = receipts_are_in_the_log(receipts.to_str().expect("UTF-8"), &events);
    gateway.verify();
    println!("{} events, {acknowledged} acknowledged", events.len());

    // Live is rebuilt, and whatever was left half done is gone.
    let done = gateway.json(&["rebuild", "timescale", "--json"]);
    assert_eq!(done["comparison"]["differing"], 0, "{done}");
    drop_kept(gateway);
    let list = gateway.json(&["generation", "list", "--json"]);
    let stages = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| &it["stage"]);
    assert_eq!(stages.collect::<Vec<_>>(), ["shown"]);
    gateway.ok(&["rebuild", "redis"]);
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_the_daemon_is_killed_and_all_servers_fail_at_once() {
    let _alone = ALONE.lock().await;
    let Some(mut gateway) = Gateway::with_services().await else {
        return;
    };
    let _up = AllUp;
    let cache = Cache::follow(&mut gateway);
    let line = Line::before(&gateway);
    let mut random = random();
    let chaos = Chaos {
        gateway: &gateway,
        began: Instant::now(),
        length: Duration::from_secs(60 * number("TGW_TEST_CHAOS_MINUTES", 3)),
        over: AtomicBool::new(false),
    };
    let servers = Servers {
        chaos: &chaos,
        line: &line,
        cache: &cache,
    };
    let (daemon, kills, faults) = std::thread::scope(|scope| {
        let (one, two, three, four) = (random.fork(), random.fork(), random.fork(), random.fork());
        let broker = scope.spawn(|| servers.broker(one));
        let database = scope.spawn(|| servers.database(two));
        let caches = scope.spawn(|| servers.cache(three));
        let keeper = scope.spawn(|| {
            chaos.hand("keeper", &Chore::ALL, four, |chore, random| {
                chore.begin_and_kill(&chaos, random);
            })
        });
        let (daemon, kills) = live_and_die(&chaos, &line, random);
        let faults = [broker, database, caches, keeper].map(|hand| hand.join().expect("all well"));
        (daemon, kills, faults)
    });
    println!("{kills} kills of the daemon; broker, database, cache, keeper: {faults:?} faults");
    assert!(kills > 0 && faults.iter().all(|&count| count > 0));
    line.is_good();
    cache.go_home();
    all_is_there(&gateway, daemon).await;
}

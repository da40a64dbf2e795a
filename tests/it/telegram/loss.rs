//! Whatever the line loses, and however often the daemon stops: the log has everything, once.

use std::time::Duration;

use telegram_gateway::daemon::{Daemon, DaemonError, Options};
use telegram_gateway::event::Body;
use telegram_gateway::ingest::Ingested;
use telegram_gateway::source::telegram::Telegram;
use telegram_gateway::source::telegram::account::{self, Inputs};
use telegram_gateway::status::Status;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::{Fate, Open, World};
use super::{everything, index, until};
use crate::support::gateway::Gateway;

const CHANNELS: [i64; 5] = [11, 12, 13, 14, 15];
const ROUNDS: usize = 6;
const UPDATES_PER_ROUND: usize = 400;

/// A daemon that runs beside the test.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<Ingested, DaemonError>>,
}

async fn start(gateway: &Gateway, world: &World, names: &[&'static str]) -> Running {
    let (status, stop) = (Status::new(), CancellationToken::new());
    let daemon = Daemon::open(gateway.config(), status.clone()).expect("a daemon");
    let bookmarks = daemon.bookmarks().await.expect("bookmarks");
    // There are no histories in this world.
    let watch = account::Watch {
        first_sight: 0,
        reconcile_interval: Duration::from_secs(3600),
        ..account::Watch::default()
    };
    let index = index(&daemon, &stop).await;
    let accounts = names.iter().map(|name| {
        let inputs = Inputs {
            name: (*name).to_owned(),
            api_id: 1,
            requests_per_minute: 60,
            // What is withheld last shows only when it is asked for.
            ping_interval: Duration::from_millis(200),
            positions: account::positions(name, &bookmarks).expect("positions"),
            jobs: Vec::new(),
            watch: watch.clone(),
            orders: account::Orders::new().1,
            meaning: Box::new(everything(name, &index)),
            files: None,
        };
        let door = Open {
            world: world.clone(),
            channels: CHANNELS.to_vec(),
        };
        (inputs, door)
    });
    let source = Telegram::start(accounts.collect(), &status, &stop);
    let task = tokio::spawn(daemon.run(Some(source), Options::default(), stop.clone()));
    Running { stop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        let ran = self.task.await.expect("no panic");
        ran.expect("stops in order");
    }
}

/// What of the messages is in the log, in order: channel and message.
async fn logged(gateway: &Gateway) -> Vec<(i64, i64)> {
    let events = gateway.events().await.into_iter().map(|it| it.event);
    let gone = events.filter_map(|event| match event.body {
        Body::Deleted { message_id } => Some((event.peer?.bare(), message_id)),
        _ => None,
    });
    gone.collect()
}

fn fate(random: &mut fastrand::Rng) -> Fate {
    match random.u32(..100) {
        0..8 => Fate::Withheld,
        8..16 => Fate::Twice,
        16..18 => Fate::Cut,
        _ => Fate::Arrives,
    }
}

/// Lets a world happen to a daemon with these accounts, which is stopped now and then.
async fn all_of_it_once(names: &[&'static str]) {
    let (gateway, world) = (Gateway::embedded(), World::default());
    let mut random = fastrand::Rng::with_seed(7);
    let mut running = start(&gateway, &world, names).await;
    until("connected", async || world.guests() == names.len()).await;
    for channel in CHANNELS {
        // From here on each is known; what was before is for a backfill.
        world.delete(channel, Fate::Arrives).await;
    }
    let all_known = async || logged(&gateway).await.len() == CHANNELS.len();
    until("known", all_known).await;
    for _ in 0..ROUNDS {
        for _ in 0..UPDATES_PER_ROUND {
            let channel = CHANNELS[random.usize(..CHANNELS.len())];
            world.delete(channel, fate(&mut random)).await;
        }
        running.stop().await;
        for channel in CHANNELS {
            world.delete(channel, Fate::Withheld).await;
        }
        running = start(&gateway, &world, names).await;
    }
    let happened = world.all();
    until("all there", async || {
        logged(&gateway).await.len() >= happened.len()
    })
    .await;
    running.stop().await;
    let mut found = logged(&gateway).await;
    found.sort_unstable();
    assert_eq!(found, happened, "each once, and nothing else");
    gateway.ok(&["verify", "log"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_line_loses_and_what_happens_while_the_daemon_is_down_is_in_the_log_once() {
    all_of_it_once(&["main"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_in_the_same_channels_give_one_stream() {
    all_of_it_once(&["main", "second"]).await;
}

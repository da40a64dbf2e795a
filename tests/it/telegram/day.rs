//! A day of an account in five hundred channels, most of them idle: what it asks is counted by method, and nothing
//! grows.
//!
//! All intervals are 150 times shorter than those of the program, so that a day takes ten minutes; the ordinary suite
//! lives through one hour of it, `TGW_TEST_HOURS=24` through all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use telegram_gateway::source::telegram::account::Watch;
use tokio::runtime::Handle;

use super::mirror::{Mirror, Settings};
use super::until;

const HOURS: u64 = 1;
const CHANNELS: usize = 500;
const POSTS_AT_ONCE: usize = 3;
/// 30 s and 10 min of the program.
const PING: Duration = Duration::from_millis(200);
const ROUND: Duration = Duration::from_secs(4);
/// Heads that are asked for at once, and channels that are looked through in one round.
const ASKED_PER_ROUND: usize = CHANNELS / 100 + 5;

/// What an idle account may ask, besides what introduces a new connection.
const METHODS: [&str; 10] = [
    "get_future_salts",
    "ping",
    "ping_delay_disconnect",
    "updates.getDifference",
    "updates.getChannelDifference",
    "messages.getPeerDialogs",
    "messages.getHistory",
    "invokeWithLayer",
    "initConnection",
    "help.getConfig",
];

fn hours() -> u64 {
    let set = std::env::var("TGW_TEST_HOURS").ok();
    set.map_or(HOURS, |text| text.parse().expect("TGW_TEST_HOURS"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_idle_channels_costs_few_requests_and_nothing_grows() {
    let settings = Settings {
        ping_interval: PING,
        watch: Watch {
            first_sight: 0,
            reconcile_interval: ROUND,
            ..Watch::default()
        },
    };
    let mut mirror = Mirror::before(CHANNELS, settings).await;
    mirror.begin().await;
    // All that has happened is long ago, and asked for: three checks, for one may be on its way.
    mirror.dc.shift_clock(60);
    let checks = mirror.dc.count("updates.getDifference") + 3;
    until("quiet", async || {
        mirror.dc.count("updates.getDifference") >= checks
    })
    .await;
    let (asked_before, links_before) = (asked(&mirror), mirror.dc.connections_made());
    let start = Instant::now();
    let mut posts = 0;
    let mut grown = Vec::new();
    for _ in 0..hours() {
        for quarter in 0..4 {
            let news = mirror.dc.count("ping") + 30;
            until("a quarter of an hour", async || {
                mirror.dc.count("ping") >= news
            })
            .await;
            for n in 0..POSTS_AT_ONCE {
                let channel = (posts * 7 + n) % CHANNELS;
                mirror.dc.post(mirror.channels[channel], "news");
            }
            posts += POSTS_AT_ONCE;
            if quarter == 2 {
                reconnects(&mirror).await;
            }
        }
        // The server's clock goes with the day.
        mirror.dc.shift_clock(3600);
        mirror.has_all().await;
        grown.push(Grown::now(&mirror));
    }
    let links = usize::try_from(mirror.dc.connections_made() - links_before).expect("few");
    bounded(&mirror, &asked_before, start.elapsed(), links, posts);
    let board = mirror.end().await;
    assert_eq!(board.dropped, 0, "{board:?}");
    let (first, last) = (&grown[0], &grown[grown.len() - 1]);
    assert!(last.tasks <= first.tasks + 3, "{grown:?}");
    assert!(last.files <= first.files + 2, "{grown:?}");
    assert!(last.index <= 16 << 20, "{grown:?}");
}

/// How often each method was called so far.
fn asked(mirror: &Mirror) -> BTreeMap<&'static str, usize> {
    let mut asked = BTreeMap::new();
    for call in mirror.dc.calls() {
        *asked.entry(call.method).or_default() += 1;
    }
    asked
}

async fn reconnects(mirror: &Mirror) {
    let before = mirror.dc.connections_made();
    mirror.dc.cut();
    until("connected again", async || {
        mirror.dc.connections_made() > before && mirror.dc.ready_connections() == 1
    })
    .await;
    mirror.shows("live", |it| it.state == "live").await;
}

/// No method was called more often than the intervals allow in this time, with so many new connections and posts.
fn bounded(
    mirror: &Mirror,
    before: &BTreeMap<&'static str, usize>,
    elapsed: Duration,
    links: usize,
    posts: usize,
) {
    let mut asked = asked(mirror);
    for (method, count) in before {
        *asked.get_mut(method).expect("never fewer") -= count;
    }
    asked.retain(|_, count| *count > 0);
    println!(
        "{} h, {posts} posts, {links} more connections: {asked:?}",
        hours()
    );
    let times = |interval: Duration| (elapsed.as_millis() / interval.as_millis()) as usize + 1;
    let rounds = times(ROUND);
    let most = [
        ("ping", times(PING) + links),
        // Whenever the line was quiet for two pings, and twice after each new connection: it may break off.
        ("updates.getDifference", times(2 * PING) + 2 * links + 2),
        // A post is asked for when it was not pushed, and once more when a difference names its channel: the one after
        // a cut names those of the same second again.
        (
            "updates.getChannelDifference",
            2 * posts + (POSTS_AT_ONCE + 1) * links,
        ),
        // A round that a lost connection broke off begins anew.
        (
            "messages.getPeerDialogs",
            (rounds + links) * ASKED_PER_ROUND,
        ),
        ("messages.getHistory", (rounds + links) * ASKED_PER_ROUND),
        ("help.getConfig", links + 1),
    ];
    for (method, most) in most {
        let count = asked.get(method).copied().unwrap_or_default();
        assert!(count <= most, "{method}: {count} of at most {most}");
    }
    let strange: Vec<_> = asked.keys().filter(|it| !METHODS.contains(it)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// What would grow if something were not given back.
#[derive(Debug)]
struct Grown {
    tasks: usize,
    /// Files of the data folder that are open in this process.
    files: usize,
    /// Bytes of the message index.
    index: u64,
}

impl Grown {
    fn now(mirror: &Mirror) -> Grown {
        let data = mirror.gateway.data_dir();
        let index = fs::metadata(data.join("telegram/index.redb"));
        Grown {
            tasks: Handle::current().metrics().num_alive_tasks(),
            files: open_below(&data),
            index: index.expect("an index").len(),
        }
    }
}

fn open_below(folder: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").expect("Linux");
    let links = open.filter_map(|it| fs::read_link(it.ok()?.path()).ok());
    links.filter(|it| it.starts_with(folder)).count()
}

//! The past and the watch over it: histories are fetched, and what nobody told is found.

use std::collections::BTreeSet;
use std::time::Duration;

use datacentre::{DataCentre, Delivery, Reaction, RpcError, Rule};
use telegram_gateway::event::{Body, Gap, GapCause, GapClosed, GapOutcome, Origin, Since};
use telegram_gateway::source::telegram::account::{Order, Watch};

use super::mirror::{Mirror, Settings, is_deletion, is_post};
use super::until;

const HISTORY: &str = "messages.getHistory";
/// Long ago.
const DATE: i32 = 1_600_000_000;

fn first_sight(count: u32) -> Settings {
    let mut settings = Settings::default();
    settings.watch.first_sight = count;
    settings
}

/// The line is not asked for what it withholds; only the reconciler may find it.
fn reconciled() -> Settings {
    Settings {
        ping_interval: Duration::from_secs(600),
        watch: Watch {
            first_sight: 0,
            reconcile_interval: Duration::from_millis(100),
            ..Watch::default()
        },
    }
}

fn seed(dc: &DataCentre, channel: i64, count: i32) {
    for n in 0..count {
        dc.seed(channel, format!("old {n}").as_str(), DATE + n);
    }
}

async fn ends(mirror: &Mirror, channel: i64, outcome: &str) {
    mirror
        .shows(outcome, |board| {
            board.backfills.iter().any(|it| {
                it.channel == channel && it.waiting == 0 && it.outcome.as_deref() == Some(outcome)
            })
        })
        .await;
}

/// The gaps of the log, and their ends.
async fn ledger(mirror: &Mirror) -> (Vec<Gap>, Vec<GapClosed>) {
    let (mut gaps, mut closed) = (Vec::new(), Vec::new());
    for envelope in mirror.gateway.events().await {
        match envelope.event.body {
            Body::Gap(gap) => gaps.push(gap),
            Body::GapClosed(end) => closed.push(end),
            _ => {}
        }
    }
    (gaps, closed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_seen_for_the_first_time_brings_its_newest_messages_once() {
    let mut mirror = Mirror::before(2, first_sight(250)).await;
    for channel in &mirror.channels {
        seed(&mirror.dc, *channel, 400);
    }
    mirror.resume().await;
    mirror.shows("live", |it| it.state == "live").await;
    let mut expected = BTreeSet::new();
    for channel in mirror.channels.clone() {
        let last = i64::from(mirror.dc.post(channel, "first"));
        expected.extend((last - 249..=last).map(|id| (channel, id)));
        ends(&mirror, channel, "filled").await;
    }
    until("in the log", async || {
        mirror.logged(is_post).await.len() >= expected.len()
    })
    .await;
    assert_eq!(mirror.logged(is_post).await, expected);
    let asked = mirror.dc.count(HISTORY);
    assert_eq!(asked, 6, "three pages of each");
    mirror.stop().await;
    let events = mirror.gateway.events().await;
    let fetched = events
        .iter()
        .filter(|it| it.event.origin == Origin::Backfill && is_post(&it.event.body));
    assert_eq!(fetched.count(), 2 * 249, "the first was pushed");
    mirror.resume().await;
    mirror.shows("live", |it| it.state == "live").await;
    let channel = mirror.channels[0];
    let post = (channel, i64::from(mirror.dc.post(channel, "later")));
    until("live", async || {
        mirror.logged(is_post).await.contains(&post)
    })
    .await;
    assert_eq!(mirror.dc.count(HISTORY), asked, "it was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_is_stopped_goes_on_where_it_was() {
    let mut mirror = Mirror::before(1, first_sight(1000)).await;
    mirror.dc.change_limits(|limits| limits.page = 10);
    let channel = mirror.channels[0];
    seed(&mirror.dc, channel, 300);
    mirror.dc.add_fault(Rule::on(HISTORY, Reaction::Hold));
    mirror.resume().await;
    mirror.shows("live", |it| it.state == "live").await;
    mirror.dc.post(channel, "first");
    let mut have = 0;
    let mut asked_before = 0;
    for pages in [5, 12, 20] {
        until("under way", async || {
            // One page at a time, so that it cannot be done before it is stopped.
            mirror.dc.release_answers();
            mirror.logged(is_post).await.len() >= pages * 10
        })
        .await;
        mirror.stop().await;
        (have, asked_before) = (mirror.logged(is_post).await.len(), mirror.dc.count(HISTORY));
        mirror.resume().await;
    }
    mirror.dc.clear_faults();
    mirror.dc.release_answers();
    ends(&mirror, channel, "filled").await;
    let asked = mirror.dc.count(HISTORY) - asked_before;
    assert!(have < 301, "it was stopped in the middle");
    // What the log had not, and an answer without anything behind that.
    let missing = (301 - have).div_ceil(10);
    assert!(asked <= missing + 2, "{asked} pages for {missing}");
    mirror.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_that_is_too_long_is_a_gap_that_is_filled_and_closed() {
    let mut mirror = Mirror::start(2).await;
    mirror.stop().await;
    mirror
        .dc
        .change_limits(|limits| limits.channel_difference_too_long = 50);
    let channel = mirror.channels[0];
    for n in 0..220 {
        mirror.dc.post(channel, format!("missed {n}").as_str());
    }
    mirror.resume().await;
    ends(&mirror, channel, "filled").await;
    mirror.has_all().await;
    let (gaps, closed) = ledger(&mirror).await;
    let [gap] = &gaps[..] else {
        panic!("one gap: {gaps:?}")
    };
    assert_eq!(gap.cause, GapCause::TooLong);
    let end = GapClosed {
        gap: gap.bounds(),
        outcome: GapOutcome::Filled,
        found: 220,
    };
    assert_eq!(closed, [end]);
    mirror.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_telegram_will_not_tell_is_closed_as_such() {
    let mut mirror = Mirror::start(1).await;
    mirror.stop().await;
    let channel = mirror.channels[0];
    mirror
        .dc
        .change_limits(|limits| limits.channel_difference_too_long = 50);
    let private = RpcError::new(400, "CHANNEL_PRIVATE");
    mirror
        .dc
        .add_fault(Rule::on(HISTORY, Reaction::Fail(private)));
    for n in 0..60 {
        mirror.dc.post(channel, format!("missed {n}").as_str());
    }
    mirror.resume().await;
    ends(&mirror, channel, "unfillable").await;
    until("in the log", async || !ledger(&mirror).await.1.is_empty()).await;
    let (_, closed) = ledger(&mirror).await;
    assert_eq!(closed[0].outcome, GapOutcome::Unfillable);
    assert_eq!(closed[0].found, 0);
    mirror.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_histories_holds_no_update_up() {
    let mut mirror = Mirror::before(1, first_sight(100)).await;
    let wait = Reaction::Fail(RpcError::flood_wait(3600));
    mirror.dc.add_fault(Rule::on(HISTORY, wait));
    mirror.begin().await;
    mirror
        .shows("waiting", |it| {
            it.waits.iter().any(|it| it.method == HISTORY)
        })
        .await;
    for n in 0..20 {
        mirror
            .dc
            .post(mirror.channels[0], format!("live {n}").as_str());
    }
    assert_eq!(mirror.dc.count(HISTORY), 1);
    mirror.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_comes_by_hand_and_can_be_cancelled() {
    let mut mirror = Mirror::before(2, Settings::default()).await;
    let [first, second] = mirror.channels[..] else {
        panic!("two channels")
    };
    mirror.dc.change_limits(|limits| limits.page = 10);
    let old: Vec<i32> = (0..50)
        .map(|n| mirror.dc.seed(first, format!("old {n}").as_str(), DATE + n))
        .collect();
    seed(&mirror.dc, second, 50);
    mirror.resume().await;
    mirror.shows("live", |it| it.state == "live").await;
    mirror.order(Order::Backfill {
        channel: first,
        since: Since::Date(DATE + 20),
        limit: 1000,
    });
    ends(&mirror, first, "filled").await;
    let expected: BTreeSet<_> = old[20..].iter().map(|id| (first, i64::from(*id))).collect();
    until("in the log", async || {
        mirror.logged(is_post).await.len() >= expected.len()
    })
    .await;
    let held = mirror.dc.add_fault(Rule::on(HISTORY, Reaction::Hold));
    let asked = mirror.dc.count(HISTORY);
    mirror.order(Order::Backfill {
        channel: second,
        since: Since::Beginning,
        limit: 1000,
    });
    until("asked", async || mirror.dc.count(HISTORY) > asked).await;
    mirror.order(Order::Cancel { channel: second });
    ends(&mirror, second, "cancelled").await;
    mirror.dc.remove_fault(held);
    mirror.dc.release_answers();
    // Whatever still comes of it comes before this.
    mirror.order(Order::Backfill {
        channel: first,
        since: Since::Beginning,
        limit: 1,
    });
    ends(&mirror, first, "filled").await;
    mirror.stop().await;
    assert_eq!(mirror.logged(is_post).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_withheld_is_noticed_and_asked() {
    let mut settings = reconciled();
    // Only the difference may bring it.
    settings.watch.reconcile_depth = 0;
    let mut mirror = Mirror::before(3, settings).await;
    mirror.begin().await;
    let channel = mirror.channels[1];
    mirror.dc.deliver(Delivery::Withheld);
    mirror.dc.post(channel, "withheld");
    let board = mirror.end().await;
    let untold = board.channels.iter().filter(|it| it.untold > 0);
    let untold: Vec<i64> = untold.map(|it| it.channel).collect();
    assert_eq!(untold, [channel]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_nobody_tells_is_found() {
    let mut mirror = Mirror::before(1, reconciled()).await;
    mirror.begin().await;
    let channel = mirror.channels[0];
    let ids: Vec<i32> = (0..20)
        .map(|n| mirror.dc.post(channel, format!("post {n}").as_str()))
        .collect();
    mirror.has_all().await;
    // Neither pushed nor in any difference.
    let refused = Reaction::Fail(RpcError::internal());
    mirror
        .dc
        .add_fault(Rule::on("updates.getChannelDifference", refused));
    mirror.dc.deliver(Delivery::Withheld);
    // The newest one, too.
    let gone = [ids[3], ids[4], ids[19]];
    mirror.dc.delete(channel, &gone);
    let expected: BTreeSet<_> = gone.iter().map(|id| (channel, i64::from(*id))).collect();
    until("found", async || {
        mirror.logged(is_deletion).await == expected
    })
    .await;
    let board = mirror.board().expect("on the board");
    assert!(board.missed_deletions >= 3, "{board:?}");
    // Told after all, it is the same deletion.
    mirror.dc.clear_faults();
    mirror.dc.deliver(Delivery::Live);
    mirror.dc.post(channel, "last");
    mirror.has_all().await;
    mirror.stop().await;
    let events = mirror.gateway.events().await;
    let deletions = events.iter().filter(|it| is_deletion(&it.event.body));
    assert_eq!(deletions.count(), gone.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_channel_is_polled_and_its_delay_is_shown() {
    let mut settings = reconciled();
    settings.watch.reconcile_interval = Duration::from_secs(600);
    let mut mirror = Mirror::before(2, settings).await;
    let hot = mirror.channels[0];
    mirror.settings.watch.hot = vec![format!("-100{hot:010}")];
    mirror
        .dc
        .change_limits(|limits| limits.channel_timeout = Some(1));
    mirror.begin().await;
    mirror.dc.deliver(Delivery::Withheld);
    mirror.dc.post(hot, "withheld");
    let board = mirror.end().await;
    let shown = &board.channels[0];
    assert_eq!((shown.channel, shown.hot), (hot, true));
    assert!(shown.delay_ms.is_some() && shown.age_seconds.is_some());
    assert!(!board.channels[1].hot);
}

//! Clocks that do not agree: the real client against a server that takes no message from far away in time.

use datacentre::Options;

use super::moves::{Kept, world};
use super::servers::start;
use crate::status::AccountReport;

fn strict() -> Options {
    Options {
        checks_message_times: true,
        ..Options::default()
    }
}

#[tokio::test]
async fn a_clock_that_is_behind_is_told_and_the_client_goes_on() {
    let (dc, session) = world(strict()).await;
    dc.shift_clock(3600);
    let account = start(Kept(session));
    account
        .until("live, and told", |it| {
            let skew = it.clock_skew_seconds.unwrap_or_default();
            it.state == "live" && (3500..=3600).contains(&skew)
        })
        .await;
    account.end().await;
}

#[tokio::test]
async fn a_clock_that_is_ahead_is_told_and_the_client_goes_on_once_it_is_right() {
    let (dc, session) = world(strict()).await;
    dc.shift_clock(-100);
    let account = start(Kept(session));
    account
        .until("told", |it| {
            let reason = it.reason.as_deref().unwrap_or_default();
            let is_told = reason.starts_with("the clock of this machine is ");
            is_told && it.state == "degraded" && it.clock_skew_seconds.is_some_and(|it| it < -90)
        })
        .await;
    let is_made_anew = |it: &AccountReport| it.rebuilds > 0;
    let accounts = account.accounts();
    assert!(!accounts.iter().any(is_made_anew), "{accounts:?}");
    dc.shift_clock(100);
    account
        .until("live", |it| {
            it.state == "live" && it.clock_skew_seconds.is_none()
        })
        .await;
    account.end().await;
}

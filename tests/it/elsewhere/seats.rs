//! Of several that could feed a store, one does; a seat that is not renewed is free within seconds.

use telegram_gateway::config::{self, BackendUrl};
use telegram_gateway::store::redis::RedisSeat;
use telegram_gateway::store::seat::Seat;
use telegram_gateway::store::timescale::TimescaleSeat;

use crate::support::gateway::Gateway;
use crate::support::house::{until, wait};
use crate::support::proxy::Proxy;

/// `one` through a line that can be held, `two` and `three` directly.
async fn one_at_a_time(mut one: impl Seat, mut two: impl Seat, mut three: impl Seat, line: &Proxy) {
    assert!(one.hold().await.expect("an answer"));
    assert!(!two.hold().await.expect("an answer"));
    assert!(one.hold().await.expect("an answer"), "renewed");
    one.leave().await;
    let taken = async || two.hold().await.expect("an answer");
    until("a seat that was left is free", taken).await;
    assert!(!one.hold().await.expect("an answer"));
    two.leave().await;
    let taken = async || one.hold().await.expect("an answer");
    until("it is free again", taken).await;
    // Nothing comes from the first any more, and its connection stays open.
    line.hold(true);
    let taken = async || three.hold().await.expect("an answer");
    until("a seat that is not renewed is free", taken).await;
    line.hold(false);
    let refused = async || one.hold().await.is_ok_and(|held| !held);
    until("the first one sees that another has it", refused).await;
}

#[test]
fn the_seat_at_timescaledb_is_held_by_one() {
    wait(async {
        let Some(gateway) = Gateway::with_timescale().await else {
            return;
        };
        let section = gateway.config().timescale.expect("configured");
        let line = Proxy::before(section.url.expose());
        let held = config::Timescale {
            url: BackendUrl::parse(&line.url).expect("an address"),
            ..section.clone()
        };
        let seat = TimescaleSeat::new;
        let (two, three) = (seat(section.clone()), seat(section));
        one_at_a_time(seat(held), two, three, &line).await;
    });
}

#[test]
fn the_seat_at_redis_is_held_by_one() {
    wait(async {
        let Some(gateway) = Gateway::with_redis() else {
            return;
        };
        let section = gateway.config().redis.expect("configured");
        let line = Proxy::before(section.url.expose());
        let held = config::Redis {
            url: BackendUrl::parse(&line.url).expect("an address"),
            ..section.clone()
        };
        let seat = RedisSeat::new;
        let (two, three) = (seat(section.clone()), seat(section));
        one_at_a_time(seat(held), two, three, &line).await;
    });
}

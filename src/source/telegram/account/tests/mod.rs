//! The account from outside: the real client against servers that do nothing right (`servers`) and between data
//! centres (`moves`) and clocks (`clocks`), and one connection's life with answers by script (`script`, `life`).

mod clocks;
mod life;
mod moves;
mod script;
mod servers;

use std::time::Duration;

use grammers_tl_types as tl;

use super::super::driver::{Page, Position};
use super::{Inputs, Meaning, Orders, Watch};
use crate::event::{Body, Event, Origin};
use crate::source::SourceBatch;
use crate::status::{AccountReport, Status};

const NAME: &str = "main";
/// Longest wait for anything: far beyond what a busy machine needs.
const DEADLINE: Duration = Duration::from_secs(60);

/// What an account needs that is not to ask about the past.
fn inputs(positions: Vec<Position>, meaning: Box<dyn Meaning>) -> Inputs {
    Inputs {
        name: NAME.to_owned(),
        api_id: 1,
        requests_per_minute: 60,
        ping_interval: Duration::from_millis(200),
        positions,
        jobs: Vec::new(),
        watch: Watch::default(),
        orders: Orders::new().1,
        meaning,
        files: None,
    }
}

/// Waits until the board shows it.
async fn until(
    status: &Status,
    what: &str,
    is_so: impl Fn(&AccountReport) -> bool,
    mut meanwhile: impl FnMut(),
) {
    let seen = async {
        while !status.accounts().iter().any(&is_so) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            meanwhile();
        }
    };
    let seen = tokio::time::timeout(DEADLINE, seen).await;
    assert!(seen.is_ok(), "not {what}: {:?}", status.accounts());
}

/// A message that cannot be understood without a panic.
const POISON: i32 = 666;

/// One event for each message that is gone.
struct Plain;

impl Meaning for Plain {
    fn page(&mut self, page: Page) -> SourceBatch {
        let events = page.updates.iter().flat_map(|seen| match &seen.update {
            tl::enums::Update::DeleteChannelMessages(it) => it.messages.clone(),
            tl::enums::Update::DeleteMessages(it) => it.messages.clone(),
            _ => Vec::new(),
        });
        SourceBatch {
            events: events.map(|id| event(page.origin, id)).collect(),
            due_at: None,
            bookmarks: page.positions.iter().map(|it| it.bookmark(NAME)).collect(),
        }
    }

    fn follows(&self, _: i64) -> bool {
        false
    }

    fn newest(&self, _: i64, _: usize) -> Vec<i64> {
        Vec::new()
    }

    fn named(&self, _: &str) -> Option<i64> {
        None
    }
}

fn event(origin: Origin, message_id: i32) -> Event {
    assert!(message_id != POISON, "poison");
    Event {
        peer: None,
        origin,
        stamp: 1,
        body: Body::Deleted {
            message_id: i64::from(message_id),
        },
        raw: None,
    }
}

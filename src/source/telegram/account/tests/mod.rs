//! The account from outside: the real client against servers that do nothing right (`servers`) and between data
//! centres (`moves`), and one connection's life with answers by script (`script`, `life`).

mod life;
mod moves;
mod script;
mod servers;

use std::time::Duration;

use super::super::driver::Position;
use super::{Inputs, Meaning, Orders, Watch};

/// What an account needs that is not to ask about the past.
fn inputs(name: &str, positions: Vec<Position>, meaning: Box<dyn Meaning>) -> Inputs {
    Inputs {
        name: name.to_owned(),
        api_id: 1,
        requests_per_minute: 60,
        ping_interval: Duration::from_millis(200),
        positions,
        jobs: Vec::new(),
        watch: Watch::default(),
        orders: Orders::new().1,
        meaning,
    }
}

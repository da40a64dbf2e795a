//! What an account is to do about the past: figures, and orders of the operator.

use std::time::Duration;

use tokio::sync::mpsc;

/// Orders that wait for an account that cannot take them yet.
const ORDERS_MAX: usize = 16;

/// How far back, how often, and which channels are in a hurry.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Messages that are fetched of a channel that is seen for the first time; 0 for none.
    pub first_sight: u32,
    /// How often the log is compared with what Telegram has.
    pub reconcile_interval: Duration,
    /// The newest messages of a channel that are looked through for deletions that nobody told; 0 for none. Telegram
    /// gives 100 at most.
    pub reconcile_depth: u32,
    /// The channels to short-poll: names, or ids in the marked form (-100...). The first ten are.
    pub hot: Vec<String>,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            first_sight: 1000,
            reconcile_interval: Duration::from_secs(15 * 60),
            reconcile_depth: 100,
            hot: Vec::new(),
        }
    }
}

/// What an operator wants of the past of a channel, by its bare id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest messages.
    Backfill {
        /// Of which channel.
        channel: i64,
        /// None from before this date, in seconds since the epoch; 0 for no such bound.
        since: i32,
        /// So many at most.
        limit: u32,
    },
    /// Stop all that is fetched of a channel. Gaps stay open in the ledger.
    Cancel {
        /// Of which channel.
        channel: i64,
    },
}

/// Gives orders to an account.
#[derive(Debug, Clone)]
pub struct Orders(mpsc::Sender<Order>);

/// Why an account takes no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoOrder {
    /// Too many wait.
    #[error("too many orders wait for the account already: is it connected?")]
    Busy,
    /// It was stopped.
    #[error("the account does not run")]
    Ended,
}

impl Orders {
    /// A way to give orders, and the end of it that the account takes them from.
    pub fn new() -> (Orders, mpsc::Receiver<Order>) {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        (Orders(orders), taken)
    }

    /// Gives one. What becomes of it is on the status board; it survives a restart once the account has taken it, which
    /// it does when it is connected.
    pub fn give(&self, order: Order) -> Result<(), NoOrder> {
        self.0.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NoOrder::Busy,
            mpsc::error::TrySendError::Closed(_) => NoOrder::Ended,
        })
    }
}

//! What an operator wants of an account.

use tokio::sync::{mpsc, oneshot};

use super::super::link::Fault;
use super::chats::{Met, Question};
use crate::event::Since;

/// Orders that wait for an account that cannot take them yet.
const ORDERS_MAX: usize = 16;

/// What an operator wants of the past of a channel, by its bare id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest messages.
    Backfill {
        /// Of which channel.
        channel: i64,
        /// How far back.
        since: Since,
        /// So many at most.
        limit: u32,
    },
    /// Stop all that is fetched of a channel. Gaps stay open in the ledger.
    Cancel {
        /// Of which channel.
        channel: i64,
    },
}

impl Order {
    /// Which channel it is about.
    pub fn channel(&self) -> i64 {
        match self {
            Order::Backfill { channel, .. } | Order::Cancel { channel } => *channel,
        }
    }
}

/// An order or a question, with the way back for the answer.
#[derive(Debug)]
pub enum Wish {
    /// Do something about the past; nobody may wait for the answer: how many stretches wait then.
    Order(Order, Option<oneshot::Sender<Result<usize, NoOrder>>>),
    /// Ask about chats, and keep who came along.
    Meet {
        /// What is asked.
        question: Question,
        /// Whether session and log are to know of the answer.
        keep: bool,
        /// Who waits for it.
        answer: oneshot::Sender<Result<Vec<Met>, NoOrder>>,
    },
}

/// Gives orders to an account.
#[derive(Debug, Clone)]
pub struct Orders(mpsc::Sender<Wish>);

/// Why an account does not what it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoOrder {
    /// Too many wait.
    #[error("too many orders wait for the account already: is it connected?")]
    Busy,
    /// It was stopped.
    #[error("the account does not run")]
    Ended,
    /// What it was doing for this ended with its connection.
    #[error("the account lost its connection meanwhile")]
    Interrupted,
    /// The policy leaves the channel out.
    #[error("the channel is not followed")]
    NotFollowed,
    /// The same is fetched already, or too much is.
    #[error("the same waits to be fetched already, or too much does of this channel")]
    Full,
    /// Nothing is fetched of the channel.
    #[error("nothing is being fetched of the channel")]
    Nothing,
    /// Telegram was asked, and this came of it.
    #[error(transparent)]
    Failed(#[from] Fault),
}

impl Orders {
    /// A way to give orders, and the end of it that the account takes them from.
    pub fn new() -> (Orders, mpsc::Receiver<Wish>) {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        (Orders(orders), taken)
    }

    /// Gives one. What becomes of it is on the status board; it survives a restart once the account has taken it.
    pub fn give(&self, order: Order) -> Result<(), NoOrder> {
        self.wish(Wish::Order(order, None))
    }

    /// Gives one, and waits until the account has taken it: how many stretches of the channel wait then.
    pub async fn order(&self, order: Order) -> Result<usize, NoOrder> {
        let (answer, told) = oneshot::channel();
        self.wish(Wish::Order(order, Some(answer)))?;
        told.await.unwrap_or(Err(NoOrder::Interrupted))
    }

    /// Asks about chats.
    pub async fn meet(&self, question: Question, keep: bool) -> Result<Vec<Met>, NoOrder> {
        let (answer, told) = oneshot::channel();
        self.wish(Wish::Meet {
            question,
            keep,
            answer,
        })?;
        told.await.unwrap_or(Err(NoOrder::Interrupted))
    }

    fn wish(&self, wish: Wish) -> Result<(), NoOrder> {
        self.0.try_send(wish).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NoOrder::Busy,
            mpsc::error::TrySendError::Closed(_) => NoOrder::Ended,
        })
    }
}

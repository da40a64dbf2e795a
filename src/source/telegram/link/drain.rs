//! Between the socket and the account: a task that only hands over, so that the library never finds its own channel
//! full and drops in silence.
//!
//! When the account cannot keep up (a full disk, a slow start), the queue fills. What comes then is dropped and
//! counted, and the account is told to fetch everything that it missed: loudly, and without a hole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use grammers_session::updates::UpdatesLike;
use tokio::sync::{Notify, mpsc};

use crate::status::Status;

/// Containers of updates that wait for the account, and as many in the library's own channel.
pub const QUEUE_MAX: usize = 16_384;

/// The end that the account reads.
pub struct Incoming(mpsc::Receiver<UpdatesLike>);

/// Tells whether something had to be dropped.
pub struct Overflow(Arc<Flag>);

/// The end that the socket writes to.
pub(super) struct Outlet {
    queue: mpsc::Sender<UpdatesLike>,
    overflow: Arc<Flag>,
    account: String,
    status: Status,
}

#[derive(Default)]
struct Flag {
    happened: AtomicBool,
    told: Notify,
}

pub(super) fn queue(account: &str, status: &Status) -> (Outlet, Incoming, Overflow) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    let overflow = Arc::new(Flag::default());
    let outlet = Outlet {
        queue: sender,
        overflow: Arc::clone(&overflow),
        account: account.to_owned(),
        status: status.clone(),
    };
    (outlet, Incoming(receiver), Overflow(overflow))
}

impl Incoming {
    /// Takes what has come, waiting for the first. Gives how many; 0 only when the receiver is gone. Cancel safe.
    pub async fn take(&mut self, into: &mut Vec<UpdatesLike>, max: usize) -> usize {
        self.0.recv_many(into, max).await
    }
}

impl Overflow {
    /// Waits until something had to be dropped since the last time. Cancel safe.
    pub async fn happened(&self) {
        while !self.0.happened.swap(false, Ordering::AcqRel) {
            self.0.told.notified().await;
        }
    }
}

impl Outlet {
    fn hand_over(&self, updates: UpdatesLike) {
        let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(updates) else {
            return;
        };
        self.status
            .account(&self.account, |board| board.dropped += 1);
        if !self.overflow.happened.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                account = self.account,
                capacity = QUEUE_MAX,
                "more updates came than could be taken; what was dropped is fetched again"
            );
            self.overflow.told.notify_one();
        }
    }
}

/// Empties the library's channel until the connection's owner is gone.
pub(super) async fn run(mut updates: mpsc::Receiver<UpdatesLike>, outlet: Outlet) {
    while let Some(updates) = updates.recv().await {
        outlet.hand_over(updates);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_never_holds_the_socket_up_and_is_told() {
        let status = Status::new();
        let (outlet, mut incoming, overflow) = queue("main", &status);
        let (socket, updates) = mpsc::channel(8);
        let draining = tokio::spawn(run(updates, outlet));
        for _ in 0..QUEUE_MAX + 3 {
            // Nobody reads the queue, and yet every send finds room.
            socket
                .send(UpdatesLike::MalformedUpdates)
                .await
                .expect("the drain goes on");
        }
        drop(socket);
        draining.await.expect("no panic");
        overflow.happened().await;
        assert_eq!(status.accounts()[0].dropped, 3);
        let mut taken = Vec::new();
        while incoming.take(&mut taken, 1000).await > 0 {}
        assert_eq!(taken.len(), QUEUE_MAX);
    }
}

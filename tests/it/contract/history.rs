//! What may happen between a log and a store.

use std::pin::pin;
use std::task::Poll;

use proptest::prelude::*;
use proptest::sample::Index;
use telegram_gateway::store::{Checkpoint, Entry, Projection as _};

use super::{Place, batch, part};
use crate::support::stores::checkpoint;

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The next so many events, with the checkpoint behind them.
    Next(usize),
    /// Once more the last so many and as many new ones: nobody knew that those before were applied.
    Again(usize),
    /// Events in any order and more than once, without a checkpoint: a replay of a part, or one that runs ahead.
    Some(Vec<Index>),
    /// The next so many, but the process is gone after so many steps of that.
    Stop(usize, usize),
    /// The process ends between two batches, and another one begins.
    Restart,
    /// All of it is thrown away.
    Rebuild,
}

pub(super) fn history() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..20_usize).prop_map(Step::Next),
        2 => (1..20_usize).prop_map(Step::Again),
        4 => prop::collection::vec(any::<Index>(), 1..30).prop_map(Step::Some),
        3 => (1..30_usize, 0..24_usize).prop_map(|(events, polls)| Step::Stop(events, polls)),
        1 => Just(Step::Restart),
        1 => Just(Step::Rebuild),
    ];
    prop::collection::vec(step, 0..10)
}

/// What a store was given, as far as anybody can know.
struct Given {
    /// The number of its checkpoint.
    applied: usize,
    /// Where it is if the batch that was stopped has come through after all.
    perhaps: Option<usize>,
    /// Each event that is in it.
    events: Vec<bool>,
}

impl Given {
    fn nothing(log: &[Entry]) -> Given {
        Given {
            applied: 0,
            perhaps: None,
            events: vec![false; log.len()],
        }
    }

    fn upto(&mut self, after: usize, upto: usize) {
        self.events[after..upto].fill(true);
        self.applied = self.applied.max(upto);
    }

    /// Where the store says it is, which must be where it can be.
    fn is_at(&mut self, found: Option<Checkpoint>) {
        let at = |seq: usize| (seq > 0).then(|| checkpoint(1, seq as u64));
        if let Some(upto) = self.perhaps
            && found == at(upto)
        {
            self.upto(self.applied, upto);
        }
        assert_eq!(found, at(self.applied));
    }

    fn entries(&self, log: &[Entry]) -> Vec<Entry> {
        let given = log.iter().zip(&self.events).filter(|(_, given)| **given);
        given.map(|(entry, _)| entry.clone()).collect()
    }
}

/// Lives through a history and then through the rest of the log, and compares at each turn.
pub(super) async fn live_through<P: Place>(place: &P, log: &[Entry], history: &[Step]) {
    let mut store = place.open();
    store.clear().await.expect("clear");
    let mut given = Given::nothing(log);
    for step in history {
        let at = given.applied;
        match step {
            Step::Next(count) => {
                let upto = (at + count).min(log.len());
                store.apply(&part(log, at, upto)).await.expect("applied");
                given.upto(at, upto);
            }
            Step::Again(count) => {
                let (from, upto) = (at.saturating_sub(*count), (at + count).min(log.len()));
                store.apply(&part(log, from, upto)).await.expect("applied");
                given.upto(from, upto);
            }
            Step::Some(which) => {
                let which: Vec<usize> = which.iter().map(|it| it.index(log.len())).collect();
                let entries: Vec<Entry> = which.iter().map(|&it| log[it].clone()).collect();
                store
                    .apply(&batch(0, &entries, None))
                    .await
                    .expect("applied");
                which.iter().for_each(|&it| given.events[it] = true);
            }
            Step::Stop(count, polls) => {
                let upto = (at + count).min(log.len());
                match within(*polls, store.apply(&part(log, at, upto))).await {
                    Some(done) => {
                        done.expect("applied");
                        given.upto(at, upto);
                    }
                    None => given.perhaps = Some(upto),
                }
                drop(store);
                store = place.open();
                compare(place, &mut store, log, &mut given).await;
            }
            Step::Restart => {
                drop(store);
                store = place.open();
                compare(place, &mut store, log, &mut given).await;
            }
            Step::Rebuild => {
                store.clear().await.expect("clear");
                given = Given::nothing(log);
                compare(place, &mut store, log, &mut given).await;
            }
        }
    }
    let rest = part(log, given.applied, log.len());
    store.apply(&rest).await.expect("the rest");
    given.upto(given.applied, log.len());
    compare(place, &mut store, log, &mut given).await;
}

async fn compare<P: Place>(place: &P, store: &mut P::Store, log: &[Entry], given: &mut Given) {
    let seen = place.seen(store).await;
    given.is_at(seen.checkpoint);
    let expected = place.expected(&given.entries(log), seen.scope);
    assert_eq!(seen.view, expected);
}

/// Gives a future so many turns and then drops it, as a process does that is gone; none if it was not done by then.
async fn within<T>(turns: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (pin!(future), turns);
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

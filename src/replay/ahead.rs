//! Reading ahead: the next batch is there when the store has done with this one.

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{Progress, ReplayError, Selection, advance, chunk};
use crate::journal::{JournalError, JournalReader};
use crate::projector::full_batch;
use crate::store::Batch;

/// Batches that wait, besides the one that is being read and the one that is being applied.
const WAITING: usize = 1;

/// A part of the log as batches, read on a task of its own; dropping it ends that.
pub(super) struct Ahead {
    batches: mpsc::Receiver<Result<Next, ReplayError>>,
    _reader: AbortOnDropHandle<()>,
}

/// A batch, and how far the log is read with it.
pub(super) struct Next {
    /// None where there is only a hole.
    pub(super) batch: Option<Batch>,
    pub(super) at: u64,
    pub(super) applied: u64,
    pub(super) bytes: u64,
}

impl Ahead {
    /// Reads from behind `range.at` as far as `range.until`.
    pub(super) fn read(journal: JournalReader, range: Progress) -> Ahead {
        let (sender, batches) = mpsc::channel(WAITING);
        let reader = tokio::spawn(async move {
            let mut range = range;
            while range.at < range.until {
                let next = next(&journal, &mut range).await;
                let failed = next.is_err();
                if sender.send(next).await.is_err() || failed {
                    return;
                }
            }
        });
        Ahead {
            batches,
            _reader: AbortOnDropHandle::new(reader),
        }
    }

    /// The next one; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Next>, ReplayError> {
        self.batches.recv().await.transpose()
    }
}

async fn next(journal: &JournalReader, range: &mut Progress) -> Result<Next, ReplayError> {
    let records = chunk(journal, range).await?;
    let before = *range;
    advance(range, &records, &Selection::default());
    let identity = journal.identity();
    // Decoding takes the processor, not the disk.
    let decoded = tokio::task::spawn_blocking(move || full_batch(identity, before.at, &records));
    let batch = decoded.await.map_err(|_| JournalError::Closed)?;
    Ok(Next {
        batch,
        at: range.at,
        applied: range.applied - before.applied,
        bytes: range.bytes - before.bytes,
    })
}

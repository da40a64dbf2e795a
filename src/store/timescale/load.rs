//! Loading a new generation: the same rows and the same checkpoint as `apply` makes, by `COPY` where nothing can be in
//! the way.

use std::time::Duration;

use super::seen::Seen;
use super::write::{self, Writing};
use super::{APPLY_SECONDS, Generations, NAME, Timescale, too_slow};
use crate::config;
use crate::store::rows::{MessageRow, Rows};
use crate::store::{Batch, Checkpoint, Inspect, Projection, ProjectionError, ProjectionName};

/// A generation that nobody else writes to. Keeps the contract of every projection, and is fast when it is fed in order
/// and each message comes once.
#[derive(Debug)]
pub struct Loader {
    number: i32,
    store: Timescale,
    seen: Seen,
    /// The hours are counted; what comes from then on is noted, as in any batch.
    counted: bool,
}

impl Loader {
    /// For a generation that exists, and about so many events in all.
    pub fn new(config: config::Timescale, generation: i32, events: u64) -> Loader {
        Loader {
            number: generation,
            store: Timescale::generation(config, generation),
            seen: Seen::for_events(events),
            counted: false,
        }
    }

    /// Takes note of a message that the generation has from a load before this one. All of them have to be told before
    /// the first batch is applied.
    pub fn has(&mut self, peer_id: i64, message_id: i64) {
        self.seen.meet(peer_id, message_id);
    }

    /// Copies rows in with nothing around it, and without a checkpoint: the ceiling that a bench measures a load against.
    /// Returns how long the server took.
    pub async fn copy_alone(
        &mut self,
        batches: &[Vec<MessageRow>],
    ) -> Result<Duration, ProjectionError> {
        let statements = self.store.prepared().await?;
        let mut connection = self.store.connected("copying rows").await?;
        write::copy_alone(&statements, &mut connection, batches).await
    }

    /// Counts the hours, once the bulk of the log is in. A load that is cut off before has nothing counted, and one that
    /// goes on with it counts anew.
    pub async fn count_hours(
        &mut self,
        generations: &mut Generations,
    ) -> Result<(), ProjectionError> {
        generations.count_hours(self.number).await?;
        self.counted = true;
        Ok(())
    }
}

impl Projection for Loader {
    fn name(&self) -> ProjectionName {
        NAME
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, ProjectionError> {
        self.store.checkpoint().await
    }

    async fn apply(&mut self, batch: &Batch) -> Result<(), ProjectionError> {
        const DOING: &str = "loading a batch";
        let mut rows = Rows::of(&batch.entries);
        let all = std::mem::take(&mut rows.messages);
        // A batch whose fate is unknown comes again and finds its messages known: slower, and right either way.
        let (known, new): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|row| self.seen.meet(row.peer_id, row.message_id));
        rows.messages = known;
        let statements = self.store.prepared().await?;
        let mut connection = self.store.connected(DOING).await?;
        let writing = Writing {
            new,
            rest: rows,
            notes_hours: self.counted,
        };
        let loaded = write::apply(&statements, &mut connection, batch, writing);
        let deadline = Duration::from_secs(APPLY_SECONDS);
        match tokio::time::timeout(deadline, loaded).await {
            Ok(Ok(_)) => {
                self.store.connection = Some(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(too_slow(DOING)),
        }
    }

    async fn clear(&mut self) -> Result<(), ProjectionError> {
        self.store.clear().await?;
        self.seen.clear();
        self.counted = false;
        Ok(())
    }
}

impl Inspect for Loader {
    type Snapshot = super::TimescaleSnapshot;

    async fn snapshot(&mut self) -> Result<super::TimescaleSnapshot, ProjectionError> {
        self.store.snapshot().await
    }
}

//! Looking at the quarantine, and trying again what is in it.
//!
//! Nothing is refused by Redis; what is in its quarantine could not be read as an event, and may be readable by a newer
//! version of the program. Applying an event twice changes nothing, so the two steps of a retry need no transaction.

use serde::Deserialize;
use wal::Seq;

use super::Redis;
use crate::event::{Envelope, Timestamp};
use crate::store::{Batch, Entry, Poison, Projection as _, ProjectionError, Quarantine, Retried};

const READING: &str = "reading the quarantine";

/// As `text` writes it.
#[derive(Deserialize)]
struct Told {
    seq: u64,
    kind: u8,
    received_at: String,
    reason: String,
}

impl Quarantine for Redis {
    async fn quarantine_size(&mut self) -> Result<u64, ProjectionError> {
        let mut connection = self.connection().await?;
        let mut command = ::redis::cmd("ZCARD");
        command.arg(self.keys.quarantine());
        let size = command.query_async(&mut connection).await;
        self.done(READING, size)
    }

    async fn quarantined(
        &mut self,
        after: u64,
        max: usize,
    ) -> Result<Vec<Poison>, ProjectionError> {
        let mut connection = self.connection().await?;
        let mut command = ::redis::cmd("ZRANGEBYSCORE");
        command
            .arg(self.keys.quarantine())
            .arg(format!("({after}"))
            .arg("+inf")
            .arg("LIMIT")
            .arg(0)
            .arg(max);
        let texts = command.query_async(&mut connection).await;
        let texts: Vec<String> = self.done(READING, texts)?;
        // What somebody else wrote there is not ours to show.
        Ok(texts.iter().filter_map(|text| poison(text)).collect())
    }

    async fn retry(&mut self, envelope: &Envelope) -> Result<Retried, ProjectionError> {
        let entry = Entry::Event(envelope.clone());
        self.apply(&Batch::partial(vec![entry])).await?;
        self.forget(envelope.seq).await?;
        Ok(Retried::Applied)
    }

    async fn forget(&mut self, seq: Seq) -> Result<bool, ProjectionError> {
        let mut connection = self.connection().await?;
        let mut command = ::redis::cmd("ZREMRANGEBYSCORE");
        command
            .arg(self.keys.quarantine())
            .arg(seq.get())
            .arg(seq.get());
        let gone = command.query_async(&mut connection).await;
        let gone: u64 = self.done("taking an event out of the quarantine", gone)?;
        Ok(gone > 0)
    }
}

fn poison(text: &str) -> Option<Poison> {
    let told: Told = serde_json::from_str(text).ok()?;
    Some(Poison {
        seq: Seq::new(told.seq)?,
        kind: told.kind,
        received_at: told.received_at.parse::<Timestamp>().ok()?,
        reason: told.reason,
        raw: Vec::new(),
    })
}

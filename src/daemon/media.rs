//! The depot of files as the configuration has it, and what feeds it: the log.
//!
//! Nothing of the log is kept for it. Listing keeps up with the log by itself; what retention removed while downloads
//! were switched off is not fetched, and that is said.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wal::Seq;

use super::Daemon;
use super::mirror::{MirrorError, envelopes};
use crate::config;
use crate::failure::chain;
use crate::journal::JournalReader;
use crate::projector::next_seq;
use crate::source::telegram::media::{Depot, Limits};

/// Records that are looked through at once.
const RECORDS_MAX: usize = 2_000;
const BYTES_MAX: usize = 8 << 20;
/// Between two looks at the log. Each that finds a file costs a sync of the disk, which the log needs too.
const EVERY: Duration = Duration::from_secs(1);

impl Daemon {
    /// Opens the depot; none when nothing is downloaded.
    pub(super) async fn depot(
        &self,
        config: &config::Telegram,
    ) -> Result<Option<Arc<Depot>>, MirrorError> {
        let media = &config.media;
        if media.download.is_empty() {
            return Ok(None);
        }
        let reader = &self.journal.reader;
        let limits = Limits {
            kinds: media.download.clone(),
            bytes_max: media.bytes_max,
            store_bytes_max: media.store_bytes_max,
        };
        let depot = Depot::open(
            &self.config.data_dir,
            &media.folder,
            (reader.identity().log_id, reader.tail()),
            limits,
            config.accounts.len(),
        );
        Ok(Some(Arc::new(depot.await?)))
    }
}

/// Follows the log until stopped.
pub(super) async fn follow(depot: Arc<Depot>, reader: JournalReader, stop: CancellationToken) {
    let mut tail = reader.subscribe();
    // None while the list has to be asked.
    let mut from = None;
    loop {
        let taken = take_in(&depot, &reader, from).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match taken {
            Ok(next) => from = Some(next),
            Err(error) => {
                tracing::warn!(error = chain(&error), "the list of files lags");
                from = None;
                continue;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = tail.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Looks through the log, and gives the number to go on from.
async fn take_in(
    depot: &Depot,
    reader: &JournalReader,
    from: Option<Seq>,
) -> Result<Seq, MirrorError> {
    let mut from = match from {
        Some(from) => from,
        None => next_seq(depot.covered().await?),
    };
    loop {
        let tail = reader.tail();
        if from.get() > tail {
            return Ok(from);
        }
        if let Some(first) = reader.first().await?
            && from < first
        {
            let (unread, first_kept) = (from.get(), first.get());
            tracing::warn!(
                unread,
                first_kept,
                "part of the log went before files were looked for in it"
            );
            from = first;
        }
        let records = reader.range(from, tail, RECORDS_MAX, BYTES_MAX).await?;
        let Some(last) = records.last() else {
            return Ok(from);
        };
        let covered = last.header().seq;
        depot.absorb(&envelopes(&records), covered.get()).await?;
        from = covered.next();
    }
}

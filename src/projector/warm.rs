//! Filling a cache from the newest events back.
//!
//! A store that keeps only the newest messages of each channel needs little of a long log. Read from its end, the first
//! thing that readers get is what is newest, and what has fallen out of a window is never sent to the store. The log is
//! read as far as its beginning all the same: only then is it known that nothing older belongs to a message of a window.
//! Only then does the store get a checkpoint, so that what is not whole is never taken for whole.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use wal::Seq;

use super::{Refused, entry, next_seq, stage};
use crate::event::{Body, PeerId, Timestamp};
use crate::journal::{JournalError, Ranges};
use crate::status::Status;
use crate::store::{Checkpoint, Entry, Filling, Projection};

/// Numbers read and applied at once.
const CHUNK: u64 = 5_000;
const CHUNK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// So many windows are a long log.
const LONG: u64 = 4;

/// What is known of the windows, by what was read so far from the end: pure.
#[derive(Debug)]
pub struct Windows {
    size: usize,
    peers: HashMap<PeerId, BTreeSet<i64>>,
}

impl Windows {
    /// Windows of so many messages.
    pub fn new(size: usize) -> Windows {
        Windows {
            size,
            peers: HashMap::new(),
        }
    }

    /// Whether an event can matter to a store with such windows. Its message is in the window from now on, unless
    /// there are enough newer ones.
    pub fn takes(&mut self, entry: &Entry) -> bool {
        let event = match entry {
            Entry::Event(envelope) => &envelope.event,
            Entry::Poison(_) => return true,
        };
        let id = match (&event.body, event.body.message_id()) {
            (Body::Channel(_), _) => return true,
            (Body::Unknown { .. }, _) | (_, None) => return false,
            (_, Some(id)) => id,
        };
        let Some(peer) = event.peer else {
            return false;
        };
        let ids = self.peers.entry(peer).or_default();
        if ids.len() >= self.size && ids.first().is_some_and(|lowest| id < *lowest) {
            return false;
        }
        ids.insert(id);
        if ids.len() > self.size {
            ids.pop_first();
        }
        true
    }

    /// How many messages the windows hold.
    pub fn messages(&self) -> usize {
        self.peers.values().map(BTreeSet::len).sum()
    }
}

/// What a filling has gone through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filled {
    /// The first number of the log.
    pub from: u64,
    /// The last one.
    pub until: u64,
    /// Numbers up to the last one of which the projection has all it keeps.
    pub covered: u64,
    /// Events read.
    pub events: u64,
    /// Their bytes in the log.
    pub bytes: u64,
    /// Messages in the windows.
    pub messages: usize,
}

/// Fills a projection with the windows of the log as far as `until`, and gives it its checkpoint; none when it was
/// stopped before. Reports after each part. Where something of it was lost meanwhile (`CheckpointMoved`), it has to be done again.
pub async fn fill<P: Projection>(
    projection: &mut P,
    journal: &impl Ranges,
    window: usize,
    until: u64,
    report: &mut (dyn FnMut(&Filled) + Send),
    stop: &CancellationToken,
) -> Result<Option<Filled>, Refused> {
    let first = journal.first().await?.map_or(u64::MAX, Seq::get);
    let mut filled = Filled {
        from: first,
        until,
        ..Filled::default()
    };
    // The next part is read and decoded while the store works on this one.
    let mut back = Back::read(journal.clone(), Windows::new(window), first, until);
    let mut end = None;
    while let Some(read) = back.next().await? {
        if stop.is_cancelled() {
            return Ok(None);
        }
        filled.messages = read.messages;
        filled.events += read.events;
        filled.bytes += read.bytes;
        // The last number of the log may be in a hole; a checkpoint names an event.
        end = end.or(read.last);
        if let Some((seq, updated_at)) = end {
            let part = Filling {
                end: Checkpoint {
                    identity: journal.identity(),
                    seq,
                    updated_at,
                },
                until,
                from: read.from,
                upto: read.upto,
                entries: read.entries,
            };
            projection.fill(&part).await?;
            filled.covered = part.covered();
            report(&filled);
            if part.from == first {
                projection.filled(&part).await?;
            }
        }
    }
    Ok(Some(filled))
}

/// Fills an empty store that keeps only windows, when the log is so long that most of it has fallen out of them, or has
/// lost its beginning. Whether the store has its checkpoint by now.
pub(super) async fn if_worth_it<P: Projection>(
    projection: &mut P,
    journal: &impl Ranges,
    status: &Status,
    stop: &CancellationToken,
) -> Result<bool, Refused> {
    let Some(window) = projection.keeps() else {
        return Ok(false);
    };
    let first = journal.first().await?.map_or(0, Seq::get);
    let (tail, few) = (journal.tail(), LONG.saturating_mul(window as u64));
    if first <= 1 && tail < few {
        return Ok(false);
    }
    let name = projection.name();
    tracing::info!(projection = %name, upto = tail, "empty; filled from the newest events back");
    let mut report = |filled: &Filled| {
        let of = filled.until + 1 - filled.from;
        status.fills(stage(name), filled.covered, of);
    };
    let filled = fill(projection, journal, window, tail, &mut report, stop).await?;
    if let Some(filled) = filled {
        tracing::info!(projection = %name, upto = tail, messages = filled.messages, "filled");
    }
    Ok(filled.is_some())
}

/// A part of the log, without what does not matter.
struct Read {
    from: u64,
    upto: u64,
    entries: Vec<Entry>,
    last: Option<(Seq, Timestamp)>,
    events: u64,
    bytes: u64,
    /// Messages in the windows by now.
    messages: usize,
}

/// The log from its end back, read on a task of its own; dropping it ends that.
struct Back {
    parts: mpsc::Receiver<Result<Read, JournalError>>,
    _reader: AbortOnDropHandle<()>,
}

impl Back {
    fn read(journal: impl Ranges, windows: Windows, first: u64, until: u64) -> Back {
        let (sender, parts) = mpsc::channel(1);
        let reader = tokio::spawn(async move {
            let (mut windows, mut upto) = (Some(windows), until);
            while upto >= first
                && let Some(known) = windows.take()
            {
                let from = upto.saturating_sub(CHUNK - 1).max(first);
                let read = read(&journal, from, upto, known).await;
                let part = read.map(|(part, known)| {
                    windows = Some(known);
                    part
                });
                if sender.send(part).await.is_err() {
                    return;
                }
                upto = from - 1;
            }
        });
        Back {
            parts,
            _reader: AbortOnDropHandle::new(reader),
        }
    }

    /// The next part; none behind the first number.
    async fn next(&mut self) -> Result<Option<Read>, JournalError> {
        self.parts.recv().await.transpose()
    }
}

async fn read(
    journal: &impl Ranges,
    from: u64,
    upto: u64,
    mut windows: Windows,
) -> Result<(Read, Windows), JournalError> {
    let (mut records, mut at) = (Vec::new(), from - 1);
    while at < upto {
        let more = journal
            .range(next_seq(at), upto, usize::MAX, CHUNK_BYTES_MAX)
            .await?;
        at = more.last().map_or(upto, |last| last.header().seq.get());
        records.extend(more);
    }
    // Decoding takes the processor, not the disk.
    let decoded = tokio::task::spawn_blocking(move || {
        let last = records.last().map(|record| {
            let header = record.header();
            (header.seq, Timestamp::from_micros(header.received_at))
        });
        let mut entries: Vec<Entry> = records
            .iter()
            .rev()
            .map(entry)
            .filter(|entry| windows.takes(entry))
            .collect();
        entries.reverse();
        let part = Read {
            from,
            upto,
            entries,
            last,
            events: records.len() as u64,
            bytes: records.iter().map(|it| it.as_bytes().len() as u64).sum(),
            messages: windows.messages(),
        };
        (part, windows)
    });
    decoded.await.map_err(|_| JournalError::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Envelope, Event, Origin};
    use crate::journal::{JournalReader, LOG_DIR};
    use crate::store::{Batch, ProjectionError, ProjectionName};

    struct Taken(u64);

    impl Projection for Taken {
        fn name(&self) -> ProjectionName {
            ProjectionName::Redis
        }

        async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, ProjectionError> {
            Ok(None)
        }

        async fn apply(&mut self, batch: &Batch) -> Result<(), ProjectionError> {
            self.0 += batch.entries.len() as u64;
            Ok(())
        }

        async fn clear(&mut self) -> Result<(), ProjectionError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn how_far_a_filling_is_can_be_seen_meanwhile() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = wal::Log::open(&dir.path().join(LOG_DIR), wal::Options::default());
        let mut log = log.expect("new");
        let length = 2 * CHUNK + 100;
        let records = (1..=length).map(|id| {
            let Entry::Event(envelope) = deleted(id, 5, id as i64) else {
                unreachable!("an event")
            };
            let record = envelope.event.to_record(Timestamp::from_seconds(1));
            record.expect("small")
        });
        let batch = wal::Batch {
            records: records.collect(),
            ..wal::Batch::default()
        };
        log.append(&batch).expect("durable");
        let journal = JournalReader::open(dir.path()).expect("a log");
        let (mut taken, stop) = (Taken(0), CancellationToken::new());
        let (mut seen, window) = (Vec::new(), 20);
        let mut report = |filled: &Filled| seen.push(filled.covered);
        let filled = fill(&mut taken, &journal, window, length, &mut report, &stop).await;
        let filled = filled.expect("no trouble").expect("whole");
        assert_eq!(seen, [CHUNK, 2 * CHUNK, length]);
        assert_eq!((filled.events, filled.messages), (length, window));
        assert_eq!(taken.0, window as u64);
    }

    fn deleted(seq: u64, peer: i64, id: i64) -> Entry {
        Entry::Event(Envelope {
            seq: Seq::new(seq).expect("not zero"),
            epoch: 1,
            received_at: Timestamp::from_seconds(1),
            event: Event {
                origin: Origin::Live,
                peer: PeerId::from_marked(peer).ok(),
                body: Body::Deleted { message_id: id },
                raw: None,
                stamp: 0,
            },
        })
    }

    #[test]
    fn what_has_fallen_out_of_a_window_is_left_out_and_nothing_else() {
        let mut windows = Windows::new(2);
        let mut takes = |peer, id| windows.takes(&deleted(1, peer, id));
        assert!(takes(5, 10) && takes(5, 8), "there is room");
        assert!(!takes(5, 7), "older than both");
        assert!(takes(5, 8), "more of one that is in");
        assert!(takes(5, 12), "newer, though it came earlier");
        assert!(!takes(5, 8), "that one pushed it out");
        assert!(takes(6, 1), "another peer");
        assert_eq!(windows.messages(), 3);
    }
}

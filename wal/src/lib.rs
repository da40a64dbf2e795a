//! A crash-safe log: gapless numbered records, on disk before they are acknowledged.
//!
//! The log knows bytes and [`Seq`], nothing of what the bytes mean. One [`Log`] writes; any
//! number of [`Reader`]s, in its process or in others, follow it live. Everything is synchronous.
//!
//! ```
//! use wal::{Batch, Log, NewRecord, Options, Outcome, Reader, Seq};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = tempfile::tempdir()?;
//! # let dir = scratch.path();
//! # let hello = NewRecord {
//! #     codec: 0, flags: 0, kind: 0, peer_kind: 0, peer_id: 7, message_id: 1,
//! #     received_at: 0, source_at: 0, payload: b"hello".to_vec(), key: Some(b"7/1".to_vec()),
//! # };
//! let mut log = Log::open(dir, Options::default())?;
//!
//! // A record and where its source is, in one commit. When this returns, it is on disk.
//! let batch = Batch {
//!     records: vec![hello], // a `NewRecord` with the key "7/1"
//!     bookmarks: vec![("source".into(), b"page 12".to_vec())],
//!     cursors: vec![],
//! };
//! assert_eq!(log.append(&batch)?.outcomes, [Outcome::Appended(Seq::FIRST)]);
//! // The same key again: nothing is stored, and the number of the first is the answer.
//! assert_eq!(log.append(&batch)?.outcomes, [Outcome::Duplicate(Seq::FIRST)]);
//!
//! // Any process may read beside the writer. Following is asking again from the next number.
//! let reader = Reader::open(dir)?;
//! let mut next = Seq::FIRST;
//! for record in reader.read(next, 100, 1 << 20)? {
//!     assert_eq!(record.payload(), b"hello");
//!     next = Seq::new(record.header().seq.get() + 1).ok_or("the last number")?;
//! }
//! assert!(reader.read(next, 100, 1 << 20)?.is_empty());
//!
//! // How far this reader is, for whoever continues it; it goes in with any batch.
//! let cursors = vec![("reader".into(), Seq::FIRST)];
//! log.append(&Batch { cursors, ..Batch::default() })?;
//! log.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Words
//!
//! ```text
//!  trimmed | first .. sealed segments .. | active segment .. tail | next
//!          |<--------------- readable ------------------------->|
//!              cursor "x" ^        cursor "y" ^
//! ```
//!
//! - **record**: one header and one payload under one number.
//! - **key**: a record's dedup key; a key already in the log makes a record a duplicate.
//! - **bookmark**: where the source of the records is; committed with the records it covers.
//! - **cursor**: where a reader of the log is; moves forward only.
//! - **segment**: a run of records in one file. **Sealed**: complete, described by a manifest,
//!   never changed again. **Active**: the newest, the only one that is written.
//! - **tail**: the last record. **first**: the first one kept. **trim**: removing whole sealed
//!   segments from the start.
//! - **hole**: numbers that will never be readable, recorded for ever; reads pass over it.
//!   **Fence**: a hole of numbers that may have been given out by a life of the log that is lost.
//! - **epoch**: the life of the log in which a number was given out.
//!
//! # What holds
//!
//! 1. [`Log::append`] returns after its one transaction was fsynced: records, keys, bookmarks
//!    and cursors of a batch are all there or none is.
//! 2. Numbers are gapless from 1 within `(log_id, epoch)`. A gap that is not a recorded [`Hole`]
//!    is an error of every read.
//! 3. Every record is checked against its checksum and its number whenever it is read. A damaged
//!    record is an error that names the number, never a record left out.
//! 4. After any I/O error the writer refuses to go on: what is on disk is known again only after
//!    the log is opened again.
//! 5. A process that dies at any point, or a power cut with any part of the unsynced writes
//!    lost, leaves a log that opens, with everything acknowledged in it.
//! 6. A damaged or missing segment keeps the log from opening only if it is the newest. Reads of
//!    its numbers are errors that name them. [`salvage()`] replaces it by what can be read of it,
//!    under the same numbers; what is lost becomes a hole.
//!
//! # From the first page to the last
//!
//! | Folder | What lives there |
//! |---|---|
//! | `format/` | bytes, no files: records, blocks of them, manifests, holes |
//! | `file/` | segments, the catalog, the redo file, the lock, and the storage below them |
//! | `write/` | opening, one append, dedup keys, rolling to the next segment, work beside the appends, fences |
//! | `read/` | readers, in the writer's process and in others |
//! | `mend/` | verify, carving, salvage, rewriting, compaction |
//! | `keep/` | containers, archive, retention, backup, restore |
//! | `fault/` | a machine whose power can be cut and whose disk can fail, for tests |
//!
//! What is decided is decided in files that touch neither files nor clock, and say "Pure." in
//! their first line: the bytes of a record (`format/frame.rs`), how much is written ahead
//! (`write/ahead.rs`), when a segment is sealed (`write/seal.rs`), what may be removed
//! (`keep/retention.rs`), what opening has to do (`file/plan.rs`, `file/chain.rs`), and what is
//! flushed (`file/guarded/ops.rs`). Which appends share a commit is the caller's to say.
//!
//! # How it compares
//!
//! - [redb](https://github.com/cberner/redb/blob/master/docs/design.md) is the engine below. Its
//!   commits are atomic and its pages checksummed, but a file that was not closed is repaired by
//!   walking all its trees, values are not checked when they are read, and a file never gets
//!   shorter by deleting. So a log is many files, of which one at most is repaired; each record
//!   has its own checksum; and what is old goes as a whole file.
//! - [mrecordlog](https://github.com/quickwit-oss/mrecordlog) keeps many queues in one run of
//!   files and all that is retained in memory; files are read only at start, and removed when
//!   every queue has passed them. Better for a minute of fast data in one process. Here memory
//!   does not grow with the log, other processes read it, and keys, archives, backups and
//!   salvage are part of it.
//! - A plain file of frames is faster for large batches (`telegram-gateway bench log` prints by
//!   how much) and needs no engine. What it lacks is what is hard: lookup by number and by key,
//!   several tables in one commit, and readers that never see half of one.
//!
//! # Limits
//!
//! A payload has at most [`PAYLOAD_BYTES_MAX`] bytes, a key [`KEY_BYTES_MAX`], a name
//! [`NAME_BYTES_MAX`], a bookmark [`BOOKMARK_BYTES_MAX`]. All bookmarks and cursors are copied
//! into every new segment, so they should be few (thousands) and small. A directory may hold
//! thousands of segments. Opening after a crash takes about 1.5 ms per MiB of
//! [`Options::segment_bytes_max`], whatever the length of the log.
//!
//! # Files
//!
//! In the log's directory (0700; files 0600):
//!
//! | File | What | Tables |
//! |---|---|---|
//! | `lock` | the writer's advisory lock; one line saying who holds it | |
//! | `catalog.redb` | what is known of all sealed segments; can be made again from them | meta, manifests, keys, holes |
//! | `segment-<first number, 20 digits>.redb` | records with their keys, and all bookmarks and cursors as of its end | meta, records, keys, bookmarks, cursors, holes, seal |
//! | `segment-...redb.salvaged` | what replaces a damaged segment, complete; put in its place by the next open |
//! | `segment-...redb.damaged` | a damaged segment that was replaced; nothing reads it but salvage |
//! | `redo` | the pages of the commits since the active segment was last synced | |
//! | `restore-unfinished` | a restore is under way here; no log opens until it is done | |
//! | `next.tmp` | blocks written ahead, which the next segment is made in; removed by the next open | |
//! | `*.tmp` | a file being made; removed by the next open | |
//!
//! A commit of ordinary size is one run of blocks written to `redo` and one sync; its pages
//! reach the segment after that, unsynced, and are written again from `redo` by the next open if
//! a power cut took them. The engine alone would sync twice (its two-phase commit). The pages of
//! a larger commit go to the segment at once and are synced there, before its header alone goes
//! through `redo`.
//!
//! The file of an active segment may be longer than what is in it, by blocks of `next.tmp` that
//! are not used yet. Sealing and closing cut them off; an open after a crash makes use of them.
//!
//! Sealing is three durable steps, each completed by the next open if a crash comes between:
//! the manifest as the segment's last row; the next segment, made under a temporary name and
//! renamed; manifest and keys into the catalog. Appends wait for the first two only. The
//! manifests form a chain: each names the SHA-256 of the record bytes of its own segment and of
//! the one before it.
//!
//! Archives and backups hold sealed segments as containers (`*.walz`), whose layout is that of
//! their module. A restored log starts a new epoch.
//!
//! # Rows of a segment
//!
//! One append cuts its records, in order, into blocks that fill the engine's pages of 4 to
//! 64 KiB; what fills no page goes into rows of up to 1 KiB, a larger record into one of its own.
//! Integers are little-endian; the engine keeps rows in the order of their numbers.
//!
//! | Table | Number of the row | Value |
//! |---|---|---|
//! | records | of the **last** record of the block | its records, each as below, one after another |
//! | keys | of the **first** record of a block of keys | for each record in turn: u16 length, then the dedup key; 65535 and nothing for a record without one; at the end u32 crc32 over the number of the row (u64) and all of that |
//!
//! The last number of one block of records and of the next say which numbers the latter holds,
//! whatever becomes of its bytes. A damaged record damages no other, except that the records
//! after a damaged length cannot be told apart: they are errors up to the end of their block.
//! Blocks of keys may be cut elsewhere than those of records, and there is none for records
//! without keys.
//!
//! Rows without that crc32 are those of layout 1 (the row `layout` of the table meta; 2 is what is
//! written). Sealed segments of layout 1 are read as they are; an active one is brought to layout
//! 2 by the open that writes to it.
//!
//! The keys of the active segment are all read when it is opened, and of a sealed one when the
//! catalog takes it in. A block that is not what was written is never used, nor passed over: its
//! records could come in twice. In the newest segment it keeps the log from opening, an older one
//! is reported as damaged, and [`verify()`] names the block ([`FindingKind::KeysDamaged`]).
//! [`salvage()`] then takes the keys from the catalog and from whoever can derive them from the
//! records ([`RecordSource::key_of`]); a record whose key neither has is no duplicate any more.
//!
//! # A record, byte by byte
//!
//! Format version 1, little-endian. The header has [`HEADER_LEN`] bytes.
//!
//! | At | Bytes | Field | |
//! |---|---|---|---|
//! | 0 | 2 | magic | `57 52`, "WR" |
//! | 2 | 1 | format version | 1 |
//! | 3 | 1 | codec | the caller's: how the payload is encoded |
//! | 4 | 2 | flags, u16 | the caller's |
//! | 6 | 1 | kind | the caller's |
//! | 7 | 1 | peer kind | the caller's |
//! | 8 | 4 | epoch, u32 | life of the log, from 1 |
//! | 12 | 8 | seq, u64 | the record's number, from 1; one more than that of the record before |
//! | 20 | 8 | peer id, i64 | the caller's |
//! | 28 | 8 | message id, i64 | the caller's |
//! | 36 | 8 | received at, i64 | microseconds since the Unix epoch, UTC |
//! | 44 | 8 | source at, i64 | microseconds since the Unix epoch, UTC |
//! | 52 | 4 | payload length, u32 | bytes after the header |
//! | 56 | 4 | crc32, u32 | IEEE CRC-32 over bytes 0 to 55 and the payload |
//! | 60 | | payload | the caller's |
//!
//! A later version keeps bytes 0 to 2 and reads all earlier versions.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod clock;
mod contain;
#[cfg(test)]
mod crash_matrix;
#[cfg(test)]
mod damage_tests;
mod error;
#[cfg(any(test, feature = "fault"))]
pub mod fault;
mod file;
mod format;
#[cfg(any(test, feature = "fault"))]
pub mod fuzz;
#[cfg(test)]
mod golden_tests;
mod keep;
mod mend;
mod options;
mod read;
mod seq;
#[cfg(test)]
mod testing;
mod write;

use file::{
    catalog, chain, guarded, info, live, lock, overlay, paced, plan, prepared, redo, segment,
    storage, sum, tables,
};
use format::{block, frame, hole, manifest};
use keep::{archive, backup, container, pace, restore, retain, retention};
use mend::{carve, compact, rewrite, salvage, verify};
use read::{files, part, reader};
use write::{
    ahead, append, batch, dedup, fence, keeper, key_index, log, open, roll, seal, upgrade,
};

pub use archive::ArchiveError;
#[cfg(any(test, feature = "fault"))]
pub use backup::backup_on;
pub use backup::{BackupCheck, BackupError, BackupReport, backup, backup_tar, verify_backup};
pub use batch::{Appended, BOOKMARK_BYTES_MAX, Batch, NAME_BYTES_MAX, Outcome};
pub use compact::Compacted;
pub use contain::is_contained;
pub use container::{ContainerError, Containers};
pub use error::{AppendError, DiskError, OpenError, ReadError, RewriteError};
pub use frame::{
    FORMAT_VERSION, FrameError, HEADER_LEN, Header, KEY_BYTES_MAX, MAGIC, NewRecord,
    PAYLOAD_BYTES_MAX, Record,
};
pub use hole::{Hole, HoleCause};
pub use info::SegmentInfo;
pub use lock::hold;
pub use log::Log;
pub use options::{Damaged, Options, Progress, Recovery};
pub use pace::Pace;
pub use reader::Reader;
#[cfg(any(test, feature = "fault"))]
pub use restore::restore_on;
pub use restore::{FENCE_MARGIN, Fence, RestoreError, Restored, restore, restore_tar};
pub use retain::{Archiver, RetainError};
pub use retention::{Kept, RetentionFloor, RetentionPlan, RetentionPolicy, plan_retention};
pub use salvage::{Found, RecordSource, SalvageReport, Salvaged, log_id, salvage};
pub use seq::{Identity, LogId, ParseLogIdError, Seq};
pub use storage::LockError;
pub use verify::{FINDINGS_MAX, Finding, FindingKind, VerifyReport, verify, verify_archive};

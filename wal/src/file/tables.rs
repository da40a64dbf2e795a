//! Every table of every file, with who writes a row and when it goes.

use redb::TableDefinition;

/// Layout version of segment files. Since 2 the rows of keys have a checksum.
pub(crate) const SEGMENT_LAYOUT: u32 = 2;
/// Layout version of the catalog.
pub(crate) const CATALOG_LAYOUT: u32 = 1;

/// Both files: the description rows named below. Written when the file is created.
pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Segment: number of the last record of a block -> the records of the block, one after another.
/// Written by append, never changed, gone with the file. A block holds records of one append.
pub(crate) const RECORDS: TableDefinition<u64, &[u8]> = TableDefinition::new("records");
/// Segment: number of the first record of a block of keys -> its keys, a u16 length (65535: no
/// key) before each, and since layout 2 their checksum, little-endian. Written by append, in the order of the records: a new key
/// costs no search in the file. The writer keeps the reverse in memory, which one segment bounds.
pub(crate) const SEGMENT_KEYS: TableDefinition<u64, &[u8]> = TableDefinition::new("keys");
/// Catalog: dedup key -> number, of all sealed segments. Merged in at seal and kept when a
/// segment is trimmed.
pub(crate) const KEYS: TableDefinition<&[u8], u64> = TableDefinition::new("keys");
/// Segment: all bookmarks, copied from the segment before and replaced by append.
pub(crate) const BOOKMARKS: TableDefinition<&str, &[u8]> = TableDefinition::new("bookmarks");
/// Segment: all cursors, copied from the segment before and moved forward by append.
pub(crate) const CURSORS: TableDefinition<&str, u64> = TableDefinition::new("cursors");
/// Segment: the manifest under [`MANIFEST`], the last thing ever written to the file.
pub(crate) const SEAL: TableDefinition<&str, &[u8]> = TableDefinition::new("seal");
/// Catalog: first number -> manifest of every sealed segment that is kept. Removed by trim.
pub(crate) const MANIFESTS: TableDefinition<u64, &[u8]> = TableDefinition::new("manifests");

/// Catalog: first number -> length, hash and manifest of every segment in the archive. Made by the
/// first archive; a row is written before its segment is trimmed and never removed.
pub(crate) const ARCHIVED: TableDefinition<u64, &[u8]> = TableDefinition::new("archived");
/// Both files, only where there is one: first number of a hole -> the rest of it. In a segment
/// written when the file is made. In the catalog, those of every segment that was ever sealed:
/// they stay when the segment is trimmed.
pub(crate) const HOLES: TableDefinition<u64, &[u8]> = TableDefinition::new("holes");

/// META, both files: layout version, u32.
pub(crate) const LAYOUT: &str = "layout";
/// META, both files: log id, 16 bytes.
pub(crate) const LOG_ID: &str = "log_id";
/// META, segment: epoch of its records, u32.
pub(crate) const EPOCH: &str = "epoch";
/// META, segment: its first number, u64. Catalog: the first number kept (raised by trim).
pub(crate) const FIRST: &str = "first";
/// META, segment: digest of the segment before, 32 bytes, absent in the first. Catalog: the same
/// for the first segment kept.
pub(crate) const PREVIOUS: &str = "previous";
/// META, catalog: first number of the newest segment ever made, u64. Without it the loss of the
/// active segment would look like a crash before it was made.
pub(crate) const NEWEST: &str = "newest";
/// META, segment: creation, i64 microseconds since the Unix epoch.
pub(crate) const CREATED_AT: &str = "created_at";
/// META, segment: present once the file had to be repaired after an unclean stop.
pub(crate) const RECOVERED: &str = "recovered";
/// SEAL: the one row.
pub(crate) const MANIFEST: &str = "manifest";

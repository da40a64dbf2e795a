//! The index of a backup: a text that names every container, with a checksum. Pure but for
//! [`load`] and [`save`].
//!
//! ```text
//! telegram-gateway log backup, version 2
//! log 12345678-9abc-4def-8001-020304050607
//! epoch 2
//! tail 2000
//! created 1800000000000000
//! segment 1 1000 30412 <sha256> <digest>
//! segment 1001 1998 28311 <sha256> <digest>
//! keys 4711 61234 <sha256>
//! sha256 <of all lines above>
//! ```
//!
//! `tail` is the highest number given out, `created` in microseconds since the Unix epoch. A
//! segment has its first and last number, the bytes of its container, the SHA-256 in the last 32
//! bytes of that, and the digest of its records. `keys` says how many there are in the file of
//! dedup keys without a container, its bytes and SHA-256; it is left out where there is no such
//! file, and the version is then 1 instead of 2.

use std::fmt::Write;
use std::io;

use sha2::{Digest, Sha256};

use super::keys::KeysEntry;
use super::{BackupError, BackupReport};
use crate::error::AtFile;
use crate::plan::TEMPORARY;
use crate::seq::{Identity, Seq};
use crate::storage::{Access, Storage};

/// Name of the index.
pub(crate) const INDEX: &str = "backup.txt";
const TITLE: &str = "telegram-gateway log backup, version ";
const WITHOUT_KEYS: &str = "1";
const WITH_KEYS: &str = "2";
/// No index is larger: a line has under 250 bytes, and a directory holds thousands of files.
pub(crate) const BYTES_MAX: u64 = 64 << 20;

/// One container of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
    pub(crate) digest: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) identity: Identity,
    /// The highest number given out, 0 for none.
    pub(crate) tail: u64,
    pub(crate) created_at: i64,
    /// One run without a gap, oldest first.
    pub(crate) entries: Vec<Entry>,
    /// Dedup keys of records that are in none of them.
    pub(crate) keys: Option<KeysEntry>,
}

impl Index {
    pub(crate) fn encode(&self) -> String {
        let version = self.keys.map_or(WITHOUT_KEYS, |_| WITH_KEYS);
        let mut out = format!(
            "{TITLE}{version}\nlog {}\nepoch {}\ntail {}\ncreated {}\n",
            self.identity.log_id, self.identity.epoch, self.tail, self.created_at
        );
        for entry in &self.entries {
            let (sha256, digest) = (hex(&entry.sha256), hex(&entry.digest));
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "segment {} {} {} {sha256} {digest}",
                entry.first, entry.last, entry.bytes
            );
        }
        if let Some(keys) = &self.keys {
            let sha256 = hex(&keys.sha256);
            let _ = writeln!(out, "keys {} {} {sha256}", keys.count, keys.bytes);
        }
        let sum: [u8; 32] = Sha256::digest(out.as_bytes()).into();
        let _ = writeln!(out, "sha256 {}", hex(&sum));
        out
    }

    /// Takes exactly what [`Index::encode`] gives.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Index, BackupError> {
        let bad = |what| BackupError::Index { what };
        let text = std::str::from_utf8(bytes).map_err(|_| bad("it is no text"))?;
        let title = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix(TITLE));
        if ![WITHOUT_KEYS, WITH_KEYS].contains(&title.ok_or(bad("its first line"))?) {
            return Err(bad("its version is not known to this program"));
        }
        let index = parse(text).ok_or(bad("a line"))?;
        if index.encode() != text {
            return Err(bad("its checksum"));
        }
        let is_run = |pair: &[Entry]| pair[0].last.checked_add(1) == Some(pair[1].first);
        let ordered = index
            .entries
            .iter()
            .all(|entry| entry.first > 0 && entry.last >= entry.first && entry.last <= index.tail);
        if !ordered || !index.entries.windows(2).all(is_run) || index.tail == u64::MAX {
            return Err(bad("its segments do not follow on each other"));
        }
        Ok(index)
    }

    pub(crate) fn report(&self, written: usize, written_bytes: u64) -> BackupReport {
        BackupReport {
            identity: self.identity,
            segments: self.entries.len(),
            written,
            written_bytes,
            first: self.entries.first().and_then(|entry| Seq::new(entry.first)),
            last: self.entries.last().and_then(|entry| Seq::new(entry.last)),
            tail: Seq::new(self.tail),
            keys: self.keys.map_or(0, |keys| keys.count),
        }
    }
}

fn parse(text: &str) -> Option<Index> {
    let mut lines = text.lines().skip(1);
    let mut value = |name| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let identity = Identity {
        log_id: value("log")?.parse().ok()?,
        epoch: value("epoch")?.parse().ok()?,
    };
    let tail = value("tail")?.parse().ok()?;
    let created_at = value("created")?.parse().ok()?;
    let (mut entries, mut keys) = (Vec::new(), None);
    for line in lines {
        let mut words = line.split(' ');
        match words.next()? {
            "segment" => entries.push(Entry {
                first: words.next()?.parse().ok()?,
                last: words.next()?.parse().ok()?,
                bytes: words.next()?.parse().ok()?,
                sha256: unhex(words.next()?)?,
                digest: unhex(words.next()?)?,
            }),
            "keys" => {
                keys = Some(KeysEntry {
                    count: words.next()?.parse().ok()?,
                    bytes: words.next()?.parse().ok()?,
                    sha256: unhex(words.next()?)?,
                });
            }
            // The last line; that nothing follows shows when it is compared.
            "sha256" => break,
            _ => return None,
        }
    }
    Some(Index {
        identity,
        tail,
        created_at,
        entries,
        keys,
    })
}

fn hex(bytes: &[u8; 32]) -> String {
    let mut out = String::with_capacity(64);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(out)
}

/// The index of a backup; `None` where there is none.
pub(crate) fn load(storage: &dyn Storage) -> Result<Option<Index>, BackupError> {
    let file = match storage.open(INDEX, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.at(INDEX)?,
    };
    let len = file.len().at(INDEX)?;
    if len > BYTES_MAX {
        let what = "it is too long";
        return Err(BackupError::Index { what });
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read(0, &mut bytes).at(INDEX)?;
    Index::decode(&bytes).map(Some)
}

/// Writes the index, whole or not at all.
pub(crate) fn save(storage: &dyn Storage, index: &Index) -> Result<(), BackupError> {
    put_file(storage, INDEX, index.encode().as_bytes()).at(INDEX)?;
    Ok(())
}

/// Writes a small file under a temporary name, syncs it and gives it its name.
fn put_file(storage: &dyn Storage, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}{TEMPORARY}");
    let file = storage.open(&temporary, Access::Create)?;
    file.set_len(bytes.len() as u64)?;
    file.write(0, bytes)?;
    file.sync_data()?;
    file.close()?;
    drop(file);
    storage.rename(&temporary, name)?;
    storage.sync_dir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seq::LogId;
    use proptest::prelude::*;

    fn sample() -> Index {
        let entry = |first, last| Entry {
            first,
            last,
            bytes: 77,
            sha256: [0xab; 32],
            digest: [3; 32],
        };
        Index {
            identity: Identity {
                log_id: LogId([9; 16]),
                epoch: 4,
            },
            tail: 30,
            created_at: -7,
            entries: vec![entry(5, 10), entry(11, 30)],
            keys: Some(KeysEntry {
                count: 4,
                bytes: 99,
                sha256: [0xcd; 32],
            }),
        }
    }

    #[test]
    fn an_index_survives_encoding_and_no_changed_byte_does() {
        let index = sample();
        let text = index.encode().into_bytes();
        assert_eq!(Index::decode(&text).unwrap(), index);
        let empty = Index {
            keys: None,
            entries: vec![],
            ..sample()
        };
        assert_eq!(Index::decode(empty.encode().as_bytes()).unwrap(), empty);
        for at in 0..text.len() {
            for flip in [1, 0x20, 0x80] {
                let mut bad = text.clone();
                bad[at] ^= flip;
                assert!(Index::decode(&bad).is_err(), "byte {at}");
            }
            assert!(Index::decode(&text[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn segments_that_are_no_run_are_refused() {
        for change in [
            |index: &mut Index| index.entries[1].first = 12,
            |index: &mut Index| index.entries[1].last = 31,
            |index: &mut Index| index.entries[0].first = 11,
            |index: &mut Index| index.entries.swap(0, 1),
        ] {
            let mut index = sample();
            change(&mut index);
            assert!(Index::decode(index.encode().as_bytes()).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(lines in "[a-z0-9 \n-]{0,200}", titled: bool) {
            let title = format!("{TITLE}{WITH_KEYS}\nlog ");
            let text = if titled { title + &lines } else { lines };
            prop_assert!(Index::decode(text.as_bytes()).is_err());
        }
    }
}

//! Bringing an active segment of an older layout to the newest, so that only that is ever written.
//! Sealed segments stay what they are, and are read as what they are.

use redb::{Database, ReadableDatabase, ReadableTable};

use crate::error::DiskError;
use crate::segment::read_layout;
use crate::{block, tables};

/// Does so in one commit, and nothing to a segment of the newest layout.
pub(crate) fn upgrade(db: &Database) -> Result<(), DiskError> {
    let before = db.begin_read()?;
    let layout = read_layout(&before)?;
    if layout >= tables::SEGMENT_LAYOUT {
        return Ok(());
    }
    let txn = db.begin_write()?;
    {
        let mut rows = txn.open_table(tables::SEGMENT_KEYS)?;
        for row in before.open_table(tables::SEGMENT_KEYS)?.iter()? {
            let (first, keys) = row?;
            let mut row = keys.value().to_vec();
            block::end_keys(first.value(), &mut row);
            rows.insert(first.value(), row.as_slice())?;
        }
    }
    // With the other table closed: a panic of the engine in opening this one would else end the
    // process.
    let layout = tables::SEGMENT_LAYOUT.to_le_bytes();
    txn.open_table(tables::META)?
        .insert(tables::LAYOUT, &layout[..])?;
    Ok(txn.commit()?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::fault::{FATES, Machine};
    use crate::plan::segment_name;
    use crate::testing::{options, record};
    use crate::verify::verify_on;
    use crate::{Batch, Log, NewRecord, Outcome, Seq, segment};

    /// The log that layout 1 is known by: two records in a sealed segment, one in the active one.
    fn old() -> Machine {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/wal/v1");
        let machine = Machine::new();
        for name in [segment_name(1), segment_name(3), "catalog.redb".to_owned()] {
            machine.put_file(&name, fs::read(dir.join(&name)).unwrap());
        }
        machine
    }

    fn layout(machine: &Machine, first: u64) -> u32 {
        let db = segment::open_read_only(machine, &segment_name(first)).unwrap();
        read_layout(&db.begin_read().unwrap()).unwrap()
    }

    fn knows_its_keys(machine: &Machine, how: &str) {
        let mut log = Log::open_on(machine, options()).unwrap_or_else(|e| panic!("{how}: {e}"));
        let keyed = |n: u64| NewRecord {
            key: Some(format!("key {n}").into_bytes()),
            ..record(n)
        };
        let batch = Batch {
            records: (1..=4).map(keyed).collect(),
            ..Batch::default()
        };
        let outcomes = log.append(&batch).unwrap().outcomes;
        let known = [1, 2, 3].map(|n| Outcome::Duplicate(Seq::at_least_first(n)));
        assert_eq!(outcomes[..3], known, "{how}");
        // New, or of the same append before a cut.
        let (Outcome::Appended(last) | Outcome::Duplicate(last)) = outcomes[3];
        assert_eq!(last, Seq::at_least_first(4), "{how}");
        log.close().unwrap();
        let report = verify_on(machine, &mut |_| {}).unwrap();
        assert!(report.findings.is_empty(), "{how}: {:?}", report.findings);
        assert_eq!([1, 3].map(|first| layout(machine, first)), [1, 2], "{how}");
    }

    #[test]
    fn the_active_segment_is_brought_to_the_newest_layout_whatever_comes_between() {
        let machine = old();
        assert_eq!([1, 3].map(|first| layout(&machine, first)), [1, 1]);
        machine.keep_cuts();
        knows_its_keys(&machine, "uncut");
        for (n, cut) in machine.take_cuts().iter().enumerate() {
            for fate in FATES {
                knows_its_keys(&cut.restart(fate), &format!("cut at {n}, {fate:?}"));
            }
        }
    }
}

//! What opening has to do, from what is in the directory and in the catalog. Pure.

use crate::seq::Seq;

/// Name of the catalog file.
pub(crate) const CATALOG: &str = "catalog.redb";
/// Files being made; complete ones are renamed, so a leftover is worthless.
pub(crate) const TEMPORARY: &str = ".tmp";

/// Is there from the start of a restore to its end; no log is opened beside it.
pub(crate) const RESTORE_MARKER: &str = "restore-unfinished";

/// The file of the segment that starts at `first`.
pub(crate) fn segment_name(first: u64) -> String {
    format!("segment-{first:020}.redb")
}

/// The inverse of [`segment_name`].
pub(crate) fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".redb")?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if all_digits {
        digits.parse().ok()
    } else {
        None
    }
}

/// First numbers of the segments among `names`, ascending.
pub(crate) fn segments_in(names: &[String]) -> Vec<u64> {
    let mut firsts: Vec<u64> = names.iter().filter_map(|n| parse_segment_name(n)).collect();
    firsts.sort_unstable();
    firsts
}

/// The work of opening, in the order in which it is done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Segments a trim had decided to remove.
    pub(crate) remove: Vec<u64>,
    /// Sealed segments whose manifest and keys are not in the catalog.
    pub(crate) absorb: Vec<u64>,
    /// Segments before the newest that must be there and are not.
    pub(crate) missing: Vec<u64>,
    /// The newest segment.
    pub(crate) newest: u64,
}

/// The newest segment must be there and is not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing(pub(crate) Seq);

/// `files` are the first numbers of the segment files, ascending; `known` those of the manifests
/// in the catalog; `floor` is the first number kept and `newest_made` the newest segment made,
/// both according to the catalog.
pub(crate) fn plan(
    files: &[u64],
    known: &[u64],
    floor: u64,
    newest_made: u64,
) -> Result<Plan, Missing> {
    let (remove, kept): (Vec<u64>, Vec<u64>) = files.iter().partition(|first| **first < floor);
    let newest = match kept.last() {
        Some(newest) if *newest >= newest_made => *newest,
        _ => return Err(Missing(Seq::at_least_first(newest_made.max(floor)))),
    };
    let mut missing: Vec<u64> = std::iter::once(floor)
        .chain(known.iter().copied())
        .filter(|first| *first >= floor && kept.binary_search(first).is_err())
        .collect();
    missing.sort_unstable();
    missing.dedup();
    let absorb = kept
        .iter()
        .copied()
        .filter(|first| *first != newest && known.binary_search(first).is_err())
        .collect();
    Ok(Plan {
        remove,
        absorb,
        missing,
        newest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(remove: &[u64], absorb: &[u64], newest: u64) -> Result<Plan, Missing> {
        lacking(remove, absorb, &[], newest)
    }

    fn lacking(
        remove: &[u64],
        absorb: &[u64],
        missing: &[u64],
        newest: u64,
    ) -> Result<Plan, Missing> {
        Ok(Plan {
            remove: remove.to_vec(),
            absorb: absorb.to_vec(),
            missing: missing.to_vec(),
            newest,
        })
    }

    #[test]
    fn the_plan_completes_what_was_interrupted_and_reports_what_is_lost() {
        // An ordinary open, and one after a crash between sealing and the catalog's commit.
        assert_eq!(plan(&[1, 5, 9], &[1, 5], 1, 9), ok(&[], &[], 9));
        assert_eq!(plan(&[1, 5, 9], &[1], 1, 5), ok(&[], &[5], 9));
        assert_eq!(plan(&[1, 5], &[1, 5], 1, 5), ok(&[], &[], 5));
        // A trim that was decided but not carried out, or only partly.
        assert_eq!(plan(&[1, 5, 9], &[], 9, 9), ok(&[1, 5], &[], 9));
        assert_eq!(plan(&[5, 9], &[], 9, 9), ok(&[5], &[], 9));
        // A new catalog.
        assert_eq!(plan(&[5, 9, 20], &[], 5, 20), ok(&[], &[5, 9], 20));
        // Lost files: the first, one in between, the active one, all.
        let lost = |first| Err(Missing(Seq::new(first).unwrap()));
        assert_eq!(plan(&[5, 9], &[1, 5], 1, 9), lacking(&[], &[], &[1], 9));
        assert_eq!(plan(&[5, 9], &[], 1, 9), lacking(&[], &[5], &[1], 9));
        assert_eq!(plan(&[1, 9], &[1, 5], 1, 9), lacking(&[], &[], &[5], 9));
        assert_eq!(plan(&[1, 5], &[1, 5], 1, 9), lost(9));
        assert_eq!(plan(&[], &[1], 1, 5), lost(5));
    }

    #[test]
    fn names_carry_the_first_number() {
        assert_eq!(segment_name(42), "segment-00000000000000000042.redb");
        assert_eq!(parse_segment_name(&segment_name(u64::MAX)), Some(u64::MAX));
        for other in [
            "catalog.redb",
            "segment-1.redb",
            "segment-00000000000000000042.redb.tmp",
        ] {
            assert_eq!(parse_segment_name(other), None);
        }
    }
}

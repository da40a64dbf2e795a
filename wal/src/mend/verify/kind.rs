//! The sorts of findings, for programs.

use std::fmt;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident => $name:literal,)+) => {
        /// What sort of thing is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FindingKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl FindingKind {
            /// Every kind.
            pub const ALL: &[FindingKind] = &[$(FindingKind::$kind,)+];

            /// Its name in snake case; never changes.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(FindingKind::$kind => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// There is no catalog. The next open makes it again.
    CatalogMissing => "catalog_missing",
    /// The catalog cannot be read.
    CatalogUnreadable => "catalog_unreadable",
    /// A sealed segment is not in the catalog: that is older than the segments.
    CatalogOlder => "catalog_older",
    /// Catalog and segment say different things about the segment.
    CatalogDiffers => "catalog_differs",
    /// A segment file is not there.
    SegmentMissing => "segment_missing",
    /// A segment file cannot be walked to its end.
    SegmentUnreadable => "segment_unreadable",
    /// A segment file has the name of another.
    SegmentMisplaced => "segment_misplaced",
    /// A segment is of another log.
    SegmentForeign => "segment_foreign",
    /// A segment that others follow is not sealed.
    SegmentNotSealed => "segment_not_sealed",
    /// A segment does not name the one before it.
    ChainBroken => "chain_broken",
    /// A segment is not what its manifest says.
    ManifestDiffers => "manifest_differs",
    /// Catalog and segment list different holes.
    HolesDiffer => "holes_differ",
    /// A page does not have the checksum that the engine gave it: keys, bookmarks, cursors or the
    /// engine's own notes are not what was written.
    PageDamaged => "page_damaged",
    /// A record, or several that cannot be told apart, is not what was written.
    RecordDamaged => "record_damaged",
    /// A number has neither a record nor a hole.
    RecordMissing => "record_missing",
    /// Records lie where their file cannot be read.
    RecordUnreadable => "record_unreadable",
    /// The dedup keys of some records are not what was written. In the newest segment this keeps
    /// the log from opening until it is salvaged: the records could come in twice.
    KeysDamaged => "keys_damaged",
    /// A dedup key is that of no record of its segment.
    KeyStray => "key_stray",
    /// Two records of a segment have the same dedup key.
    KeyTwice => "key_twice",
    /// The catalog does not know a dedup key of a segment.
    KeyUnknown => "key_unknown",
    /// The catalog has a dedup key for a record whose segment has not.
    KeyMissing => "key_missing",
    /// A cursor stands on a record that does not exist.
    CursorPastTail => "cursor_past_tail",
    /// A container of a backup or an archive is not there.
    ContainerMissing => "container_missing",
    /// A container of a backup or an archive is damaged, or not the one that the index or the
    /// catalog names.
    ContainerDamaged => "container_damaged",
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_snake_case_and_unique() {
        let mut names: Vec<&str> = FindingKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let plain = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(names.iter().all(plain));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FindingKind::ALL.len());
    }
}

//! The chain that the segments form. Pure.

use crate::catalog::Contents;
use crate::error::OpenError;
use crate::options::Damaged;
use crate::plan::segment_name;
use crate::segment::Meta;
use crate::seq::Seq;

/// Every segment starts where the one before it ends and names its digest, from the first kept
/// one to the active one. Where older ones do not, or are not there, the log goes on without
/// them: they are returned.
///
/// # Errors
/// The active segment does not go on where the log ends.
pub(crate) fn check(contents: &Contents, active: &Meta) -> Result<Vec<Damaged>, OpenError> {
    let file = segment_name(active.first);
    if active.identity.log_id != contents.log_id {
        return Err(OpenError::Foreign { file });
    }
    let (found, end) = walk(contents, active.first);
    if active.first < end.next {
        return Err(OpenError::SegmentMisplaced {
            file,
            expected: Seq::at_least_first(end.next),
            found: Seq::at_least_first(active.first),
        });
    }
    if end.previous.is_some_and(|digest| digest != active.previous) {
        return Err(OpenError::ChainBroken { file });
    }
    Ok(found)
}

/// Where the next segment should start and what it should name.
struct End {
    next: u64,
    /// `None` where that is not known.
    previous: Option<Option<[u8; 32]>>,
}

/// What is wrong before the segment that starts at `active`.
pub(crate) fn before(contents: &Contents, active: u64) -> Vec<Damaged> {
    walk(contents, active).0
}

fn walk(contents: &Contents, active: u64) -> (Vec<Damaged>, End) {
    let mut found = Vec::new();
    let mut end = End {
        next: contents.floor.first,
        previous: match contents.floor.previous {
            None if contents.floor.first > 1 => None,
            known => Some(known),
        },
    };
    for manifest in &contents.manifests {
        if manifest.first < end.next {
            let why = format!("starts before {}, where the one before it ends", end.next);
            found.push(damaged(manifest.first, &why));
            continue;
        }
        let broken = end
            .previous
            .is_some_and(|digest| digest != manifest.previous);
        if manifest.first > end.next {
            found.push(gap(end.next, manifest.first - 1));
        } else if broken {
            let why = "does not name the digest of the segment before";
            found.push(damaged(manifest.first, why));
        }
        end = End {
            next: manifest.last + 1,
            previous: Some(Some(manifest.link())),
        };
    }
    if active > end.next {
        found.push(gap(end.next, active - 1));
        end = End {
            next: active,
            previous: None,
        };
    }
    (found, end)
}

fn gap(first: u64, last: u64) -> Damaged {
    let why = format!("records {first} to {last} are in no segment that can be read");
    damaged(first, &why)
}

fn damaged(first: u64, why: &str) -> Damaged {
    Damaged {
        file: segment_name(first),
        first: Seq::at_least_first(first),
        why: why.to_owned(),
    }
}

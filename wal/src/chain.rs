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
    let mut found = Vec::new();
    let mut next = contents.floor.first;
    // `None` where it is not known what should be named.
    let mut previous = match contents.floor.previous {
        None if next > 1 => None,
        known => Some(known),
    };
    for manifest in &contents.manifests {
        if manifest.first < next {
            let why = format!("starts before {next}, where the segment before ends");
            found.push(damaged(manifest.first, &why));
            continue;
        }
        if manifest.first > next {
            let last = manifest.first - 1;
            let why = format!("records {next} to {last} are in no segment that can be read");
            found.push(damaged(next, &why));
        } else if previous.is_some_and(|digest| digest != manifest.previous) {
            let why = "does not name the digest of the segment before";
            found.push(damaged(manifest.first, why));
        }
        (next, previous) = (manifest.last + 1, Some(Some(manifest.link())));
    }
    let file = segment_name(active.first);
    if active.identity.log_id != contents.log_id {
        return Err(OpenError::Foreign { file });
    }
    if active.first < next {
        return Err(OpenError::SegmentMisplaced {
            file,
            expected: Seq::at_least_first(next),
            found: Seq::at_least_first(active.first),
        });
    }
    if active.first > next {
        let last = active.first - 1;
        let why = format!("records {next} to {last} are in no segment that can be read");
        found.push(damaged(next, &why));
    } else if previous.is_some_and(|digest| digest != active.previous) {
        return Err(OpenError::ChainBroken { file });
    }
    Ok(found)
}

fn damaged(first: u64, why: &str) -> Damaged {
    Damaged {
        file: segment_name(first),
        first: Seq::at_least_first(first),
        why: why.to_owned(),
    }
}

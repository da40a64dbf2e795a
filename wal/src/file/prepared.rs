//! The file of the next segment, made before it is needed: blocks that were written once. A sync
//! of an append then finds no new block to note down, which takes longer than the data itself.
//!
//! It has the name of a temporary file and holds zeroes, so a leftover is worth nothing and is
//! removed by the next open. A segment that is made in it ignores the blocks that it does not
//! need yet ([`crate::guarded`]).

use std::io;

use crate::storage::{Access, Storage};

/// Its name in the log's directory.
pub(crate) const PREPARED: &str = "next.tmp";
/// The least that is worth a thread.
const STEP: u64 = 4 << 20;
/// What is written between two syncs: an append may have to wait for one of them.
const CHUNK: u64 = 1 << 20;
/// What is written at once. A larger write makes the system keep the blocks in larger pieces, and
/// every small write to a large piece takes it longer.
const WRITE: u64 = 64 << 10;
/// The least that a segment with its tables takes.
const LEAST: u64 = 256 << 10;
/// What is kept ready of segments of any size.
const MOST: u64 = 128 << 20;

/// How long the file should be by now, with `bytes` of the records that fill the segment before
/// it: its making is spread over the second to the fourth eighth, so that no append waits for it.
pub(crate) fn wanted(bytes: u64, bytes_max: u64) -> u64 {
    // A quarter more than the records is what full pages with their keys take.
    let whole = (bytes_max / 4).saturating_mul(5).clamp(LEAST, MOST);
    if bytes < bytes_max / 8 {
        return 0;
    }
    let half = (bytes_max / 2).max(1);
    let part = u128::from(whole) * u128::from(bytes.min(half)) / u128::from(half);
    match part as u64 {
        part if part < whole => part / STEP * STEP,
        _ => whole,
    }
}

/// Writes the blocks from `from` up to `to`, durably.
pub(crate) fn extend(storage: &dyn Storage, from: u64, to: u64) -> io::Result<()> {
    let access = if from == 0 {
        Access::Create
    } else {
        Access::Write
    };
    let file = storage.open(PREPARED, access)?;
    let zeroes = vec![0; WRITE as usize];
    for chunk in (from..to).step_by(CHUNK as usize) {
        let end = to.min(chunk + CHUNK);
        for at in (chunk..end).step_by(WRITE as usize) {
            file.write(at, &zeroes[..WRITE.min(end - at) as usize])?;
        }
        file.sync_data()?;
    }
    file.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn it_is_made_in_steps_between_an_eighth_and_a_half_of_the_segment_before() {
        let at = |bytes| wanted(bytes * MIB, 64 * MIB);
        assert_eq!([at(0), at(7)], [0, 0]);
        assert_eq!([at(8), at(9), at(10)], [20 * MIB, 20 * MIB, 24 * MIB]);
        assert_eq!([at(31), at(32), at(64)], [76 * MIB, 80 * MIB, 80 * MIB]);
    }

    #[test]
    fn small_and_huge_segments_have_their_limits() {
        assert_eq!(wanted(0, 2000), 0);
        assert_eq!(wanted(1999, 2000), LEAST);
        assert_eq!(wanted(1, 0), LEAST);
        assert_eq!(wanted(1 << 61, 1 << 63), MOST / 2);
        assert_eq!(wanted(u64::MAX, u64::MAX), MOST);
    }

    #[test]
    fn it_holds_zeroes_up_to_its_length() {
        let machine = crate::fault::Machine::new();
        extend(&machine, 0, CHUNK + 5).unwrap();
        extend(&machine, CHUNK + 5, CHUNK + 9).unwrap();
        assert_eq!(machine.file(PREPARED), Some(vec![0; CHUNK as usize + 9]));
    }
}

//! How much of the next segment's file is written before it is needed. Pure.

/// The least that is worth a thread.
const STEP: u64 = 4 << 20;
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
}

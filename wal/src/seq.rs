//! Sequence numbers and the identity of a log.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;

/// Sequence number of a record: gapless, from 1, never reused within one `(log_id, epoch)`.
///
/// A missing number is proof of loss, which is why there is no zero and no sub-position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// The number of the first record of every log.
    pub const FIRST: Seq = Seq(1);

    /// `None` for zero, which numbers nothing.
    pub fn new(n: u64) -> Option<Seq> {
        (n > 0).then_some(Seq(n))
    }

    /// The number itself, at least 1.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The following number. Saturates at `u64::MAX`, which no log reaches: the writer refuses
    /// to append there.
    pub fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }

    /// For numbers that are at least 1 by construction (keys of the record table, first numbers
    /// of segments); a zero, only possible in a damaged file, is read as 1 and fails the checks
    /// that compare it with the record header.
    pub(crate) fn at_least_first(n: u64) -> Seq {
        Seq(n.max(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one log for ever: 16 random bytes drawn when it is created, shown in UUID form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(pub [u8; 16]);

impl LogId {
    /// A new random id with the version and variant bits of a random UUID. `RandomState` is the
    /// operating system's randomness as far as the standard library hands it out, so the crate
    /// needs no generator of its own; it names logs and protects nothing.
    pub(crate) fn random() -> LogId {
        let mut bytes = [0u8; 16];
        for half in bytes.chunks_exact_mut(8) {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u64(crate::clock::unix_micros().unsigned_abs());
            half.copy_from_slice(&hasher.finish().to_le_bytes());
        }
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        LogId(bytes)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for LogId {
    type Err = ParseLogIdError;

    /// Accepts exactly what `Display` prints (letters of either case).
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let text = s.as_bytes();
        if text.len() != 36 {
            return Err(ParseLogIdError);
        }
        let mut digits = Vec::with_capacity(32);
        for (i, byte) in text.iter().enumerate() {
            match (matches!(i, 8 | 13 | 18 | 23), byte) {
                (true, b'-') => {}
                (false, _) => {
                    let digit = char::from(*byte).to_digit(16).ok_or(ParseLogIdError)?;
                    digits.push(u8::try_from(digit).map_err(|_| ParseLogIdError)?);
                }
                (true, _) => return Err(ParseLogIdError),
            }
        }
        let mut bytes = [0u8; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(LogId(bytes))
    }
}

/// The text is not 32 hexadecimal digits in the grouping 8-4-4-4-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a log id (expected 32 hexadecimal digits grouped 8-4-4-4-12)")]
pub struct ParseLogIdError;

/// Which log, and which life of it. The epoch starts at 1 and rises when a log is restored from
/// an older copy, so that numbers given out twice can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The log.
    pub log_id: LogId,
    /// Its life, from 1.
    pub epoch: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_id_prints_as_uuid_and_parses_back() {
        let id = LogId([
            0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x4d, 0xef, 0x80, 1, 2, 3, 4, 5, 6, 7,
        ]);
        assert_eq!(id.to_string(), "12345678-9abc-4def-8001-020304050607");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "12345678-9abc-4def-8001-02030405060",
            "12345678-9abc-4def-8001-0203040506070",
            "123456789-abc-4def-8001-020304050607",
            "g2345678-9abc-4def-8001-020304050607",
        ] {
            assert_eq!(bad.parse::<LogId>(), Err(ParseLogIdError), "{bad}");
        }
        assert_ne!(LogId::random(), LogId::random());
    }

    #[test]
    fn seq_has_no_zero() {
        assert_eq!(Seq::new(0), None);
        assert_eq!(Seq::new(1), Some(Seq::FIRST));
        assert_eq!(Seq::FIRST.next().get(), 2);
    }
}

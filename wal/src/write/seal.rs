//! When a segment has to be sealed. Pure.

use std::time::Duration;

/// The limits of the active segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealRule {
    pub(crate) bytes_max: u64,
    pub(crate) age_max: Duration,
}

impl SealRule {
    /// Whether a segment of `count` records, `bytes` record bytes and this age is full. An empty
    /// segment never is: sealing it would add a file and no record, for ever, on an idle log.
    pub(crate) fn is_due(self, count: u64, bytes: u64, age: Duration) -> bool {
        count > 0 && (bytes >= self.bytes_max || age >= self.age_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_or_age_seals_and_emptiness_does_not() {
        let rule = SealRule {
            bytes_max: 100,
            age_max: Duration::from_secs(10),
        };
        let second = Duration::from_secs(1);
        assert!(!rule.is_due(1, 99, second));
        assert!(rule.is_due(1, 100, second));
        assert!(rule.is_due(1, 0, second * 10));
        assert!(!rule.is_due(0, 0, second * 1000));
    }
}

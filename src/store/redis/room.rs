//! Whether there is room for more.
//!
//! A server that is full refuses every write, also those of the cache that readers see. So a rebuild, which needs the
//! room for a second cache, looks before each part that it writes, and gives up while there is a reserve.

use super::commands::weight;
use super::{NAME, Redis};
use crate::failure::Class;
use crate::store::{Entry, ProjectionError};

/// A key, a score and a flag of a message take about as much again as its text and what is said of it.
const BYTES_PER_WEIGHT: u64 = 2;
/// A part in so many of the server's memory stays free.
const RESERVE: u64 = 20;

/// What a server uses of its memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// In use.
    pub used: u64,
    /// Its `maxmemory`; none when it has no limit.
    pub max: Option<u64>,
}

impl Memory {
    /// Of the answer to `INFO memory`.
    fn read(info: &str) -> Option<Memory> {
        let number = |name: &str| {
            let mut lines = info.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.trim().parse::<u64>().ok()
        };
        Some(Memory {
            used: number("used_memory")?,
            max: number("maxmemory").filter(|max| *max > 0),
        })
    }

    /// Whether so many bytes more leave the reserve alone.
    fn has_room(self, bytes: u64) -> bool {
        self.max
            .is_none_or(|max| self.used.saturating_add(bytes) <= max - max / RESERVE)
    }
}

impl Redis {
    /// What the server uses of its memory.
    pub async fn memory(&mut self) -> Result<Memory, ProjectionError> {
        let doing = "asking for the memory";
        let mut connection = self.connection().await?;
        let mut command = ::redis::cmd("INFO");
        let info = command.arg("memory").query_async(&mut connection).await;
        let info: String = self.done(doing, info)?;
        Memory::read(&info).ok_or_else(|| full(doing, "its answer has no figures".to_owned()))
    }

    /// Refuses what would take the reserve.
    pub(super) async fn need_room(&mut self, entries: &[Entry]) -> Result<(), ProjectionError> {
        let memory = self.memory().await?;
        let bytes = BYTES_PER_WEIGHT * entries.iter().map(weight).sum::<usize>() as u64;
        if memory.has_room(bytes) {
            return Ok(());
        }
        let max = memory.max.unwrap_or_default();
        let used = memory.used;
        Err(full(
            "building another cache",
            format!("{used} of {max} bytes are in use, and the next part needs about {bytes}"),
        ))
    }
}

fn full(doing: &'static str, why: String) -> ProjectionError {
    ProjectionError::Backend {
        projection: NAME,
        doing,
        class: Class::Operator,
        hint: Some(
            "a rebuild needs room for a second cache: raise maxmemory, or lower redis.window"
                .to_owned(),
        ),
        source: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_read_and_a_twentieth_stays_free() {
        let info = "# Memory\r\nused_memory:900\r\nused_memory_peak:5\r\nmaxmemory:1000\r\n";
        let memory = Memory::read(info).expect("figures");
        assert_eq!((memory.used, memory.max), (900, Some(1000)));
        assert!(memory.has_room(50) && !memory.has_room(51));
        let free = Memory::read("used_memory:900\r\nmaxmemory:0\r\n").expect("figures");
        assert_eq!(free.max, None);
        assert!(free.has_room(u64::MAX));
        assert_eq!(Memory::read("maxmemory:0"), None);
    }
}

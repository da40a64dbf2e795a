//! Makes channels and load from a seed: for demonstrations, benchmarks and crash tests.
//!
//! An event is a pure function of the options and its ordinal, so a run that was killed goes on from its bookmark as if
//! nothing had happened: no event twice, none left out. Only the moments at which events are due come from the clock.
//!
//! | file | what |
//! |---|---|
//! | `generate` | ordinal to event |
//! | `message`, `text`, `words` | what messages are made of |

mod generate;
mod message;
mod text;
mod words;

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use self::generate::{Generator, Plan};
use super::{Source, SourceBatch, SourceError};
use crate::event::Timestamp;

/// Events of a batch when nothing is waited for, and at most when a paced run is late.
const BATCH_EVENTS_MAX: u64 = 500;
/// Most channels; each has a short list of recent messages in memory.
const CHANNELS_MAX: u32 = 10_000;
/// Last event there can be: 5 million years at 50 a second, and no sum of it overflows.
const ORDINAL_MAX: u64 = 1 << 53;
/// Name of the bookmark.
pub const BOOKMARK: &str = "synthetic";
/// 2026-01-01T00:00:00Z: the date of the first event unless told otherwise.
const BASE_SECONDS: i64 = 1_767_225_600;
/// Events in a second of their dates, when nothing is waited for.
const DATES_PER_SECOND: u32 = 50;

/// What to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Equal seeds give equal events.
    pub seed: u64,
    /// Events a second; 0: as fast as they are taken.
    pub rate: u32,
    /// Stop after this many, counted over all runs that continue one another. None: go on for ever.
    pub events: Option<u64>,
    /// Channels, 1 to 10,000.
    pub channels: u32,
    /// The date of the first event. Events follow at the rate (50 a second where there is none), whatever the clock
    /// says. A run that continues another keeps the base of the first.
    pub base: Timestamp,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 1,
            rate: 0,
            events: None,
            channels: 12,
            base: Timestamp::from_seconds(BASE_SECONDS),
        }
    }
}

impl Options {
    fn plan(&self) -> Plan {
        let per_second = match self.rate {
            0 => DATES_PER_SECOND,
            rate => rate,
        };
        Plan {
            seed: self.seed,
            channels: self.channels.clamp(1, CHANNELS_MAX),
            base: self.base,
            step: 1_000_000 / i64::from(per_second),
        }
    }
}

/// The source; see the module.
pub struct Synthetic {
    plan: Plan,
    rate: u32,
    /// Ordinal of the last event.
    last: u64,
    generator: Generator,
    schedule: Option<Schedule>,
}

/// When events are due: fixed at the start, so that a late event does not delay the ones behind it.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    start: Instant,
    start_at: Timestamp,
    /// The ordinal due at the start.
    first: u64,
    rate: u32,
}

impl Schedule {
    fn new(first: u64, rate: u32) -> Schedule {
        Schedule {
            start: Instant::now(),
            start_at: Timestamp::now(),
            first,
            rate,
        }
    }

    /// From the start to the moment an ordinal is due.
    fn delay(&self, ordinal: u64) -> Duration {
        let nanos = u128::from(ordinal - self.first) * 1_000_000_000 / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn due_at(&self, ordinal: u64) -> Timestamp {
        let micros = i64::try_from(self.delay(ordinal).as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.start_at.micros().saturating_add(micros))
    }
}

impl Synthetic {
    /// Starts with the first event.
    pub fn new(options: &Options) -> Synthetic {
        Synthetic::start(options, options.plan(), 1)
    }

    /// Goes on behind the event of a bookmark, or starts when there is none. The bookmark must come from a run with the
    /// same seed and number of channels; its base and spacing of dates are kept, so that an edit finds its message.
    pub fn resume(options: &Options, bookmark: Option<&[u8]>) -> Result<Synthetic, SourceError> {
        let Some(bookmark) = bookmark else {
            return Ok(Synthetic::new(options));
        };
        let Some((plan, ordinal)) = read_bookmark(bookmark) else {
            return Err(refuse(
                "the bookmark of the synthetic source cannot be read",
                None,
            ));
        };
        let asked = options.plan();
        if (plan.seed, plan.channels) != (asked.seed, asked.channels) {
            return Err(refuse(
                "the log holds synthetic events of another seed or number of channels",
                Some(format!(
                    "continue with seed {} and {} channels, or use another log",
                    plan.seed, plan.channels
                )),
            ));
        }
        Ok(Synthetic::start(options, plan, ordinal.saturating_add(1)))
    }

    fn start(options: &Options, plan: Plan, ordinal: u64) -> Synthetic {
        Synthetic {
            plan,
            rate: options.rate,
            last: options.events.unwrap_or(ORDINAL_MAX).min(ORDINAL_MAX),
            generator: Generator::at(plan, ordinal),
            schedule: None,
        }
    }

    /// The events up to an ordinal, which become a batch.
    fn batch(&mut self, until: u64, due_at: Option<Timestamp>) -> SourceBatch {
        let first = self.generator.ordinal();
        let until = until.min(self.last).min(first + BATCH_EVENTS_MAX - 1);
        let events = (first..=until).map(|_| self.generator.event()).collect();
        SourceBatch {
            events,
            due_at,
            bookmarks: vec![(BOOKMARK.to_owned(), write_bookmark(&self.plan, until))],
        }
    }
}

impl Source for Synthetic {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        let ordinal = self.generator.ordinal();
        if ordinal > self.last {
            return Ok(None);
        }
        if self.rate == 0 {
            return Ok(Some(self.batch(u64::MAX, None)));
        }
        let rate = self.rate;
        let schedule = *self
            .schedule
            .get_or_insert_with(|| Schedule::new(ordinal, rate));
        // Nothing has been taken from the generator yet, so giving up here loses nothing.
        sleep_until(schedule.start + schedule.delay(ordinal)).await;
        let now = schedule.start.elapsed();
        let mut until = ordinal;
        while until - ordinal < BATCH_EVENTS_MAX && schedule.delay(until + 1) <= now {
            until += 1;
        }
        Ok(Some(self.batch(until, Some(schedule.due_at(ordinal)))))
    }
}

/// `ordinal seed base step channels`, little endian.
fn write_bookmark(plan: &Plan, ordinal: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(36);
    bytes.extend(ordinal.to_le_bytes());
    bytes.extend(plan.seed.to_le_bytes());
    bytes.extend(plan.base.micros().to_le_bytes());
    bytes.extend(plan.step.to_le_bytes());
    bytes.extend(plan.channels.to_le_bytes());
    bytes
}

fn read_bookmark(bytes: &[u8]) -> Option<(Plan, u64)> {
    let bytes: &[u8; 36] = bytes.try_into().ok()?;
    let (words, channels) = bytes.as_chunks::<8>();
    let [ordinal, seed, base, step] = *words else {
        return None;
    };
    let plan = Plan {
        seed: u64::from_le_bytes(seed),
        channels: u32::from_le_bytes(channels.try_into().ok()?),
        base: Timestamp::from_micros(i64::from_le_bytes(base)),
        step: i64::from_le_bytes(step),
    };
    let ordinal = u64::from_le_bytes(ordinal);
    let sound = (1..=CHANNELS_MAX).contains(&plan.channels) && ordinal <= ORDINAL_MAX;
    sound.then_some((plan, ordinal))
}

fn refuse(problem: &str, hint: Option<String>) -> SourceError {
    SourceError::Input {
        path: "synthetic source".to_owned(),
        offset: 0,
        problem: problem.to_owned(),
        hint,
    }
}

#[cfg(test)]
mod tests;

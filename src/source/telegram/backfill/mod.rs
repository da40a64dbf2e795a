//! What of the past is to be fetched, and in which order.
//!
//! Pure: answers and the time go in, asks and steps come out. A job is what is still to be fetched of one channel. It
//! stands in the log as a bookmark, in the same append as the messages it brought, so wherever the daemon was stopped
//! it goes on behind the last page that is durable. A step counts only once it was handed over.
//!
//! | file | what |
//! |---|---|
//! | `stretch` | one stretch of a history, page by page |
//! | `bookmark` | a job in the log's bookmarks |

mod bookmark;
mod stretch;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

use super::driver::{BoxName, Failure, Page, Seen};
use crate::event::{Gap, GapCause, GapClosed, GapOutcome, Origin, Since};
use crate::status::StretchReport;
use grammers_tl_types as tl;

pub use bookmark::JobError;
pub use stretch::{History, Reason, Stretch, Wanted};

/// Stretches that one channel may wait for. A gap beyond that stays open in the ledger.
const STRETCHES_MAX: usize = 16;

/// Waits before a request that failed is made again: this, doubled each time.
const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(300);

/// An answer that cannot be read is asked for so often.
const UNREADABLE_MAX: u32 = 3;

/// What is to be fetched of a channel. An empty one is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The channel's bare id.
    pub channel: i64,
    /// One after the other.
    pub stretches: Vec<Stretch>,
}

impl Job {
    /// As `status` shows it.
    pub fn report(&self) -> Vec<StretchReport> {
        self.stretches.iter().map(Stretch::report).collect()
    }
}

/// A page of a history to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Of which channel.
    pub channel: i64,
    /// What for.
    pub stretch: Stretch,
}

/// What an answer leads to: hand the page over together with the job, then [`Backfill::apply`] the job.
#[derive(Debug)]
pub struct Step {
    /// What came; empty where nothing did.
    pub page: Page,
    /// What is left.
    pub job: Job,
    /// How the stretch ended, if it did.
    pub ended: Option<GapOutcome>,
    /// Messages of the stretch so far.
    pub found: u32,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    failures: u32,
}

/// The decisions; see the module.
#[derive(Debug, Default)]
pub struct Backfill {
    jobs: BTreeMap<i64, Vec<Stretch>>,
    /// Channels that failed, left alone for a while.
    rests: BTreeMap<i64, Rest>,
    /// The channel that was asked for last: the next one is behind it.
    last: i64,
}

impl Backfill {
    /// Goes on with these.
    pub fn load(jobs: impl IntoIterator<Item = Job>) -> Backfill {
        let mut backfill = Backfill::default();
        jobs.into_iter().for_each(|job| backfill.apply(job));
        backfill
    }

    /// A channel's job with this in it too; none when too much waits there already.
    pub fn with(&self, channel: i64, more: impl IntoIterator<Item = Stretch>) -> Option<Job> {
        let mut stretches = self.jobs.get(&channel).cloned().unwrap_or_default();
        let before = stretches.len();
        for stretch in more {
            if stretches.len() < STRETCHES_MAX && !stretches.contains(&stretch) {
                stretches.push(stretch);
            }
        }
        (stretches.len() > before).then_some(Job { channel, stretches })
    }

    /// A channel's job with nothing in it; none when nothing waits there.
    pub fn without(&self, channel: i64) -> Option<Job> {
        let stretches = Vec::new();
        let waits = self.jobs.contains_key(&channel);
        waits.then_some(Job { channel, stretches })
    }

    /// The jobs that a page makes: of the channels that are seen for the first time, `depth` messages, and of its gaps.
    pub fn found(
        &self,
        first: &[i64],
        gaps: &[(BoxName, Gap)],
        depth: u32,
        follows: impl Fn(i64) -> bool,
    ) -> Vec<Job> {
        let first = first.iter().filter(|_| depth > 0).map(|channel| {
            let stretch = Stretch::newest(Reason::FirstSight, depth, Since::Beginning);
            (*channel, stretch)
        });
        let gaps = gaps.iter().filter_map(|(place, gap)| match place {
            BoxName::Channel(channel) => Some((*channel, hidden(gap)?)),
            // Private chats and basic groups have no history that could be compared with a position.
            BoxName::Common => None,
        });
        let mut new = BTreeMap::<i64, Vec<Stretch>>::new();
        for (channel, stretch) in first.chain(gaps).filter(|(channel, _)| follows(*channel)) {
            new.entry(channel).or_default().push(stretch);
        }
        new.into_iter()
            .filter_map(|(channel, more)| self.with(channel, more))
            .collect()
    }

    /// A step has been handed over.
    pub fn apply(&mut self, job: Job) {
        match job.stretches.is_empty() {
            true => {
                self.jobs.remove(&job.channel);
                self.rests.remove(&job.channel);
            }
            false => {
                self.jobs.insert(job.channel, job.stretches);
            }
        }
    }

    /// The channels that something is fetched of.
    pub fn channels(&self) -> impl Iterator<Item = i64> {
        self.jobs.keys().copied()
    }

    /// What a channel waits for, as `status` shows it.
    pub fn waiting(&self, channel: i64) -> Vec<StretchReport> {
        let stretches = self.jobs.get(&channel).into_iter().flatten();
        stretches.map(Stretch::report).collect()
    }

    /// The next page to ask for: channels take turns.
    pub fn next(&mut self, now: Instant) -> Option<Ask> {
        let behind = (Bound::Excluded(self.last), Bound::Unbounded);
        let in_turn = self.jobs.range(behind).chain(self.jobs.range(..=self.last));
        let mut ready = in_turn.filter(|(channel, _)| {
            let rest = self.rests.get(channel);
            rest.is_none_or(|rest| rest.until <= now)
        });
        let ask = ready.find_map(|(channel, stretches)| {
            let (channel, stretch) = (*channel, *stretches.first()?);
            Some(Ask { channel, stretch })
        })?;
        self.last = ask.channel;
        Some(ask)
    }

    /// When [`Backfill::next`] may have more than now, if nothing comes in before.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let rests = self.rests.values().map(|rest| rest.until);
        rests.filter(|until| *until > now).min()
    }

    /// Takes an answer; none when it changes nothing: the job was cancelled, or the ask comes again.
    pub fn answered(
        &mut self,
        ask: &Ask,
        answer: Result<History, Failure>,
        now: Instant,
    ) -> Option<Step> {
        let stretches = self.jobs.get(&ask.channel)?;
        let at = stretches.iter().position(|it| *it == ask.stretch)?;
        let mut stretches = stretches.clone();
        let mut page = Page::empty(Origin::Backfill);
        let (ended, found) = match answer {
            Ok(history) => {
                self.rests.remove(&ask.channel);
                let taken = ask.stretch.take(history.messages, history.pts);
                page.updates = taken.messages.into_iter().map(as_update).collect();
                (page.users, page.chats) = (history.users, history.chats);
                match taken.rest {
                    Ok(rest) => {
                        stretches[at] = rest;
                        (None, taken.found)
                    }
                    Err(outcome) => (Some(outcome), taken.found),
                }
            }
            Err(failure) if self.comes_again(ask.channel, &failure, now) => return None,
            Err(_) => (Some(ask.stretch.given_up()), ask.stretch.found),
        };
        if let Some(outcome) = ended {
            stretches.remove(at);
            if let Reason::Gap(gap) = ask.stretch.reason {
                let found = i64::from(found);
                let closed = GapClosed {
                    gap,
                    outcome,
                    found,
                };
                page.closed.push((BoxName::Channel(ask.channel), closed));
            }
        }
        let channel = ask.channel;
        Some(Step {
            page,
            job: Job { channel, stretches },
            ended,
            found,
        })
    }

    /// Whether the same request may work later; it rests until then.
    fn comes_again(&mut self, channel: i64, failure: &Failure, now: Instant) -> bool {
        let failures = self.rests.get(&channel).map_or(0, |rest| rest.failures);
        let (comes, wait) = match failure {
            Failure::Wait(wait) => (true, *wait),
            Failure::Temporary => {
                let wait = RETRY_MIN * 2_u32.saturating_pow(failures.min(8));
                (true, wait.min(RETRY_MAX))
            }
            Failure::Undecodable { .. } => (failures + 1 < UNREADABLE_MAX, RETRY_MIN),
            _ => (false, RETRY_MIN),
        };
        if comes {
            let rest = Rest {
                until: now + wait,
                failures: failures + 1,
            };
            self.rests.insert(channel, rest);
        } else {
            self.rests.remove(&channel);
        }
        comes
    }
}

/// What to fetch for a gap. Lost access hides nothing for good: the next difference tells it.
fn hidden(gap: &Gap) -> Option<Stretch> {
    let is_lost_access = gap.cause == GapCause::LostAccess && gap.until_pts.is_none();
    let after = i32::try_from(gap.after_pts?).ok()?;
    (!is_lost_access).then(|| Stretch::gap(gap.bounds(), after))
}

/// A message of a history, as one of a difference.
pub(super) fn as_update(message: tl::enums::Message) -> Seen {
    let (pts, pts_count) = (0, 0);
    let update = tl::types::UpdateNewChannelMessage {
        message,
        pts,
        pts_count,
    };
    Seen {
        update: update.into(),
        pts: None,
    }
}

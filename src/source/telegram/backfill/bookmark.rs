//! What is still to be fetched, as a bookmark of the log.

use super::stretch::{Reason, Stretch, Wanted};
use super::{Job, STRETCHES_MAX};
use crate::event::{GapBounds, Since};

/// The version of the encoding below. An older version stays readable for ever.
const VERSION: u8 = 1;

/// A bookmark that is no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the backfill {name} of the log cannot be read: it is damaged, or of a newer program")]
pub struct JobError {
    /// The bookmark.
    pub name: String,
}

impl Job {
    /// Where the log has a channel's job: `tg/<account>/backfill/<channel>`.
    pub fn bookmark_name(account: &str, channel: i64) -> String {
        format!("{}{channel}", prefix(account))
    }

    /// As a bookmark of the log: its name and its bytes.
    pub fn bookmark(&self, account: &str) -> (String, Vec<u8>) {
        let mut bytes = vec![VERSION];
        for stretch in &self.stretches {
            write(stretch, &mut bytes);
        }
        (Job::bookmark_name(account, self.channel), bytes)
    }

    /// From a bookmark of the log; none when it is not one of this account's jobs.
    pub fn from_bookmark(account: &str, name: &str, bytes: &[u8]) -> Result<Option<Job>, JobError> {
        let Some(channel) = name.strip_prefix(&prefix(account)) else {
            return Ok(None);
        };
        let job = channel.parse().ok().and_then(|channel| {
            let stretches = read(bytes)?;
            Some(Job { channel, stretches })
        });
        job.map(Some).ok_or_else(|| JobError { name: name.into() })
    }
}

fn prefix(account: &str) -> String {
    format!("tg/{account}/backfill/")
}

fn write(stretch: &Stretch, bytes: &mut Vec<u8>) {
    bytes.push(match stretch.reason {
        Reason::FirstSight => 0,
        Reason::Gap(_) => 1,
        Reason::ByHand => 2,
    });
    if let Reason::Gap(bounds) = stretch.reason {
        let ends = [
            bounds.after_pts,
            bounds.until_pts,
            bounds.after_message_id,
            bounds.until_message_id,
        ];
        for end in ends {
            bytes.push(u8::from(end.is_some()));
            bytes.extend_from_slice(&end.unwrap_or(0).to_le_bytes());
        }
    }
    let (kind, wanted) = match stretch.wanted {
        Wanted::Messages(count) => (0, count.to_le_bytes()),
        Wanted::SincePts(pts) => (1, pts.to_le_bytes()),
    };
    bytes.push(kind);
    bytes.extend_from_slice(&wanted);
    bytes.extend_from_slice(&number(stretch.since).to_le_bytes());
    bytes.extend_from_slice(&stretch.below.to_le_bytes());
    bytes.extend_from_slice(&stretch.found.to_le_bytes());
    bytes.push(u8::from(stretch.is_cut));
}

/// A date is positive, a message id negative.
fn number(since: Since) -> i32 {
    match since {
        Since::Beginning => 0,
        Since::Date(date) => date.max(1),
        Since::Message(id) => -id.max(1),
    }
}

fn since(number: i32) -> Since {
    match number {
        0 => Since::Beginning,
        1.. => Since::Date(number),
        // The one number without an opposite is no message's.
        _ => Since::Message(number.saturating_neg()),
    }
}

fn read(bytes: &[u8]) -> Option<Vec<Stretch>> {
    let (version, rest) = bytes.split_first()?;
    let mut reader = Reader(rest);
    let mut stretches = Vec::new();
    if *version != VERSION {
        return None;
    }
    while !reader.0.is_empty() {
        stretches.push(reader.stretch()?);
    }
    (stretches.len() <= STRETCHES_MAX).then_some(stretches)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn choice<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let [number] = self.bytes::<1>()?;
        choices.get(usize::from(number)).copied()
    }

    fn end(&mut self) -> Option<Option<i64>> {
        let is_there = self.choice(&[false, true])?;
        let number = i64::from_le_bytes(self.bytes()?);
        Some(is_there.then_some(number))
    }

    fn stretch(&mut self) -> Option<Stretch> {
        let reason = self.choice(&[
            Reason::FirstSight,
            Reason::Gap(GapBounds::default()),
            Reason::ByHand,
        ])?;
        let reason = match reason {
            Reason::Gap(_) => Reason::Gap(GapBounds {
                after_pts: self.end()?,
                until_pts: self.end()?,
                after_message_id: self.end()?,
                until_message_id: self.end()?,
            }),
            other => other,
        };
        let is_pts = self.choice(&[false, true])?;
        let wanted = self.bytes()?;
        Some(Stretch {
            reason,
            wanted: match is_pts {
                true => Wanted::SincePts(i32::from_le_bytes(wanted)),
                false => Wanted::Messages(u32::from_le_bytes(wanted)),
            },
            since: since(i32::from_le_bytes(self.bytes()?)),
            below: i32::from_le_bytes(self.bytes()?),
            found: u32::from_le_bytes(self.bytes()?),
            is_cut: self.choice(&[false, true])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn job() -> Job {
        let bounds = GapBounds {
            after_pts: Some(3),
            until_pts: Some(9),
            after_message_id: None,
            until_message_id: None,
        };
        let first = Stretch {
            below: 300,
            found: 5,
            ..Stretch::newest(Reason::FirstSight, 258, Since::Beginning)
        };
        Job {
            channel: 1_234_567_890,
            stretches: vec![first, Stretch::gap(bounds, 3)],
        }
    }

    /// The bytes of version 1, frozen: logs hold them.
    #[test]
    fn the_encoding_stays_as_logs_hold_it() {
        let (name, bytes) = job().bookmark("main");
        assert_eq!(name, "tg/main/backfill/1234567890");
        let mut expected = vec![1];
        expected.extend([0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 44, 1, 0, 0, 5, 0, 0, 0, 0]);
        expected.extend([1, 1, 3, 0, 0, 0, 0, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0; 18]);
        expected.extend([1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes, expected);
        assert_eq!(Job::from_bookmark("main", &name, &bytes), Ok(Some(job())));
        assert_eq!(Job::from_bookmark("second", &name, &bytes), Ok(None));
    }

    #[test]
    fn damage_is_told() {
        let (name, bytes) = job().bookmark("main");
        let damaged = Err(JobError { name: name.clone() });
        for bad in [&[][..], &[2], &bytes[..bytes.len() - 1], &[1, 9]] {
            assert_eq!(Job::from_bookmark("main", &name, bad), damaged);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes: Vec<u8>) {
            if let Ok(Some(job)) = Job::from_bookmark("a", "tg/a/backfill/7", &bytes) {
                let (name, bytes) = job.bookmark("a");
                prop_assert_eq!(Job::from_bookmark("a", &name, &bytes), Ok(Some(job)));
            }
        }
    }
}

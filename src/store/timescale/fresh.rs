//! Which contents of a live batch are copied in: pure.
//!
//! `COPY` is the cheaper way in by far, but it has no `on conflict`: one message that is there already, and all of it is
//! in vain. In a stream that is as good as never so, in a replay as good as always.

use crate::store::rows::{MessageRow, Rows};

/// Fewer rows than that are as quick by a statement: a `COPY` is parsed each time, and has a conversation of its own.
const ROWS_MIN: usize = 16;
/// What was received so long after its date may have come before, by another way.
const AGE_MAX_US: i64 = 3_600_000_000;
/// Most batches that do without, after one that was in vain.
const PAUSE_MAX: u32 = 256;

/// What copying has come to so far.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// Batches that do without after the next one that is in vain.
    pause: u32,
    /// Of these, those that are left.
    left: u32,
}

impl Fresh {
    /// Takes what should be copied out of the rows of a batch: often nothing.
    pub(super) fn take(&mut self, rows: &mut Rows) -> Vec<MessageRow> {
        if self.left > 0 {
            self.left -= 1;
            return Vec::new();
        }
        if rows.messages.iter().filter(|row| is_new(row)).count() < ROWS_MIN {
            return Vec::new();
        }
        let (new, rest) = std::mem::take(&mut rows.messages)
            .into_iter()
            .partition(is_new);
        rows.messages = rest;
        new
    }

    /// What became of what was taken last.
    pub(super) fn went(&mut self, copied: bool) {
        self.pause = match copied {
            true => 0,
            false => (2 * self.pause).clamp(1, PAUSE_MAX),
        };
        self.left = self.pause;
    }
}

/// A post, as far as can be told, that was received when it was posted.
fn is_new(row: &MessageRow) -> bool {
    let late = row
        .received_at
        .micros()
        .saturating_sub(row.posted_at.micros());
    row.is_post() && row.rank == row.seq && late <= AGE_MAX_US
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Changed, Envelope, Event, Message, Origin, PeerId, Timestamp};
    use crate::store::Entry;
    use wal::Seq;

    fn rows(events: impl IntoIterator<Item = Event>) -> Rows {
        let entries: Vec<Entry> = (1..)
            .zip(events)
            .map(|(seq, event)| {
                Entry::Event(Envelope {
                    seq: Seq::new(seq).expect("not zero"),
                    epoch: 1,
                    received_at: Timestamp::from_seconds(10_000),
                    event,
                })
            })
            .collect();
        Rows::of(&entries)
    }

    fn posted(id: i64, posted_at: i64) -> Event {
        Event {
            origin: Origin::Live,
            peer: PeerId::from_marked(-5).ok(),
            body: Body::Posted(Box::new(Message {
                id,
                posted_at: Timestamp::from_seconds(posted_at),
                ..Message::default()
            })),
            raw: None,
            stamp: 0,
        }
    }

    fn posts(count: i64) -> impl Iterator<Item = Event> {
        (1..=count).map(|id| posted(id, 9_000))
    }

    #[test]
    fn posts_of_a_stream_are_copied_and_nothing_else() {
        let edited = |id, changed| {
            let mut event = posted(id, 9_000);
            if let Body::Posted(message) = event.body {
                event.body = Body::Edited { message, changed };
            }
            event
        };
        let many = ROWS_MIN as i64 + 1;
        let old = posted(many + 1, 6_399);
        let imported = Event {
            origin: Origin::Import,
            ..posted(many + 2, 9_000)
        };
        let text = Changed {
            text: true,
            ..Changed::default()
        };
        let others = [
            old,
            imported,
            edited(many + 3, text),
            edited(many + 4, Changed::default()),
            // Another content of one that is in the batch: no longer the post alone.
            edited(1, text),
        ];
        let mut rows = rows(posts(many).chain(others));
        let new = Fresh::default().take(&mut rows);
        let ids = |rows: &[MessageRow]| rows.iter().map(|row| row.message_id).collect::<Vec<_>>();
        assert_eq!(ids(&new), (2..=many).collect::<Vec<_>>());
        let rest = [1, many + 1, many + 2, many + 3, many + 4];
        assert_eq!(ids(&rows.messages), rest);
    }

    #[test]
    fn few_are_not_worth_it() {
        let few = ROWS_MIN - 1;
        let mut rows = rows(posts(few as i64));
        assert!(Fresh::default().take(&mut rows).is_empty());
        assert_eq!(rows.messages.len(), few);
    }

    #[test]
    fn a_replay_tries_seldom_and_a_stream_always() {
        let mut fresh = Fresh::default();
        let mut tried = |copied: bool| {
            let mut tries = 0;
            for _ in 0..1_000 {
                if !fresh.take(&mut rows(posts(ROWS_MIN as i64))).is_empty() {
                    fresh.went(copied);
                    tries += 1;
                }
            }
            tries
        };
        assert_eq!(tried(true), 1_000);
        assert!(tried(false) < 15);
        assert!(tried(true) > 700);
    }
}

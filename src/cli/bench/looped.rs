//! The messages of an export, again and again, as if they came now.

use std::path::Path;

use crate::event::{Body, Event, Message, Origin, Timestamp};
use crate::source::import::{self, ImportSource};
use crate::source::{Source, SourceBatch, SourceError};

/// Events of a batch, as the generator makes them.
const BATCH_EVENTS_MAX: u64 = 500;
/// From one date to the next: 50 a second.
const STEP_US: i64 = 20_000;

/// The source. A round has other message numbers than those before it, or they would be repeats.
pub(super) struct Looped {
    events: Vec<Event>,
    /// What the numbers of a round are above those of the one before.
    numbers: i64,
    base: Timestamp,
    made: u64,
    end: u64,
}

impl Looped {
    /// Reads the messages of a file; gives so many events.
    pub(super) fn of(file: &Path, events: u64) -> Result<Looped, SourceError> {
        let options = import::Options {
            include_private: true,
            ..import::Options::default()
        };
        let survey = import::survey(file, &options, &mut |_, _| {})?;
        let mut source = ImportSource::open(survey)?;
        let mut kept = Vec::new();
        while let Some(batch) = source.next_batch()? {
            kept.extend(batch.events.into_iter().filter(|it| message(it).is_some()));
        }
        if kept.is_empty() {
            return Err(SourceError::Input {
                path: file.display().to_string(),
                offset: 0,
                problem: "there is no message in it".to_owned(),
                hint: None,
            });
        }
        let numbers = kept.iter().filter_map(message).map(|it| it.id);
        let (low, high) = numbers.fold((0, 0), |(low, high), id| (id.min(low), id.max(high)));
        Ok(Looped {
            events: kept,
            numbers: high - low + 1,
            base: Timestamp::now(),
            made: 0,
            end: events,
        })
    }

    fn event(&mut self) -> Event {
        let count = self.events.len() as u64;
        let at = usize::try_from(self.made % count).unwrap_or_default();
        let round = i64::try_from(self.made / count).unwrap_or(i64::MAX);
        let since = i64::try_from(self.made).unwrap_or(i64::MAX);
        self.made += 1;
        let mut event = self.events[at].clone();
        event.origin = Origin::Live;
        if let Body::Posted(message) | Body::Edited { message, .. } = &mut event.body {
            message.id = message
                .id
                .saturating_add(round.saturating_mul(self.numbers));
            let now = self.base.micros() + since.saturating_mul(STEP_US);
            let later = now - message.posted_at.micros();
            message.posted_at = Timestamp::from_micros(now);
            message.edited_at = message
                .edited_at
                .map(|at| Timestamp::from_micros(at.micros().saturating_add(later)));
        }
        event
    }
}

fn message(event: &Event) -> Option<&Message> {
    match &event.body {
        Body::Posted(message) | Body::Edited { message, .. } => Some(message),
        _ => None,
    }
}

impl Source for Looped {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        let count = (self.end - self.made).min(BATCH_EVENTS_MAX);
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(SourceBatch {
            events: (0..count).map(|_| self.event()).collect(),
            ..SourceBatch::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[tokio::test]
    async fn rounds_have_numbers_of_their_own_and_dates_that_rise() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/import/desktop-channel.json"
        );
        let mut looped = Looped::of(Path::new(file), 1_200).expect("a source");
        let (mut keys, mut dates) = (HashSet::new(), Vec::new());
        while let Some(batch) = looped.next().await.expect("events") {
            for event in &batch.events {
                let message = message(event).expect("a message");
                assert!(keys.insert((event.peer, message.id)), "a repeat");
                dates.push(message.posted_at);
            }
        }
        assert_eq!(dates.len(), 1_200);
        assert!(dates.is_sorted());
    }
}

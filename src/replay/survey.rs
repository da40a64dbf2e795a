//! What a log holds, told from the headers of its records: nothing is decoded.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;
use wal::Header;

use super::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, ReplayError};
use crate::event::{Kind, PeerId, Timestamp};
use crate::journal::JournalReader;
use crate::projector::next_seq;

/// What is in a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// How many records there are.
    pub records: u64,
    /// How many posts and edits there are of each day of Telegram's date, as days since the Unix epoch.
    pub days: BTreeMap<i64, u64>,
}

/// Reads through the log, and gives each message with content that it meets up to number `known` to `meet`.
pub async fn survey(
    journal: &JournalReader,
    known: u64,
    meet: &mut (dyn FnMut(i64, i64) + Send),
    stop: &CancellationToken,
) -> Result<Survey, ReplayError> {
    let mut survey = Survey::default();
    let Some(first) = journal.first().await? else {
        return Ok(survey);
    };
    let until = journal.refresh().await?;
    let mut at = first.get() - 1;
    while at < until {
        if stop.is_cancelled() {
            return Err(ReplayError::Stopped { at: 0 });
        }
        let records = journal
            .range(next_seq(at), until, BATCH_EVENTS_MAX, BATCH_BYTES_MAX)
            .await?;
        let Some(last) = records.last() else { break };
        at = last.header().seq.get();
        for record in &records {
            let header = record.header();
            survey.take(header);
            if header.seq.get() <= known
                && has_content(header)
                && let Ok(peer) = PeerId::from_numbers(header.peer_kind, header.peer_id)
            {
                meet(peer.marked(), header.message_id);
            }
        }
    }
    Ok(survey)
}

impl Survey {
    fn take(&mut self, header: &Header) {
        self.records += 1;
        if has_content(header) {
            let day = Timestamp::from_micros(header.source_at).day();
            *self.days.entry(day).or_default() += 1;
        }
    }
}

fn has_content(header: &Header) -> bool {
    header.kind == Kind::Posted as u8 || header.kind == Kind::Edited as u8
}

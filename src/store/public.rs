//! What readers see, computed from the rows of a log: the pure twin of the SQL views.
//!
//! `verify` folds the log with [`Fold`] and compares the result with what a store returns, column by column in the
//! order of [`contract`]; instants as their text, JSON as values, numbers as numbers. So this must
//! say exactly what the views in `migrations/` say; the tests of the SQL stores compare the two over random events.
//!
//! A message is known by peer, number **and date**, since Telegram never changes a message's date. Two dates for one
//! number can only come from an input that lies; it is then shown as two rows, each with versions of its own.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::contract::{self, Table};
use super::rows::{
    ChannelNameRow, GapClosingRow, GapRow, MessageRow, Rows, Stamped, StateRow, VersionRow,
};
use super::samples::{self, SampleRow};
use crate::event::{Json, Timestamp};

/// One public row: values in the order of the contract's columns.
pub type PublicRow = Vec<Value>;

/// The public row of a message.
pub fn message(content: &MessageRow, state: Option<&StateRow>, versions: i64) -> PublicRow {
    let none = StateRow::default();
    let state = state.unwrap_or(&none);
    let rank = content.rank;
    vec![
        content.peer_id.into(),
        content.message_id.into(),
        content.kind.into(),
        time(content.posted_at),
        content.edited_at.map_or(Value::Null, time),
        state.deleted_at.map_or(Value::Null, |(_, at)| time(at)),
        time(content.received_at),
        content.origin.into(),
        content.sender_id.into(),
        content.sender_name.clone().into(),
        content.post_author.clone().into(),
        content.text.clone().into(),
        json(content.entities.as_ref()),
        content.reply_to_message_id.into(),
        content.reply_to_peer_id.into(),
        content.topic_id.into(),
        content.grouped_id.into(),
        json(content.forward.as_ref()),
        content.via_bot.clone().into(),
        content.media_kind.into(),
        json(content.media.as_ref()),
        newest(rank, content.views.as_ref(), &state.views).into(),
        newest(rank, content.forwards.as_ref(), &state.forwards).into(),
        json(newest(rank, content.reactions.as_ref(), &state.reactions).as_ref()),
        json(newest(rank, content.poll.as_ref(), &state.poll).as_ref()),
        json(content.buttons.as_ref()),
        newest(rank, Some(&content.pinned), &state.pinned).into(),
        json(content.service.as_ref()),
        versions.into(),
        content.first_seq.into(),
        content.seq.max(state.seq()).into(),
    ]
}

/// State wins over content when it is newer; what the content does not tell is taken from the state.
fn newest<T: Clone>(rank: i64, content: Option<&T>, state: &Stamped<T>) -> Option<T> {
    match state {
        Some((seq, value)) if *seq > rank => Some(value.clone()),
        _ => content.or(state.as_ref().map(|(_, value)| value)).cloned(),
    }
}

/// The public row of a version, which is the `number`th of its message.
pub fn message_version(row: &VersionRow, number: i64) -> PublicRow {
    vec![
        row.peer_id.into(),
        row.message_id.into(),
        number.into(),
        row.seq.into(),
        row.edited_at.map_or(Value::Null, time),
        row.text.clone().into(),
        json(row.entities.as_ref()),
        json(row.media.as_ref()),
        json(row.changed.as_ref()),
    ]
}

/// The public row of a channel, from its names in order of number; none without any.
pub fn channel<'a>(names: impl IntoIterator<Item = &'a ChannelNameRow>) -> Option<PublicRow> {
    let mut names = names.into_iter();
    let first = names.next()?;
    let (mut last, mut title, mut username) = (first, &first.title, &first.username);
    for name in names {
        last = name;
        if name.title.is_some() {
            title = &name.title;
        }
        if name.username.is_some() {
            username = &name.username;
        }
    }
    Some(vec![
        last.peer_id.into(),
        last.kind.clone().into(),
        title.clone().into(),
        username.clone().into(),
        time(first.seen_at),
        time(last.seen_at),
        last.seq.into(),
    ])
}

/// The public row of a channel's name.
pub fn channel_name(row: &ChannelNameRow) -> PublicRow {
    vec![
        row.peer_id.into(),
        row.seq.into(),
        row.kind.clone().into(),
        row.title.clone().into(),
        row.username.clone().into(),
        row.migrated_from.into(),
        time(row.seen_at),
    ]
}

/// The public row of a gap, which ended as told last.
pub fn gap(row: &GapRow, closing: Option<&GapClosingRow>) -> PublicRow {
    vec![
        row.seq.into(),
        row.peer_id.into(),
        row.cause.into(),
        row.after_pts.into(),
        row.until_pts.into(),
        row.after_message_id.into(),
        row.until_message_id.into(),
        time(row.noticed_at),
        closing.map_or(Value::Null, |closing| time(closing.closed_at)),
        closing.map(|closing| closing.outcome).into(),
        closing.map(|closing| closing.found).into(),
    ]
}

/// The public row of a sample of counters.
pub fn counter_sample(row: &SampleRow) -> PublicRow {
    vec![
        row.peer_id.into(),
        row.message_id.into(),
        time(row.interval_at),
        time(row.sampled_at),
        row.views.map(|(_, value)| value).into(),
        row.forwards.map(|(_, value)| value).into(),
        json(row.reactions.as_ref().map(|(_, value)| value)),
        json(row.poll.as_ref().map(|(_, value)| value)),
        row.seq.into(),
    ]
}

fn json(value: Option<&Json>) -> Value {
    value.map_or(Value::Null, Json::value)
}

fn time(at: Timestamp) -> Value {
    Value::String(at.to_string())
}

/// The fold of a log, or of the part of it that is about some peers: everything that the public tables show.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    messages: BTreeMap<(i64, i64, Timestamp), MessageRow>,
    states: BTreeMap<(i64, i64), StateRow>,
    versions: BTreeMap<(i64, i64, Timestamp, i64), VersionRow>,
    channel_names: BTreeMap<(i64, i64), ChannelNameRow>,
    gaps: BTreeMap<i64, GapRow>,
    gap_closings: BTreeMap<i64, GapClosingRow>,
    samples: BTreeMap<(i64, i64, Timestamp), SampleRow>,
}

impl Fold {
    /// Takes in the rows of a batch; batches may come in any order and more than once.
    pub fn merge(&mut self, rows: Rows) {
        for row in rows.messages {
            self.version(row.version());
            match self
                .messages
                .entry((row.peer_id, row.message_id, row.posted_at))
            {
                std::collections::btree_map::Entry::Vacant(slot) => {
                    slot.insert(row);
                }
                std::collections::btree_map::Entry::Occupied(mut slot) => {
                    // Both are versions here already.
                    slot.get_mut().merge(row);
                }
            }
        }
        for row in rows.states {
            self.states
                .entry((row.peer_id, row.message_id))
                .or_default()
                .merge(row);
        }
        for row in rows.versions {
            self.version(Some(row));
        }
        for row in rows.channel_names {
            self.channel_names.insert((row.peer_id, row.seq), row);
        }
        for row in rows.gaps {
            self.gaps.insert(row.seq, row);
        }
        for row in rows.gap_closings {
            self.gap_closings.insert(row.seq, row);
        }
    }

    /// Takes in the samples of a batch, likewise.
    pub fn merge_samples(&mut self, rows: Vec<SampleRow>) {
        for row in rows {
            samples::merge(&mut self.samples, row);
        }
    }

    fn version(&mut self, row: Option<VersionRow>) {
        if let Some(row) = row {
            let key = (row.peer_id, row.message_id, row.posted_at, row.seq);
            self.versions.insert(key, row);
        }
    }

    /// The rows of a public table, in the order in which a store returns them; none for a table that is not public.
    pub fn rows(&self, table: &Table) -> Box<dyn Iterator<Item = PublicRow> + '_> {
        match table.name {
            name if name == contract::MESSAGES.name => Box::new(self.message_rows()),
            name if name == contract::MESSAGE_VERSIONS.name => Box::new(self.version_rows()),
            name if name == contract::CHANNELS.name => Box::new(self.channel_rows()),
            name if name == contract::CHANNEL_NAMES.name => {
                Box::new(self.channel_names.values().map(channel_name))
            }
            name if name == contract::GAPS.name => Box::new(self.gap_rows()),
            name if name == contract::COUNTER_SAMPLES.name => {
                Box::new(self.samples.values().map(counter_sample))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    fn message_rows(&self) -> impl Iterator<Item = PublicRow> + '_ {
        self.messages.iter().map(|(&(peer, id, posted_at), row)| {
            let versions = self
                .versions
                .range((peer, id, posted_at, i64::MIN)..=(peer, id, posted_at, i64::MAX))
                .count();
            message(
                row,
                self.states.get(&(peer, id)),
                i64::try_from(versions).unwrap_or(i64::MAX),
            )
        })
    }

    fn version_rows(&self) -> impl Iterator<Item = PublicRow> + '_ {
        let mut before = None;
        let mut number = 0;
        let mut versions: Vec<(i64, i64, i64, &VersionRow)> =
            Vec::with_capacity(self.versions.len());
        for (&(peer, id, posted_at, _), row) in &self.versions {
            let of = Some((peer, id, posted_at));
            number = if of == before { number + 1 } else { 1 };
            before = of;
            versions.push((peer, id, number, row));
        }
        // A no-op, unless one message number came with two dates.
        versions.sort_by_key(|&(peer, id, number, row)| (peer, id, number, row.seq));
        versions
            .into_iter()
            .map(|(_, _, number, row)| message_version(row, number))
    }

    fn gap_rows(&self) -> impl Iterator<Item = PublicRow> + '_ {
        let mut ends = HashMap::new();
        for closing in self.gap_closings.values() {
            ends.insert((closing.peer_id, closing.gap), closing);
        }
        self.gaps.values().map(move |row| {
            let end = ends.get(&(row.peer_id, row.bounds())).copied();
            gap(row, end.filter(|end| end.seq > row.seq))
        })
    }

    fn channel_rows(&self) -> impl Iterator<Item = PublicRow> + '_ {
        let mut next = self.channel_names.keys().next().map(|&(peer, _)| peer);
        std::iter::from_fn(move || {
            let peer = next?;
            let after = peer.checked_add(1).map(|peer| (peer, i64::MIN));
            next = after
                .and_then(|from| self.channel_names.range(from..).next())
                .map(|(&(peer, _), _)| peer);
            channel(
                self.channel_names
                    .range((peer, i64::MIN)..=(peer, i64::MAX))
                    .map(|(_, row)| row),
            )
        })
    }
}

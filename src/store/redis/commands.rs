//! Batches to script arguments: pure. The order of the arguments is described in `apply.lua`.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{message_text, quarantine_text, seen_member, state_text};
use crate::event::{Body, Json, Timestamp};
use crate::store::rows::{ChannelNameRow, MessageRow, Rows, Stamped, StateRow};
use crate::store::{Checkpoint, Entry};

/// Most entries in one run of the script: nothing else is served meanwhile.
pub(super) const PART_ENTRIES_MAX: usize = 1000;
/// Rough most bytes of text in one run.
const PART_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What one run of the script covers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span<'a> {
    /// The number before the first one it covers.
    pub(super) after: u64,
    /// Where it moves the checkpoint, unless it is part of a partial replay.
    pub(super) checkpoint: Option<Checkpoint>,
    /// What it applies.
    pub(super) entries: &'a [Entry],
}

/// One run of the script, put together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// As in its span.
    pub(super) after: u64,
    /// As in its span.
    pub(super) checkpoint: Option<Checkpoint>,
    /// Its sections.
    pub(super) args: Args,
}

impl Span<'_> {
    /// The arguments: by far the most work on this side.
    pub(super) fn part(self) -> Part {
        Part {
            after: self.after,
            checkpoint: self.checkpoint,
            args: sections(self.entries),
        }
    }
}

/// Arguments, one after another.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Args(pub(super) Vec<Vec<u8>>);

impl Args {
    fn text(&mut self, text: impl Into<Vec<u8>>) {
        self.0.push(text.into());
    }

    fn number(&mut self, number: impl ToString) {
        self.0.push(number.to_string().into_bytes());
    }

    /// A group of fields: name, name of its seq, seq, value.
    fn group(&mut self, group: &Group) {
        self.text(group.field);
        self.text(group.seq_field);
        self.number(group.seq);
        self.text(group.value.as_str());
    }
}

/// A field that the highest seq wins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) field: &'static str,
    pub(super) seq_field: &'static str,
    pub(super) seq: i64,
    pub(super) value: String,
}

/// The runs for the entries behind `after`. Each moves the checkpoint to its own last entry, so that a long batch that is
/// interrupted goes on where it was; the last one moves it to where the batch ends.
pub(super) fn spans(after: u64, end: Option<Checkpoint>, entries: &[Entry]) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    let (mut after, mut rest) = (after, entries);
    loop {
        let (now, later) = rest.split_at(part_length(rest));
        let checkpoint = end.map(|end| match now.last() {
            Some(last) if !later.is_empty() => Checkpoint {
                identity: end.identity,
                seq: last.seq(),
                updated_at: last.received_at(),
            },
            _ => end,
        });
        spans.push(Span {
            after,
            checkpoint,
            entries: now,
        });
        if later.is_empty() {
            return spans;
        }
        after = checkpoint.map_or(after, |it| it.seq.get());
        rest = later;
    }
}

fn part_length(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = entries.iter().take(PART_ENTRIES_MAX).take_while(|entry| {
        let first = bytes == 0;
        bytes += weight(entry);
        first || bytes <= PART_BYTES_MAX
    });
    fits.count()
}

/// Roughly the bytes that an entry becomes.
pub(super) fn weight(entry: &Entry) -> usize {
    match entry {
        Entry::Event(envelope) => match &envelope.event.body {
            Body::Posted(message) | Body::Edited { message, .. } => {
                let buttons = message.buttons.iter().map(Vec::len).sum::<usize>();
                512 + message.text.len() + 100 * (message.entities.len() + buttons)
            }
            _ => 256,
        },
        Entry::Poison(poison) => 256 + poison.reason.len(),
    }
}

/// What one peer gets.
#[derive(Default)]
struct Peer<'a> {
    contents: BTreeMap<i64, Vec<&'a MessageRow>>,
    states: BTreeMap<i64, &'a StateRow>,
}

fn sections(entries: &[Entry]) -> Args {
    let rows = Rows::of(entries);
    let seen = seen(entries);
    let mut peers = BTreeMap::<i64, Peer<'_>>::new();
    for row in &rows.messages {
        let peer = peers.entry(row.peer_id).or_default();
        peer.contents.entry(row.message_id).or_default().push(row);
    }
    for row in &rows.states {
        let peer = peers.entry(row.peer_id).or_default();
        peer.states.insert(row.message_id, row);
    }
    let mut args = Args::default();
    for (peer_id, peer) in &peers {
        peer_section(&mut args, *peer_id, peer, seen.get(peer_id));
    }
    for row in &rows.channel_names {
        args.text("c");
        args.number(row.peer_id);
        let groups = channel_groups(row);
        args.number(groups.len());
        groups.iter().for_each(|group| args.group(group));
    }
    for poison in &rows.quarantine {
        args.text("q");
        args.number(poison.seq);
        args.text(quarantine_text(poison));
    }
    args
}

fn peer_section(
    args: &mut Args,
    peer_id: i64,
    peer: &Peer<'_>,
    seen: Option<&BTreeSet<(i64, i64)>>,
) {
    let seen = seen.into_iter().flatten();
    args.text("p");
    args.number(peer_id);
    args.number(peer.contents.len());
    args.number(peer.states.len());
    args.number(seen.clone().count());
    for (id, rows) in &peer.contents {
        // Two contents of one number have two dates, which only an input that lies can bring; the higher rank wins.
        let best = rows.iter().max_by_key(|row| row.rank);
        let first = rows.iter().min_by_key(|row| row.first_seq);
        args.number(id);
        args.text(
            best.zip(first)
                .map_or_else(String::new, |(best, first)| message_text(best, first)),
        );
    }
    for (id, row) in &peer.states {
        args.number(id);
        args.text(state_text(row));
    }
    for (id, stamp) in seen {
        args.number(id);
        args.text(seen_member(*id, *stamp));
    }
}

/// The contents of each peer, known by message and edit stamp.
pub(super) fn seen(entries: &[Entry]) -> BTreeMap<i64, BTreeSet<(i64, i64)>> {
    let mut seen = BTreeMap::<i64, BTreeSet<(i64, i64)>>::new();
    for entry in entries {
        if let Entry::Event(envelope) = entry
            && let Some(peer) = envelope.event.peer
            && let Body::Posted(message) | Body::Edited { message, .. } = &envelope.event.body
        {
            seen.entry(peer.marked())
                .or_default()
                .insert((message.id, message.edit_stamp()));
        }
    }
    seen
}

fn json_text(json: &Json) -> String {
    json.as_str().to_owned()
}

/// The state fields of a message.
pub(super) fn state_groups(row: &StateRow) -> Vec<Group> {
    fn group<T>(
        groups: &mut Vec<Group>,
        field: &'static str,
        seq_field: &'static str,
        value: &Stamped<T>,
        text: impl FnOnce(&T) -> String,
    ) {
        if let Some((seq, value)) = value {
            groups.push(Group {
                field,
                seq_field,
                seq: *seq,
                value: text(value),
            });
        }
    }
    let mut groups = Vec::new();
    group(
        &mut groups,
        "deleted_at",
        "deleted_seq",
        &row.deleted_at,
        Timestamp::to_string,
    );
    group(
        &mut groups,
        "pinned",
        "pinned_seq",
        &row.pinned,
        bool::to_string,
    );
    group(
        &mut groups,
        "views",
        "views_seq",
        &row.views,
        i64::to_string,
    );
    group(
        &mut groups,
        "forwards",
        "forwards_seq",
        &row.forwards,
        i64::to_string,
    );
    group(
        &mut groups,
        "reactions",
        "reactions_seq",
        &row.reactions,
        json_text,
    );
    group(&mut groups, "poll", "poll_seq", &row.poll, json_text);
    groups
}

/// The fields of a channel. What an event does not tell stays as it was.
pub(super) fn channel_groups(row: &ChannelNameRow) -> Vec<Group> {
    let fields = [
        ("kind", "kind_seq", Some(row.kind.clone())),
        ("updated_at", "updated_seq", Some(row.seen_at.to_string())),
        ("title", "title_seq", row.title.clone()),
        ("username", "username_seq", row.username.clone()),
    ];
    let told = fields.into_iter().filter_map(|(field, seq_field, value)| {
        Some(Group {
            field,
            seq_field,
            seq: row.seq,
            value: value?,
        })
    });
    told.collect()
}

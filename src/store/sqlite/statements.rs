//! The SQL of the SQLite projection.
//!
//! SQLite has no arrays, so rows go in many at a time as one `values` list; each length is a statement of its own, and
//! only the lengths in [`LENGTHS`] are used.

/// Rows in one statement, longest first. 64 rows of 32 columns stay far below SQLite's limit of 32,766 parameters.
pub(super) const LENGTHS: [usize; 3] = [64, 8, 1];

/// Takes the write lock at once: a transaction that reads first could find the lock taken when it wants to write.
pub(super) const BEGIN: &str = "begin immediate";

/// Columns of `message_content`, in the order in which `value` binds them.
pub(super) const CONTENT: &[&str] = &[
    "peer_id",
    "message_id",
    "posted_at",
    "rank",
    "seq",
    "first_seq",
    "received_at",
    "edited_at",
    "sender_id",
    "reply_to_message_id",
    "reply_to_peer_id",
    "topic_id",
    "grouped_id",
    "views",
    "forwards",
    "versioned",
    "pinned",
    "kind",
    "origin",
    "media_kind",
    "text",
    "sender_name",
    "post_author",
    "via_bot",
    "entities",
    "forward",
    "media",
    "reactions",
    "poll",
    "buttons",
    "service",
    "changed",
];

const STATE: &[&str] = &[
    "peer_id",
    "message_id",
    "deleted_at",
    "deleted_seq",
    "pinned",
    "pinned_seq",
    "views",
    "views_seq",
    "forwards",
    "forwards_seq",
    "reactions",
    "reactions_seq",
    "poll",
    "poll_seq",
];

/// Columns of `counter_sample`, in the order in which `value` binds them.
const SAMPLE: &[&str] = &[
    "peer_id",
    "message_id",
    "interval_at",
    "sampled_at",
    "seq",
    "views",
    "views_seq",
    "forwards",
    "forwards_seq",
    "reactions",
    "reactions_seq",
    "poll",
    "poll_seq",
];

/// Values that go by the number of their own, and that number.
type Parts = [(&'static str, &'static str)];

const STATE_PARTS: &Parts = &[
    ("deleted_at", "deleted_seq"),
    ("pinned", "pinned_seq"),
    ("views", "views_seq"),
    ("forwards", "forwards_seq"),
    ("reactions", "reactions_seq"),
    ("poll", "poll_seq"),
];

const SAMPLE_PARTS: &Parts = &[
    ("views", "views_seq"),
    ("forwards", "forwards_seq"),
    ("reactions", "reactions_seq"),
    ("poll", "poll_seq"),
];

const VERSION: &str =
    "peer_id, message_id, posted_at, seq, edited_at, text, entities, media, changed";

const KEY: &str = "peer_id = ?1 and message_id = ?2 and posted_at = ?3";

pub(super) const READ_CHECKPOINT: &str = "select log_id, epoch, seq, updated_at from checkpoints \
     where projection = 'sqlite' and generation = 1";

pub(super) const MOVE_CHECKPOINT: &str = "insert into checkpoints (projection, generation, log_id, epoch, seq, updated_at) \
     values ('sqlite', 1, ?, ?, ?, ?) on conflict (projection, generation) do update \
     set epoch = excluded.epoch, seq = excluded.seq, updated_at = excluded.updated_at \
     where log_id = excluded.log_id and (epoch, seq) < (excluded.epoch, excluded.seq)";

pub(super) const INSERT_VERSION: &str = "insert into message_version \
     (peer_id, message_id, posted_at, seq, edited_at, text, entities, media, changed) \
     values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing";

pub(super) const INSERT_CHANNEL_NAME: &str = "insert into channel_name \
     (peer_id, seq, kind, title, username, migrated_from, seen_at) \
     values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing";

pub(super) const INSERT_GAP: &str = "insert into gap \
     (seq, peer_id, cause, after_pts, until_pts, after_message_id, until_message_id, noticed_at) \
     values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing";

pub(super) const INSERT_GAP_CLOSING: &str = "insert into gap_closing \
     (seq, peer_id, after_pts, until_pts, after_message_id, until_message_id, outcome, found, closed_at) \
     values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing";

pub(super) const INSERT_QUARANTINE: &str = "insert into quarantine \
     (projection, generation, seq, kind, received_at, reason, raw) \
     values ('sqlite', 1, ?, ?, ?, ?, ?) on conflict do nothing";

pub(super) const READ_SAMPLING: &str = "select interval_us, after_seq from counter_sampling";

/// Begins another history, or none: what there is of the last one goes, and the log can make it anew.
pub(super) const FORGET_SAMPLES: &[&str] =
    &["delete from counter_sample", "delete from counter_sampling"];

pub(super) const BEGIN_SAMPLES: &str = "insert into counter_sampling (interval_us, after_seq) values (?, \
     coalesce((select seq from checkpoints where projection = 'sqlite' and generation = 1), 0))";
pub(super) const QUARANTINE_SIZE: &str =
    "select count(*) from quarantine where projection = 'sqlite' and generation = 1";

pub(super) const READ_QUARANTINE: &str = "select seq, kind, received_at, reason, raw from quarantine \
     where projection = 'sqlite' and generation = 1 and seq > ? order by seq limit ?";

pub(super) const EXPLAIN_QUARANTINE: &str = "update quarantine set reason = ?2 \
     where projection = 'sqlite' and generation = 1 and seq = ?1";

pub(super) const FORGET_QUARANTINE: &str =
    "delete from quarantine where projection = 'sqlite' and generation = 1 and seq = ?";

/// No trigger follows deletions, so that `delete` without a condition just drops the pages; the index is told.
pub(super) const CLEAR: &[&str] = &[
    "delete from message_content",
    "insert into messages_fts (messages_fts) values ('delete-all')",
    "delete from message_state",
    "delete from message_version",
    "delete from channel_name",
    "delete from gap",
    "delete from gap_closing",
    "delete from counter_sample",
    "update counter_sampling set after_seq = 0",
    "delete from quarantine where projection = 'sqlite' and generation = 1",
    "delete from checkpoints where projection = 'sqlite' and generation = 1",
];

/// All numbers in the rows about a message: peer, message.
pub(super) const SEQS_OF_MESSAGE: &str = "with \
     c as (select * from message_content where peer_id = ?1 and message_id = ?2), \
     s as (select * from message_state where peer_id = ?1 and message_id = ?2), \
     n as (select * from counter_sample where peer_id = ?1 and message_id = ?2) \
     select seq from c union select first_seq from c \
     union select seq from message_version where peer_id = ?1 and message_id = ?2 \
     union select deleted_seq from s where deleted_seq is not null \
     union select pinned_seq from s where pinned_seq is not null \
     union select views_seq from s where views_seq is not null \
     union select forwards_seq from s where forwards_seq is not null \
     union select reactions_seq from s where reactions_seq is not null \
     union select poll_seq from s where poll_seq is not null \
     union select views_seq from n where views_seq is not null \
     union select forwards_seq from n where forwards_seq is not null \
     union select reactions_seq from n where reactions_seq is not null \
     union select poll_seq from n where poll_seq is not null";

/// All numbers in the rows about a channel as such: peer, nothing.
pub(super) const SEQS_OF_CHANNEL: &str = "select seq from channel_name where peer_id is ?1 and ?2 = 0 \
     union select seq from gap where peer_id is ?1 union select seq from gap_closing where peer_id is ?1";

/// Takes out all rows about a message. The index first: it asks the row what to forget.
pub(super) const TAKE_OUT_MESSAGE: [&str; 5] = [
    "insert into messages_fts (messages_fts, rowid, text, peer_id, message_id) \
     select 'delete', id, text, peer_id, message_id from message_content where peer_id = ?1 and message_id = ?2",
    "delete from message_content where peer_id = ?1 and message_id = ?2",
    "delete from message_state where peer_id = ?1 and message_id = ?2",
    "delete from message_version where peer_id = ?1 and message_id = ?2",
    "delete from counter_sample where peer_id = ?1 and message_id = ?2",
];

/// Takes out all rows about a channel as such.
pub(super) const TAKE_OUT_CHANNEL: [&str; 3] = [
    "delete from channel_name where peer_id is ?1 and ?2 = 0",
    "delete from gap where peer_id is ?1 and ?2 = 0",
    "delete from gap_closing where peer_id is ?1 and ?2 = 0",
];

/// Compares the full-text index with the rows; fails when it is not what they say.
pub(super) const CHECK_INDEX: &str =
    "insert into messages_fts (messages_fts, rank) values ('integrity-check', 1)";

/// Makes the full-text index anew from the rows.
pub(super) const MAKE_INDEX: &str = "insert into messages_fts (messages_fts) values ('rebuild')";

/// The statements that are put together from column lists, once.
#[derive(Debug)]
pub(super) struct Statements {
    /// Adds contents of messages that have none, and returns the seqs of those it added; for each of [`LENGTHS`].
    pub insert_content: [String; 3],
    /// Rank and first seq of a content.
    pub read_content: String,
    /// Keeps a content as a version, if it is one.
    pub keep_version: String,
    /// Replaces a content, but not its first seq.
    pub replace_content: String,
    /// A lower first seq, with its time of receipt.
    pub lower_first_seq: String,
    /// Merges states; for each of [`LENGTHS`].
    pub merge_state: [String; 3],
    /// Merges a sample of counters.
    pub merge_sample: String,
    /// Whether there may be any.
    pub is_sampled: bool,
}

impl Statements {
    pub(super) fn new(is_sampled: bool) -> Statements {
        let set: Vec<String> = CONTENT
            .iter()
            .enumerate()
            .skip(3)
            .filter(|(_, name)| !["first_seq", "received_at"].contains(name))
            .map(|(at, name)| format!("{name} = ?{}", at + 1))
            .collect();
        Statements {
            insert_content: LENGTHS.map(|length| {
                format!(
                    "insert into message_content ({}) values {} \
                     on conflict (peer_id, message_id, posted_at) do nothing returning seq",
                    CONTENT.join(", "),
                    values(CONTENT.len(), length)
                )
            }),
            read_content: format!("select rank, first_seq from message_content where {KEY}"),
            keep_version: format!(
                "insert into message_version ({VERSION}) select {VERSION} from message_content \
                 where {KEY} and versioned on conflict do nothing"
            ),
            replace_content: format!("update message_content set {} where {KEY}", set.join(", ")),
            lower_first_seq: format!(
                "update message_content set first_seq = ?4, received_at = ?5 where {KEY}"
            ),
            merge_state: LENGTHS.map(merge_state),
            merge_sample: merge_sample(),
            is_sampled,
        }
    }
}

/// `(?, ?, ...), (?, ?, ...)`
fn values(columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    vec![row; rows].join(", ")
}

/// What a newer value replaces, and whether there is one.
fn newer(table: &str, parts: &Parts) -> (String, String) {
    let newer = |seq: &str| format!("excluded.{seq} > coalesce({table}.{seq}, 0)");
    let set: Vec<String> = parts
        .iter()
        .map(|(value, seq)| {
            let newer = newer(seq);
            format!(
                "{value} = case when {newer} then excluded.{value} else {table}.{value} end, \
                 {seq} = case when {newer} then excluded.{seq} else {table}.{seq} end"
            )
        })
        .collect();
    let any: Vec<String> = parts.iter().map(|(_, seq)| newer(seq)).collect();
    (set.join(", "), any.join(" or "))
}

fn merge_state(rows: usize) -> String {
    let (set, any) = newer("message_state", STATE_PARTS);
    format!(
        "insert into message_state ({}) values {} on conflict (peer_id, message_id) do update set {set} where {any}",
        STATE.join(", "),
        values(STATE.len(), rows),
    )
}

fn merge_sample() -> String {
    let (set, any) = newer("counter_sample", SAMPLE_PARTS);
    format!(
        "insert into counter_sample ({}) values {} on conflict (peer_id, message_id, interval_at) do update set {set}, \
         sampled_at = case when excluded.seq > counter_sample.seq then excluded.sampled_at else counter_sample.sampled_at end, \
         seq = max(excluded.seq, counter_sample.seq) where {any}",
        SAMPLE.join(", "),
        values(SAMPLE.len(), 1),
    )
}

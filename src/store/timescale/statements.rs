//! The SQL of one generation, put together once from column lists.
//!
//! The merges say what `rows` says: the content of the higher rank wins, the lowest number that carried content is
//! `first_seq`, each part of the state goes by its own number. A repeat changes no row.

use crate::config;

/// Columns of `message_content`, their array element types, in the order in which `write` binds them.
pub(super) const CONTENT: &[(&str, &str)] = &[
    ("peer_id", "bigint"),
    ("message_id", "bigint"),
    ("posted_at", "timestamptz"),
    ("rank", "bigint"),
    ("seq", "bigint"),
    ("first_seq", "bigint"),
    ("received_at", "timestamptz"),
    ("edited_at", "timestamptz"),
    ("sender_id", "bigint"),
    ("reply_to_message_id", "bigint"),
    ("reply_to_peer_id", "bigint"),
    ("topic_id", "bigint"),
    ("grouped_id", "bigint"),
    ("views", "bigint"),
    ("forwards", "bigint"),
    ("versioned", "boolean"),
    ("pinned", "boolean"),
    ("kind", "text"),
    ("origin", "text"),
    ("media_kind", "text"),
    ("text", "text"),
    ("sender_name", "text"),
    ("post_author", "text"),
    ("via_bot", "text"),
    ("entities", "jsonb"),
    ("forward", "jsonb"),
    ("media", "jsonb"),
    ("reactions", "jsonb"),
    ("poll", "jsonb"),
    ("buttons", "jsonb"),
    ("service", "jsonb"),
    ("changed", "jsonb"),
];
const CONTENT_KEY: &str = "peer_id, message_id, posted_at";

const STATE: &[(&str, &str)] = &[
    ("peer_id", "bigint"),
    ("message_id", "bigint"),
    ("deleted_at", "timestamptz"),
    ("deleted_seq", "bigint"),
    ("pinned", "boolean"),
    ("pinned_seq", "bigint"),
    ("views", "bigint"),
    ("views_seq", "bigint"),
    ("forwards", "bigint"),
    ("forwards_seq", "bigint"),
    ("reactions", "jsonb"),
    ("reactions_seq", "bigint"),
    ("poll", "jsonb"),
    ("poll_seq", "bigint"),
];

const SAMPLE: &[(&str, &str)] = &[
    ("peer_id", "bigint"),
    ("message_id", "bigint"),
    ("interval_at", "timestamptz"),
    ("sampled_at", "timestamptz"),
    ("seq", "bigint"),
    ("views", "bigint"),
    ("views_seq", "bigint"),
    ("forwards", "bigint"),
    ("forwards_seq", "bigint"),
    ("reactions", "jsonb"),
    ("reactions_seq", "bigint"),
    ("poll", "jsonb"),
    ("poll_seq", "bigint"),
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

const VERSION: &[(&str, &str)] = &[
    ("peer_id", "bigint"),
    ("message_id", "bigint"),
    ("posted_at", "timestamptz"),
    ("seq", "bigint"),
    ("edited_at", "timestamptz"),
    ("text", "text"),
    ("entities", "jsonb"),
    ("media", "jsonb"),
    ("changed", "jsonb"),
];

const CHANNEL_NAME: &[(&str, &str)] = &[
    ("peer_id", "bigint"),
    ("seq", "bigint"),
    ("kind", "text"),
    ("title", "text"),
    ("username", "text"),
    ("migrated_from", "bigint"),
    ("seen_at", "timestamptz"),
];

const GAP: &[(&str, &str)] = &[
    ("seq", "bigint"),
    ("peer_id", "bigint"),
    ("cause", "text"),
    ("after_pts", "bigint"),
    ("until_pts", "bigint"),
    ("after_message_id", "bigint"),
    ("until_message_id", "bigint"),
    ("noticed_at", "timestamptz"),
];

const GAP_CLOSING: &[(&str, &str)] = &[
    ("seq", "bigint"),
    ("peer_id", "bigint"),
    ("after_pts", "bigint"),
    ("until_pts", "bigint"),
    ("after_message_id", "bigint"),
    ("until_message_id", "bigint"),
    ("outcome", "text"),
    ("found", "bigint"),
    ("closed_at", "timestamptz"),
];

const QUARANTINE: &[(&str, &str)] = &[
    ("seq", "bigint"),
    ("kind", "smallint"),
    ("received_at", "timestamptz"),
    ("reason", "text"),
    ("raw", "bytea"),
];

/// The tables of a generation.
pub(super) const TABLES: [&str; 9] = [
    "message_content",
    "message_state",
    "message_version",
    "channel_name",
    "gap",
    "gap_closing",
    "counter_sample",
    "message_hour",
    "message_hour_stale",
];

/// The columns that messages are looked for and put in order by, of the tables that have texts and JSON besides: to look at
/// those takes the server several times as long, and it plans nothing by them.
pub(super) const SEARCHED: [(&str, &str); 2] = [
    (
        "message_content",
        "peer_id, message_id, posted_at, received_at, seq, grouped_id",
    ),
    ("message_version", "peer_id, message_id, posted_at, seq"),
];

/// First number of our advisory locks: `tgw` in ASCII. Locks end with their transaction, so a pooler cannot leak them.
pub(super) const LOCK: i32 = 0x0074_6777;

/// The server gives up on a statement after this long; see `APPLY_SECONDS` for the connection's own limit.
const STATEMENT_TIMEOUT: &str = "60s";

/// Starts a transaction that changes generations.
pub(super) fn begin_exclusive() -> String {
    format!(
        "begin; set local statement_timeout = '{STATEMENT_TIMEOUT}'; select pg_catalog.pg_advisory_xact_lock({LOCK}, 0)"
    )
}

/// Begins the transaction of a batch; one of the same generation is waited for.
fn begin(generation: i32, has_lz4: bool, config: &config::Timescale) -> String {
    // Rows and checkpoint vanish together in a crash of the server, and the log has them (see the configuration).
    let commit = match config.synchronous_commit {
        true => "on",
        false => "off",
    };
    let packing = match has_lz4 {
        true => " set local default_toast_compression = lz4;",
        false => "",
    };
    format!(
        "begin; set local synchronous_commit = {commit}; set local statement_timeout = '{STATEMENT_TIMEOUT}';\
         {packing} select pg_catalog.pg_advisory_xact_lock({LOCK}, {generation})"
    )
}

/// The statements of one generation.
#[derive(Debug)]
pub(super) struct Statements {
    /// Schema name with its dot.
    pub schema: String,
    /// What is of this generation in the tables that all of them share, as a condition.
    pub here: String,
    /// Starts a transaction that writes. One writer at a time for each generation: what a message's older version is
    /// must not change between two statements, and a `replay` may run beside the daemon.
    pub begin: String,
    /// Adds contents of messages that have none, from a binary stream.
    pub copy_content: String,
    /// Adds contents of messages that have none; returns the seqs of those it added.
    pub insert_content: String,
    /// Merges contents into those that are there, and keeps as versions those that lose.
    pub merge_content: String,
    pub merge_state: String,
    pub merge_samples: String,
    pub read_sampling: String,
    /// Begins another history of counters, or none: what there is of the last one goes, and the log can make it anew.
    pub forget_samples: String,
    pub begin_samples: String,
    /// Whether there may be samples.
    pub is_sampled: bool,
    pub insert_versions: String,
    pub insert_channel_names: String,
    pub insert_gaps: String,
    pub insert_gap_closings: String,
    pub insert_quarantine: String,
    /// Notes hours whose counts have changed: given, or those of deleted messages.
    pub note_hours: String,
    pub note_hours_of: String,
    pub move_checkpoint: String,
    /// Whether this generation is shown, and its checkpoint.
    pub read_checkpoint: String,
    /// It may be written only while it is shown.
    pub live: bool,
    pub truncate: String,
    pub forget: [String; 3],
}

impl Statements {
    pub(super) fn new(
        generation: i32,
        live: bool,
        has_lz4: bool,
        config: &config::Timescale,
    ) -> Statements {
        let schema = format!("telegram_g{generation}.");
        let here = format!("projection = 'timescale' and generation = {generation}");
        Statements {
            begin: begin(generation, has_lz4, config),
            copy_content: format!(
                "copy {schema}message_content ({}) from stdin (format binary)",
                names(CONTENT)
            ),
            insert_content: format!(
                "insert into {schema}message_content ({}) {} on conflict ({CONTENT_KEY}) do nothing returning seq",
                names(CONTENT),
                unnest(CONTENT)
            ),
            merge_content: merge_content(&schema),
            merge_state: merge_state(&schema),
            merge_samples: merge_samples(&schema),
            read_sampling: read_sampling(&schema),
            forget_samples: format!("truncate {schema}counter_sample, {schema}counter_sampling"),
            begin_samples: format!(
                "insert into {schema}counter_sampling (interval_us, after_seq) \
                 select $1, coalesce((select seq from telegram.checkpoints where {here}), 0)"
            ),
            is_sampled: config.counter_history.is_some(),
            insert_versions: insert(&schema, "message_version", VERSION),
            insert_channel_names: insert(&schema, "channel_name", CHANNEL_NAME),
            insert_gaps: insert(&schema, "gap", GAP),
            insert_gap_closings: insert(&schema, "gap_closing", GAP_CLOSING),
            insert_quarantine: format!(
                "insert into telegram.quarantine (projection, generation, {}) \
                 select 'timescale', {generation}, b.* from ({}) b on conflict do nothing",
                names(QUARANTINE),
                unnest(QUARANTINE)
            ),
            note_hours: format!(
                "insert into {schema}message_hour_stale (peer_id, hour) \
                 select * from unnest($1::bigint[], $2::timestamptz[]) on conflict do nothing"
            ),
            note_hours_of: note_hours_of(&schema),
            move_checkpoint: move_checkpoint(generation),
            read_checkpoint: format!(
                "select g.shown, c.log_id, c.epoch, c.seq, c.updated_at, g.since from telegram.generations g \
                 left join telegram.checkpoints c on c.generation = g.generation and c.projection = 'timescale' \
                 where g.generation = {generation}"
            ),
            live,
            truncate: format!(
                "truncate {}",
                TABLES.map(|table| format!("{schema}{table}")).join(", ")
            ),
            forget: [
                format!("delete from telegram.quarantine where {here}"),
                format!("delete from telegram.checkpoints where {here}"),
                format!("update {schema}counter_sampling set after_seq = 0"),
            ],
            schema,
            here,
        }
    }
}

fn note_hours_of(schema: &str) -> String {
    format!(
        "insert into {schema}message_hour_stale (peer_id, hour) \
                 select distinct c.peer_id, date_trunc('hour', c.posted_at, 'UTC') \
                 from unnest($1::bigint[], $2::bigint[]) as b (peer_id, message_id) cross join lateral (\
                 select c.peer_id, c.posted_at from {schema}message_content c \
                 where c.peer_id = b.peer_id and c.message_id = b.message_id offset 0) c on conflict do nothing"
    )
}

fn move_checkpoint(generation: i32) -> String {
    format!(
        "insert into telegram.checkpoints as c (projection, generation, log_id, epoch, seq, updated_at) \
                 values ('timescale', {generation}, $1, $2, $3, $4) \
                 on conflict (projection, generation) do update \
                 set epoch = excluded.epoch, seq = excluded.seq, updated_at = excluded.updated_at, \
                 moved_at = clock_timestamp() \
                 where c.log_id = excluded.log_id and (c.epoch, c.seq) < (excluded.epoch, excluded.seq)"
    )
}

fn read_sampling(schema: &str) -> String {
    format!("select interval_us, after_seq from {schema}counter_sampling")
}

fn names(columns: &[(&str, &str)]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// `select * from unnest($1::bigint[], ...) as b (peer_id, ...)`
fn unnest(columns: &[(&str, &str)]) -> String {
    let arrays: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(at, (_, kind))| format!("${}::{kind}[]", at + 1))
        .collect();
    format!(
        "select * from unnest({}) as b ({})",
        arrays.join(", "),
        names(columns)
    )
}

fn insert(schema: &str, table: &str, columns: &[(&str, &str)]) -> String {
    format!(
        "insert into {schema}{table} ({}) {} on conflict do nothing",
        names(columns),
        unnest(columns)
    )
}

/// The contents that are there are looked up one by one (`lateral ... limit 1`): a join could be planned as a scan of the
/// whole hypertable. Both parts of the statement see the rows as they were before it.
fn merge_content(schema: &str) -> String {
    let lost: Vec<String> = VERSION
        .iter()
        .map(|(name, _)| format!("case when x.rank < b.rank then x.{name} else b.{name} end"))
        .collect();
    let of_version: Vec<String> = VERSION
        .iter()
        .map(|(name, _)| format!("c.{name}"))
        .collect();
    let set: Vec<String> = CONTENT
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| {
            ![
                "peer_id",
                "message_id",
                "posted_at",
                "first_seq",
                "received_at",
            ]
            .contains(name)
        })
        .map(|name| {
            format!(
                "{name} = case when excluded.rank > c.rank then excluded.{name} else c.{name} end"
            )
        })
        .collect();
    format!(
        "with b as materialized ({unnest}), lost as (\
         insert into {schema}message_version ({version}) \
         select {lost} from b cross join lateral (\
         select {of_version}, c.rank, c.versioned from {schema}message_content c \
         where c.peer_id = b.peer_id and c.message_id = b.message_id and c.posted_at = b.posted_at limit 1) x \
         where (x.rank < b.rank and x.versioned) or (b.rank < x.rank and b.versioned) on conflict do nothing) \
         insert into {schema}message_content as c ({content}) select * from b \
         on conflict ({CONTENT_KEY}) do update set {set}, \
         first_seq = least(c.first_seq, excluded.first_seq), \
         received_at = case when excluded.first_seq < c.first_seq then excluded.received_at else c.received_at end \
         where excluded.rank > c.rank or excluded.first_seq < c.first_seq",
        unnest = unnest(CONTENT),
        version = names(VERSION),
        lost = lost.join(", "),
        of_version = of_version.join(", "),
        content = names(CONTENT),
        set = set.join(", "),
    )
}

/// What a newer value replaces in the row `s`, and whether there is one.
fn newer(parts: &Parts) -> (String, String) {
    let newer = |seq: &str| format!("excluded.{seq} > coalesce(s.{seq}, 0)");
    let set: Vec<String> = parts
        .iter()
        .map(|(value, seq)| {
            let newer = newer(seq);
            format!(
                "{value} = case when {newer} then excluded.{value} else s.{value} end, \
                 {seq} = case when {newer} then excluded.{seq} else s.{seq} end"
            )
        })
        .collect();
    let any: Vec<String> = parts.iter().map(|(_, seq)| newer(seq)).collect();
    (set.join(", "), any.join(" or "))
}

fn merge_state(schema: &str) -> String {
    let (set, any) = newer(STATE_PARTS);
    format!(
        "insert into {schema}message_state as s ({}) {} on conflict (peer_id, message_id) do update set {set} where {any}",
        names(STATE),
        unnest(STATE),
    )
}

fn merge_samples(schema: &str) -> String {
    let (set, any) = newer(SAMPLE_PARTS);
    format!(
        "insert into {schema}counter_sample as s ({}) {} on conflict (peer_id, message_id, interval_at) do update set {set}, \
         sampled_at = case when excluded.seq > s.seq then excluded.sampled_at else s.sampled_at end, \
         seq = greatest(excluded.seq, s.seq) where {any}",
        names(SAMPLE),
        unnest(SAMPLE),
    )
}

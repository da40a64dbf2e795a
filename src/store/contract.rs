//! The public SQL contract: tables and columns that readers may rely on, the same names in SQLite and behind the
//! views of TimescaleDB's schema `telegram`. Tests compare the real schemas with this page; `verify` reads and
//! compares rows by it.

/// How a column is typed in each engine, and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// SQLite integer; PostgreSQL bigint.
    Int,
    /// Text.
    Text,
    /// SQLite text `2026-01-31T12:00:00.000000Z`; PostgreSQL timestamptz.
    Time,
    /// SQLite integer 0 or 1; PostgreSQL boolean.
    Bool,
    /// SQLite text; PostgreSQL jsonb. Compared as values, not as text.
    Json,
}

/// A column.
pub type Column = (&'static str, Type);

/// A public table or view.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// How many of the first columns identify a row.
    pub key: usize,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

/// One row a message, in its current state; deleted ones stay, with `deleted_at` set.
pub const MESSAGES: Table = Table {
    name: "messages",
    key: 2,
    columns: &[
        ("peer_id", Type::Int),
        ("message_id", Type::Int),
        ("kind", Type::Text),
        ("posted_at", Type::Time),
        ("edited_at", Type::Time),
        ("deleted_at", Type::Time),
        ("received_at", Type::Time),
        ("origin", Type::Text),
        ("sender_id", Type::Int),
        ("sender_name", Type::Text),
        ("post_author", Type::Text),
        ("text", Type::Text),
        ("entities", Type::Json),
        ("reply_to_message_id", Type::Int),
        ("reply_to_peer_id", Type::Int),
        ("topic_id", Type::Int),
        ("grouped_id", Type::Int),
        ("forward", Type::Json),
        ("via_bot", Type::Text),
        ("media_kind", Type::Text),
        ("media", Type::Json),
        ("views", Type::Int),
        ("forwards", Type::Int),
        ("reactions", Type::Json),
        ("poll", Type::Json),
        ("buttons", Type::Json),
        ("pinned", Type::Bool),
        ("service", Type::Json),
        ("version", Type::Int),
        ("first_seq", Type::Int),
        ("seq", Type::Int),
    ],
};

/// One row for each version of a message that a reader could have seen; `version` counts from 1.
pub const MESSAGE_VERSIONS: Table = Table {
    name: "message_versions",
    key: 3,
    columns: &[
        ("peer_id", Type::Int),
        ("message_id", Type::Int),
        ("version", Type::Int),
        ("seq", Type::Int),
        ("edited_at", Type::Time),
        ("text", Type::Text),
        ("entities", Type::Json),
        ("media", Type::Json),
        ("changed", Type::Json),
    ],
};

/// One row a channel, with what was told of it last.
pub const CHANNELS: Table = Table {
    name: "channels",
    key: 1,
    columns: &[
        ("peer_id", Type::Int),
        ("kind", Type::Text),
        ("title", Type::Text),
        ("username", Type::Text),
        ("first_seen_at", Type::Time),
        ("updated_at", Type::Time),
        ("seq", Type::Int),
    ],
};

/// What each channel was called, and since when.
pub const CHANNEL_NAMES: Table = Table {
    name: "channel_names",
    key: 2,
    columns: &[
        ("peer_id", Type::Int),
        ("seq", Type::Int),
        ("kind", Type::Text),
        ("title", Type::Text),
        ("username", Type::Text),
        ("migrated_from", Type::Int),
        ("seen_at", Type::Time),
    ],
};

/// Ranges of Telegram's sequence that are missing, with the cause, and how the search for them ended.
pub const GAPS: Table = Table {
    name: "gaps",
    key: 1,
    columns: &[
        ("seq", Type::Int),
        ("peer_id", Type::Int),
        ("cause", Type::Text),
        ("after_pts", Type::Int),
        ("until_pts", Type::Int),
        ("after_message_id", Type::Int),
        ("until_message_id", Type::Int),
        ("noticed_at", Type::Time),
        ("closed_at", Type::Time),
        ("outcome", Type::Text),
        ("found", Type::Int),
    ],
};

/// The counters of messages over time, where a store is told to keep them: one row a message and interval, with the
/// last value of each counter that came in it.
pub const COUNTER_SAMPLES: Table = Table {
    name: "counter_samples",
    key: 3,
    columns: &[
        ("peer_id", Type::Int),
        ("message_id", Type::Int),
        ("interval_at", Type::Time),
        ("sampled_at", Type::Time),
        ("views", Type::Int),
        ("forwards", Type::Int),
        ("reactions", Type::Json),
        ("poll", Type::Json),
        ("seq", Type::Int),
    ],
};

/// The tables that `verify` compares with the fold of the log, row by row.
pub const VERIFIED: [Table; 6] = [
    MESSAGES,
    MESSAGE_VERSIONS,
    CHANNELS,
    CHANNEL_NAMES,
    GAPS,
    COUNTER_SAMPLES,
];

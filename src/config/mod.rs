//! The configuration: what an operator can set, with unit, default and limits of every key.
//!
//! `defaults < file (TOML) < environment (TGW_SECTION__KEY) < flags`. Unknown keys are errors. A section for a server
//! (`[rabbitmq]`, `[timescale]`, `[redis]`) switches that piece on; without any of them the gateway needs no server.

mod secret;

use std::path::PathBuf;
use std::time::Duration;

pub use secret::{BackendUrl, Secret};

/// The whole configuration, checked: every value is inside its limits and every secret is resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the log, the SQLite file and the lock live. Default `telegram-gateway-data`.
    pub data_dir: PathBuf,
    /// The log.
    pub wal: Wal,
    /// How events are fed to the sinks.
    pub relay: Relay,
    /// The broker, when configured.
    pub rabbitmq: Option<Rabbitmq>,
    /// The TimescaleDB projection, when configured.
    pub timescale: Option<Timescale>,
    /// The Redis projection, when configured.
    pub redis: Option<Redis>,
    /// The SQLite projection: on when `[timescale]` is absent, or when its path is written out.
    pub sqlite: Option<Sqlite>,
}

/// `[wal]`: the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Wal {
    /// A segment is sealed when its records reach this many bytes. Default 64 MiB, 1 MiB to 1 GiB.
    pub segment_bytes_max: u64,
    /// A segment is sealed at this age. Default 1 day, 1 minute to 365 days.
    pub segment_age_max: Duration,
    /// Events that may wait for the log before a source is held back. Default 8192, 1 to 1,000,000.
    pub queue_events_max: usize,
    /// Most events in one commit. Default 2048, 1 to 100,000.
    pub commit_events_max: usize,
}

/// `[relay]`: from the log to the broker and the projections.
#[derive(Debug, Clone, PartialEq)]
pub struct Relay {
    /// A frame is sent when it holds this many bytes of records. Default 256 KiB, 1 KiB to 8 MiB.
    pub frame_bytes_max: usize,
    /// … or this many events. Default 500, 1 to 10,000.
    pub frame_events_max: usize,
    /// Frames that may wait for their confirm. Default 256, 1 to 65,535.
    pub window: usize,
    /// Most events a projection applies in one transaction. Default 2000, 1 to 100,000.
    pub batch_events_max: usize,
    /// Wait after a failed delivery, first and longest. Defaults 100 ms and 30 s.
    pub backoff_min: Duration,
    /// See `backoff_min`.
    pub backoff_max: Duration,
    /// How often a tail marker is sent while nothing else is. Default 5 s, 1 s to 10 min.
    pub marker_interval: Duration,
}

/// `[rabbitmq]`: the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Rabbitmq {
    /// `amqp://user:password@host:5672/telegram` or `amqps://…`.
    pub url: BackendUrl,
    /// Publish one JSON message per event to the exchange `telegram.events` for the operator's own programs. Default true.
    pub events: bool,
    /// Frames a projector may hold unacknowledged. Default 64, 1 to 65,535.
    pub prefetch: u16,
}

/// `[timescale]`: the TimescaleDB projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Timescale {
    /// `postgres://user:password@host:5432/database`; may go through PgBouncer in transaction mode.
    pub url: BackendUrl,
    /// Where migrations run; PgBouncer cannot hold their lock. Default: `url`.
    pub direct_url: Option<BackendUrl>,
    /// Width of a chunk of the hypertable. Default 90 days, 1 hour to 3650 days. A chunk costs about 3 ms to make, so a
    /// long history wants wide chunks.
    pub chunk_interval: Duration,
    /// Wait for PostgreSQL's own fsync on each batch. Default false: rows and checkpoint vanish together in a crash of
    /// the server and are applied again from the log.
    pub synchronous_commit: bool,
}

/// `[redis]`: the cache projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Redis {
    /// `redis://user:password@host:6379/0` or `rediss://…`.
    pub url: BackendUrl,
    /// First part of every key. Default `tgw`.
    pub prefix: String,
    /// Messages kept for each channel. Default 1000, 1 to 1,000,000.
    pub window: usize,
    /// How long a key lives after it was last written. Default 7 days, 1 minute to 3650 days.
    pub ttl: Duration,
}

/// `[sqlite]`: the embedded projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Sqlite {
    /// The file. Default `messages.sqlite` in `data_dir`.
    pub path: PathBuf,
}

//! The configuration: what an operator can set.
//!
//! `defaults < file (TOML) < environment (TGW_SECTION__KEY) < flags`. Unknown keys are errors. A section for a server
//! (`[rabbitmq]`, `[timescale]`, `[redis]`), and `[telegram]`, switches that piece on; without any of them the gateway
//! needs no server.
//!
//! | file | what |
//! |---|---|
//! | `table`, `words`, `keys` | the one table: kind, unit, default and limits of every key; and what a key is |
//! | `value`, `list` | text or TOML to a value inside its limits, and back |
//! | `layer` | what was written so far, and what is wrong with it |
//! | `file`, `env` | the two layers an operator writes |
//! | `reference` | secrets that are kept in a file, a variable or a credential |
//! | `telegram` | the section of that name |
//! | `tls` | no password in plaintext across a network |
//! | `load` | layers to [`Config`], with the rules over several keys |
//! | `render` | `config show`, `config defaults` and the table of `docs/config.md` |

mod env;
mod file;
mod keys;
mod layer;
mod list;
mod load;
mod problem;
mod reference;
mod render;
mod secret;
mod sections;
mod table;
mod telegram;
mod tls;
mod value;
mod words;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

pub use load::{Loaded, Sources, load};
pub use problem::{ConfigError, Origin, Problem};
pub use render::{Shown, defaults_toml, reference_markdown};
pub use secret::{AuthKey, BackendUrl, Secret, SessionKey, Token};
pub use telegram::{Chat, DataCentre, Follow, Media, Telegram};
pub use value::size;

/// The whole configuration, checked: every value is inside its limits and every secret is resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the log, the SQLite file and the lock live.
    pub data_dir: PathBuf,
    /// The log.
    pub wal: Wal,
    /// How events are fed to the sinks.
    pub relay: Relay,
    /// The accounts that are mirrored, when configured.
    pub telegram: Option<Telegram>,
    /// The broker, when configured.
    pub rabbitmq: Option<Rabbitmq>,
    /// The TimescaleDB projection, when configured.
    pub timescale: Option<Timescale>,
    /// The Redis projection, when configured.
    pub redis: Option<Redis>,
    /// The SQLite projection: on when `[timescale]` is absent, or when its path is written out.
    pub sqlite: Option<Sqlite>,
    /// The log for projectors on other machines, when configured.
    pub serve: Option<Serve>,
    /// The machine that holds the log, for a projector on another one.
    pub edge: Option<Edge>,
}

/// `[wal]`: the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Wal {
    /// A segment is sealed when its records reach this many bytes.
    pub segment_bytes_max: u64,
    /// A segment is sealed at this age.
    pub segment_age_max: Duration,
    /// Events that may wait for the log before a source is held back.
    pub queue_events_max: usize,
    /// Most events in one commit.
    pub commit_events_max: usize,
    /// Bytes of disk kept for trouble; 0 for none.
    pub ballast: u64,
    /// Sealed segments whose last record is older are removed; none keeps them for ever.
    pub keep_age: Option<Duration>,
    /// The oldest sealed segments are removed while the log takes more bytes of the disk; none for no limit.
    pub keep_bytes: Option<u64>,
    /// Where segments go before they are removed; already joined with `data_dir` when it was written relative.
    pub archive_dir: Option<PathBuf>,
    /// Record bytes a second that backup and archive pack; 0 for no limit.
    pub copy_bytes_per_second_max: u64,
}

/// `[relay]`: from the log to the broker and the projections.
#[derive(Debug, Clone, PartialEq)]
pub struct Relay {
    /// A frame is sent when it holds this many bytes of records.
    pub frame_bytes_max: usize,
    /// A frame is sent when it holds this many events.
    pub frame_events_max: usize,
    /// Frames that may wait for their confirm.
    pub window: usize,
    /// Most events a projection applies in one transaction.
    pub batch_events_max: usize,
    /// Wait after the first failed delivery.
    pub backoff_min: Duration,
    /// Longest wait after a failed delivery; not below `backoff_min`.
    pub backoff_max: Duration,
    /// How often a tail marker is sent while nothing else is.
    pub marker_interval: Duration,
    /// A projector that is further behind reads the log in bulk.
    pub catch_up_events: u64,
    /// How often a slice of each SQL store is compared with the log.
    pub verify_interval: Duration,
}

/// `[rabbitmq]`: the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Rabbitmq {
    /// `amqp://user:password@host:5672/telegram` or `amqps://...`.
    pub url: BackendUrl,
    /// Publish one JSON message per event to the exchange `telegram.events` for the operator's own programs.
    pub events: bool,
    /// Most JSON messages a second to `telegram.events`: an import of years of history must not take the broker and the
    /// machine away from what is live. What is above it waits in the log. Default 10,000, 1 to 1,000,000.
    pub events_per_second_max: u32,
    /// Frames a projector may hold unacknowledged.
    pub prefetch: u16,
}

/// `[timescale]`: the TimescaleDB projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Timescale {
    /// `postgres://user:password@host:5432/database`, with `sslmode=verify-full` added for a host that is not loopback; may go through PgBouncer in transaction mode.
    pub url: BackendUrl,
    /// Where migrations run; PgBouncer cannot hold their lock. Default: `url`.
    pub direct_url: Option<BackendUrl>,
    /// Width of a chunk of the hypertable. A chunk costs about 3 ms to make, so a long history wants wide chunks. None:
    /// chosen from the data at a rebuild.
    pub chunk_interval: Option<Duration>,
    /// How long the generation before a rebuild is kept for a way back.
    pub keep_generation: Duration,
    /// Older messages, by Telegram's date, are dropped from the store. None: all are kept.
    pub keep_age: Option<Duration>,
    /// Old messages are compressed where the server can.
    pub columnstore: bool,
    /// The age, by Telegram's date, at which they are.
    pub columnstore_age: Duration,
    /// How often the daemon looks after what a store needs now and then.
    pub upkeep_interval: Duration,
    /// Where it is fed.
    pub feed: Feed,
    /// Wait for PostgreSQL's own fsync on each batch. Without it, rows and checkpoint vanish together in a crash of
    /// the server and are applied again from the log.
    pub synchronous_commit: bool,
    /// The interval of the sampled history of counters; none for no history.
    pub counter_history: Option<Duration>,
}

/// `[redis]`: the cache projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Redis {
    /// `redis://user:password@host:6379/0` or `rediss://...`.
    pub url: BackendUrl,
    /// Where it is fed.
    pub feed: Feed,
    /// First part of every key.
    pub prefix: String,
    /// Messages kept for each channel.
    pub window: usize,
    /// How long a key lives after it was last written.
    pub ttl: Duration,
    /// How often it is asked for its checkpoint while no event comes.
    pub check_interval: Duration,
    /// The Sentinels that say which server is the master, as host and port; none for the server of `url`.
    pub sentinels: Vec<(String, u16)>,
    /// Who asks them.
    pub sentinel_user: String,
    /// With this password, where they want one.
    pub sentinel_password: Option<Secret>,
    /// The master's name at the Sentinels.
    pub master: String,
}

/// Where a store is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// By the daemon that holds the log.
    Here,
    /// By `project` on another machine.
    Elsewhere,
}

/// `[serve]`: the log for projectors on other machines.
#[derive(Debug, Clone, PartialEq)]
pub struct Serve {
    /// Where to listen; on loopback unless `allow_remote` was written.
    pub listen: SocketAddrV4,
    /// What both machines hold.
    pub token: Token,
}

/// `[edge]`: the machine that holds the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// Where it listens.
    pub address: SocketAddrV4,
    /// What both machines hold.
    pub token: Token,
}

/// `[sqlite]`: the embedded projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Sqlite {
    /// The file; already joined with `data_dir` when it was written relative.
    pub path: PathBuf,
    /// The interval of the sampled history of counters; none for no history.
    pub counter_history: Option<Duration>,
}

impl Default for Config {
    /// What holds when nothing is written.
    fn default() -> Config {
        // The defaults are legal: a test of `load` would fail otherwise.
        match load(&Sources::default()) {
            Ok(loaded) => loaded.config,
            Err(error) => unreachable!("{error}"),
        }
    }
}

//! The one table: every key.

use super::keys::Default::{Needed, Text, Words};
use super::keys::Kind::{
    AuthKeyFile, Chats, Choice, Hosts, Kinds, Name, Names, Password, Path, SecretWord, SessionKey,
    Socket, Switch, TokenFile, Url,
};
use super::keys::{Key, count, key, size, span};
use super::telegram::FILE_KINDS;
use super::words::{
    ABOUT_EDGE, ABOUT_FEED, ABOUT_HISTORY, ABOUT_LISTEN, ABOUT_REMOTE, ABOUT_TLS, ABOUT_TOKEN, DAY,
    FEED, GIB, HOUR, KIB, MIB, MINUTE, SECOND, TLS,
};

/// Every key, by section.
pub(super) const KEYS: &[Key] = &[
    key(
        "",
        "data_dir",
        Path,
        Text("telegram-gateway-data"),
        "Folder of the log, the SQLite file and the lock. A relative path starts at the working directory.",
    ),
    key(
        "wal",
        "segment_bytes_max",
        size(MIB, GIB),
        Text("64MiB"),
        "A segment is sealed when its records reach this size. After an unclean stop the open segment is read whole, so \
         a large one makes a slow start.",
    ),
    key(
        "wal",
        "segment_age_max",
        span(MINUTE, 365 * DAY),
        Text("1d"),
        "A segment is sealed at this age.",
    ),
    key(
        "wal",
        "queue_events_max",
        count(1, 1_000_000, "events"),
        Text("8192"),
        "Events that may wait for the log before a source is held back.",
    ),
    key(
        "wal",
        "commit_events_max",
        count(1, 100_000, "events"),
        Text("2048"),
        "Most events in one commit.",
    ),
    key(
        "wal",
        "ballast",
        size(0, 16 * GIB),
        Text("16MiB"),
        "Room on the disk that is kept for trouble, in the file `ballast` of `data_dir`. When the disk is full it is given \
         back so that the log can be read on, trimmed and closed in order; events are taken again once it could be \
         filled anew. 0: none.",
    ),
    key(
        "wal",
        "keep_age",
        span(HOUR, 36_500 * DAY),
        Words("for ever"),
        "Sealed segments whose last record is older than this are removed, but never what the relay or a store still needs.",
    ),
    key(
        "wal",
        "keep_bytes",
        size(MIB, 1 << 50),
        Words("no limit"),
        "The oldest sealed segments are removed while the log takes more of the disk than this, but never what the \
         relay or a store still needs.",
    ),
    key(
        "wal",
        "archive_dir",
        Path,
        Words("none: what is removed is gone"),
        "Folder into which segments are written, compressed, before they are removed from the log. They are read on from \
         there. A relative path starts at `data_dir`.",
    ),
    key(
        "wal",
        "copy_bytes_per_second_max",
        size(0, 16 * GIB),
        Text("16MiB"),
        "Record bytes a second that `backup` and the archive pack, and read back, beside the appends: they share processor \
         and disk. 0: as fast as it goes.",
    ),
    key(
        "relay",
        "frame_bytes_max",
        size(KIB, 8 * MIB),
        Text("256KiB"),
        "A frame is sent when it holds this much of records.",
    ),
    key(
        "relay",
        "frame_events_max",
        count(1, 10_000, "events"),
        Text("500"),
        "A frame is sent when it holds this many events.",
    ),
    key(
        "relay",
        "window",
        count(1, 65_535, "frames"),
        Text("256"),
        "Frames that may wait for the broker's confirm.",
    ),
    key(
        "relay",
        "batch_events_max",
        count(1, 100_000, "events"),
        Text("5000"),
        "Most events a projection applies in one transaction, or 4 MiB of them.",
    ),
    key(
        "relay",
        "backoff_min",
        span(1, MINUTE),
        Text("100ms"),
        "Wait after the first failed delivery; each further failure waits longer.",
    ),
    key(
        "relay",
        "backoff_max",
        span(100, HOUR),
        Text("30s"),
        "Longest wait after a failed delivery; not below `backoff_min`.",
    ),
    key(
        "relay",
        "marker_interval",
        span(SECOND, 10 * MINUTE),
        Text("5s"),
        "How often a tail marker is sent while nothing else is. A projector notices a lost last frame this late, and \
         takes three of them without a sign for a queue that is not fed any more.",
    ),
    key(
        "relay",
        "catch_up_events",
        count(1_000, 1_000_000_000, "events"),
        Text("100000"),
        "A projector that is further behind reads the log in bulk, and drops the broker's copies.",
    ),
    key(
        "relay",
        "verify_interval",
        span(SECOND, 365 * DAY),
        Text("1d"),
        "How often a slice of each store is compared with the log, another one each time; `status` shows it.",
    ),
    key(
        "telegram",
        "api_id",
        count(1, 2_147_483_647, ""),
        Needed,
        "The number of the application, from https://my.telegram.org.",
    ),
    key(
        "telegram",
        "api_hash",
        SecretWord { chars_max: 64 },
        Needed,
        "The secret of the application. In this file only as the place where it is kept: `{ file = \"PATH\" }`, \
         `{ credential = \"NAME\" }` or `{ env = \"NAME\" }`.",
    ),
    key(
        "telegram",
        "session_key",
        SessionKey,
        Needed,
        "What seals the session files. 32 raw bytes, or a passphrase, which Argon2id makes a key of. In this file only \
         as the place where it is kept, as `api_hash`. A lost key costs a new login, and nothing else.",
    ),
    key(
        "telegram",
        "accounts",
        Names {
            names_max: 16,
            chars_max: 32,
        },
        Text("main"),
        "Names of the accounts that are mirrored, each with a session of its own. The first one also mirrors what only \
         an account has: basic groups and private chats.",
    ),
    key(
        "telegram",
        "follow",
        Chats {
            chats_max: 10_000,
            all: true,
        },
        Words("nothing is mirrored"),
        "The chats that are mirrored: `\"all\"` for every channel and group that the account is in, or a list of \
         usernames and ids as `[\"@name\", \"-1001234567890\"]`. What is not named here is not kept. In the variable with \
         commas: `@name,-1001234567890`.",
    ),
    key(
        "telegram",
        "hot",
        Chats {
            chats_max: 10,
            all: false,
        },
        Words("none"),
        "Channels of `follow` that are asked again and again, for the least delay; written as there.",
    ),
    key(
        "telegram",
        "private_chats",
        Switch,
        Text("false"),
        "Mirror private chats too, all of them. `follow` does not name them.",
    ),
    key(
        "telegram",
        "backfill_depth",
        count(0, 1_000_000, "messages"),
        Text("100"),
        "Messages of its past that are taken when a channel is seen for the first time. 100 is what one request brings: \
         edits, deletions and replies that come next then find their message.",
    ),
    key(
        "telegram",
        "requests_per_minute",
        count(1, 600, "requests"),
        Text("20"),
        "Most requests a minute and account for what is past: backfill, gaps, the reconciler. Live updates need none.",
    ),
    key(
        "telegram",
        "reconcile_interval",
        span(MINUTE, DAY),
        Text("10m"),
        "How often the newest messages of the channels are compared with the log.",
    ),
    key(
        "telegram.dc",
        "id",
        count(1, 99_999, ""),
        Needed,
        "The number of the data centre.",
    ),
    key(
        "telegram.dc",
        "address",
        Socket,
        Needed,
        "Its IPv4 address and port, as `127.0.0.1:4430`. A name is not looked up.",
    ),
    key(
        "telegram.dc",
        "auth_key_file",
        AuthKeyFile,
        Needed,
        "File of the 256 raw bytes of the authorization key. Mode 600 or 400; relative to the folder of this file.",
    ),
    key(
        "telegram.media",
        "download",
        Kinds(FILE_KINDS),
        Text("off"),
        "Kinds of files that are downloaded, as `[\"photo\", \"document\"]`, or `\"off\"`. What a file is, its name and \
         size are kept in any case.",
    ),
    key(
        "telegram.media",
        "bytes_max",
        size(KIB, 4 * GIB),
        Text("20MiB"),
        "Larger files are not downloaded.",
    ),
    key(
        "telegram.media",
        "store_bytes_max",
        size(MIB, 1 << 50),
        Text("10GiB"),
        "Nothing is downloaded that would make all files together larger than this.",
    ),
    key(
        "telegram.media",
        "folder",
        Path,
        Text("media"),
        "Folder of the files. A relative path starts at `data_dir`.",
    ),
    key(
        "telegram.media",
        "requests_per_minute",
        count(1, 6000, "requests"),
        Text("240"),
        "Most requests a minute and account; one brings 128 KiB.",
    ),
    key(
        "rabbitmq",
        "url",
        Url(&["amqp", "amqps"]),
        Needed,
        "`amqps://user:password@host:5671/telegram`. The path is the virtual host.",
    ),
    key("rabbitmq", "tls", Choice(TLS), Text("required"), ABOUT_TLS),
    key(
        "rabbitmq",
        "events",
        Switch,
        Text("true"),
        "Publish one JSON message per event to the exchange `telegram.events`, for the operator's own programs.",
    ),
    key(
        "rabbitmq",
        "events_per_second_max",
        count(1, 1_000_000, "messages a second"),
        Text("10000"),
        "Most JSON messages a second to telegram.events; what is above it waits in the log.",
    ),
    key(
        "rabbitmq",
        "prefetch",
        count(1, 65_535, "frames"),
        Text("64"),
        "Frames a projector may hold unacknowledged.",
    ),
    key(
        "timescale",
        "url",
        Url(&["postgres", "postgresql"]),
        Needed,
        "`postgres://user:password@host:5432/database`. May go through PgBouncer in transaction mode. Without `sslmode`, \
         a host that is not loopback gets `sslmode=verify-full`.",
    ),
    key(
        "timescale",
        "direct_url",
        Url(&["postgres", "postgresql"]),
        Words("the value of `url`"),
        "Where migrations run; PgBouncer cannot hold their lock.",
    ),
    key("timescale", "tls", Choice(TLS), Text("required"), ABOUT_TLS),
    key("timescale", "feed", FEED, Text("here"), ABOUT_FEED),
    key(
        "timescale",
        "chunk_interval",
        span(HOUR, 3650 * DAY),
        Words("chosen from the dates in the log at a rebuild; 90d before the first one"),
        "Width of a chunk of the hypertable. A chunk costs about 3 ms to make, so a long history wants wide chunks. \
         Another width takes a rebuild.",
    ),
    key(
        "timescale",
        "keep_generation",
        span(HOUR, 365 * DAY),
        Text("1d"),
        "How long the generation before a rebuild is kept for `generation rollback`. The log keeps what it still needs.",
    ),
    key(
        "timescale",
        "keep_age",
        span(DAY, 36_500 * DAY),
        Words("for ever"),
        "Messages older than this by Telegram's date are dropped from the store, a chunk at a time and not before a program \
         that reads them has seen them; what is older never gets in. The log keeps them, and so do the counts by hour.",
    ),
    key(
        "timescale",
        "columnstore",
        Switch,
        Text("true"),
        "Compress old messages where the server has the Community edition of TimescaleDB. The Apache edition cannot.",
    ),
    key(
        "timescale",
        "columnstore_age",
        span(DAY, 36_500 * DAY),
        Text("14d"),
        "Age by Telegram's date at which messages are compressed, a chunk at a time.",
    ),
    key(
        "timescale",
        "upkeep_interval",
        span(SECOND, DAY),
        Text("10m"),
        "How often the daemon counts the hours that have changed, drops generations whose time is over, and drops or \
         compresses what is old.",
    ),
    key(
        "timescale",
        "synchronous_commit",
        Switch,
        Text("false"),
        "Wait for PostgreSQL's own fsync on each batch. Without it, rows and checkpoint vanish together in a crash of \
         the server and are applied again from the log.",
    ),
    key(
        "timescale",
        "counter_history",
        span(MINUTE, 365 * DAY),
        Words("no history, the newest counters alone"),
        ABOUT_HISTORY,
    ),
    key(
        "redis",
        "url",
        Url(&["redis", "rediss", "redis+unix", "unix"]),
        Needed,
        "`rediss://user:password@host:6379/0`, or `redis+unix:///path/to/socket`.",
    ),
    key("redis", "tls", Choice(TLS), Text("required"), ABOUT_TLS),
    key("redis", "feed", FEED, Text("here"), ABOUT_FEED),
    key(
        "redis",
        "prefix",
        Name { chars_max: 32 },
        Text("tgw"),
        "First part of every key in Redis.",
    ),
    key(
        "redis",
        "window",
        count(1, 1_000_000, "messages"),
        Text("1000"),
        "Messages kept for each channel.",
    ),
    key(
        "redis",
        "ttl",
        span(MINUTE, 3650 * DAY),
        Text("7d"),
        "How long a key lives after it was last written.",
    ),
    key(
        "redis",
        "check_interval",
        span(100, HOUR),
        Text("2s"),
        "How often Redis is asked for its checkpoint while no event comes: what a wipe or a failover has taken is filled \
         again from the log.",
    ),
    key(
        "redis",
        "sentinels",
        Hosts { hosts_max: 16 },
        Words("no Sentinel: the server of `url` is the master"),
        "Sentinels that say which server is the master: host and port of `url` are not used then, the rest of it is. \
         They are asked over TLS if `url` is `rediss://`.",
    ),
    key(
        "redis",
        "sentinel_user",
        Name { chars_max: 64 },
        Text("default"),
        "The user at the Sentinels. It may do `SENTINEL MASTER`, and `SUBSCRIBE` to `+switch-master`.",
    ),
    key(
        "redis",
        "sentinel_password",
        Password { bytes_max: 512 },
        Words("no password: the Sentinels ask for none"),
        "The user's password at the Sentinels. In this file only as the place where it is kept: `{ file = \"PATH\" }`, \
         `{ credential = \"NAME\" }` or `{ env = \"NAME\" }`.",
    ),
    key(
        "redis",
        "master",
        Name { chars_max: 64 },
        Text("mymaster"),
        "The master's name at the Sentinels.",
    ),
    key(
        "sqlite",
        "path",
        Path,
        Words("`messages.sqlite` in `data_dir`"),
        "The file. A relative path starts at `data_dir`.",
    ),
    key(
        "sqlite",
        "counter_history",
        span(MINUTE, 365 * DAY),
        Words("no history, the newest counters alone"),
        ABOUT_HISTORY,
    ),
    key("serve", "listen", Socket, Needed, ABOUT_LISTEN),
    key("serve", "token_file", TokenFile, Needed, ABOUT_TOKEN),
    key("serve", "allow_remote", Switch, Text("false"), ABOUT_REMOTE),
    key("edge", "address", Socket, Needed, ABOUT_EDGE),
    key("edge", "token_file", TokenFile, Needed, ABOUT_TOKEN),
];

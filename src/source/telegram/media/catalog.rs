//! The list of files: which there are, what became of each, and how far the log was read.
//!
//! It is an SQLite file, because the commands read it beside a running daemon, and an operator may join it with the
//! messages. All changes that belong together are one durable transaction: what was read of the log is listed, or is
//! read again.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use tokio::sync::{Mutex, MutexGuard};
use wal::LogId;

use super::content::Kept;
use super::error::MediaError;
use super::find::{At, Class, FileId, Found, Location};
use crate::event::{PeerId, Timestamp};

const SCHEMA: &str = include_str!("schema.sql");
const VERSION: i64 = 1;
/// How long to wait for a reader that is in the way.
const BUSY: Duration = Duration::from_secs(30);
/// Messages that are asked, the newest first, where a file is.
const PLACES_MAX: i64 = 3;
/// For so long a file that failed is left to another account.
const PREFERENCE_US: i64 = 60_000_000;

const INSERT: &str = "
    insert into files (class, file_id, kind, state, size, mime_type, file_name, seq, dc, access_hash, reference, thumb)
    values (?1, ?2, ?3, 'waiting', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    on conflict (class, file_id) do update set
        seq = excluded.seq,
        size = coalesce(excluded.size, size),
        dc = coalesce(excluded.dc, dc),
        access_hash = coalesce(excluded.access_hash, access_hash),
        reference = coalesce(excluded.reference, reference),
        thumb = coalesce(excluded.thumb, thumb),
        state = iif(state = 'failed', 'waiting', state),
        attempts = iif(state = 'failed', 0, attempts),
        due_us = 0
    where excluded.seq > seq";

const INSERT_PLACE: &str = "
    insert into places (class, file_id, peer, message_id, seq) values (?1, ?2, ?3, ?4, ?5)
    on conflict do nothing";

/// What the configuration makes of files that are not there. `?1` is a list with commas around each kind.
const JUDGE: &str = "
    update files set state = judged.state
    from (select class, file_id,
                 iif(instr(?1, ',' || kind || ',') = 0, 'unwanted', iif(size > ?2, 'too_large', 'waiting')) as state
          from files
          where seq > ?3 and state in ('waiting', 'unwanted', 'too_large', 'no_room')) judged
    where files.class = judged.class and files.file_id = judged.file_id and files.state <> judged.state";

/// The newest first: its reference is fresh.
const NEXT: &str = "
    select class, file_id, size, attempts, dc, access_hash, reference, thumb from files
    where state = 'waiting' and due_us <= ?1
      and (attempts % ?2 = ?3 or due_us <= ?1 - ?4)
    order by seq desc limit ?5";

const PLACES: &str = "
    select peer, message_id from places where class = ?1 and file_id = ?2 order by seq desc limit ?3";

const STORED_BYTES: &str = "
    select coalesce(sum(bytes), 0) from
        (select max(bytes) as bytes from files where state = 'stored' group by sha256)";

/// What files are downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Their kinds, in the words of the event model.
    pub kinds: Vec<String>,
    /// Bytes of one.
    pub bytes_max: u64,
    /// Bytes of all together.
    pub store_bytes_max: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Catalog {
    path: PathBuf,
    connection: Mutex<SqliteConnection>,
}

/// A file that is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) file: FileId,
    pub(super) size: Option<i64>,
    pub(super) attempts: i64,
    pub(super) location: Option<Location>,
    pub(super) places: Vec<At>,
}

/// What a try made of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is there.
    Stored(Kept),
    /// It is larger than one may be.
    TooLarge,
    /// It would make all together too large.
    NoRoom,
    /// It is tried again after so long; whether this was one of its tries, and why it failed.
    Later(Duration, bool, String),
    /// It is not tried again.
    Failed(String),
}

/// Who tries, and how often files are tried: one account of so many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) account: usize,
    pub(super) accounts: usize,
}

impl Catalog {
    /// Opens the list of this log, which reaches to `tail`, and makes it when there is none. One that has read another
    /// log, or further, keeps its files and reads this one from the start.
    pub(super) async fn open(
        path: &Path,
        log: LogId,
        tail: u64,
        limits: &Limits,
    ) -> Result<Catalog, MediaError> {
        make_private(path).map_err(|source| MediaError::io("make", path, source))?;
        let options = options(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let catalog = Catalog::connect(path, options).await?;
        catalog.prepare(log, tail).await?;
        catalog.judge(limits, 0).await?;
        Ok(catalog)
    }

    /// Opens a list for reading; none when there is none yet.
    pub async fn read(path: &Path) -> Result<Option<Catalog>, MediaError> {
        if !path.exists() {
            return Ok(None);
        }
        let catalog = Catalog::connect(path, options(path).read_only(true)).await?;
        match catalog.version().await? {
            0 => Ok(None),
            VERSION => Ok(Some(catalog)),
            _ => Err(MediaError::Newer(path.to_owned())),
        }
    }

    async fn connect(path: &Path, options: SqliteConnectOptions) -> Result<Catalog, MediaError> {
        let connection = options.connect().await;
        let connection = connection.map_err(|source| MediaError::catalog(path, source))?;
        Ok(Catalog {
            path: path.to_owned(),
            connection: Mutex::new(connection),
        })
    }

    pub(super) fn fail(&self, source: sqlx::Error) -> MediaError {
        MediaError::catalog(&self.path, source)
    }

    pub(super) async fn lock(&self) -> MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }

    async fn version(&self) -> Result<i64, MediaError> {
        let mut connection = self.lock().await;
        let version = sqlx::query_scalar("pragma user_version");
        let version = version.fetch_one(&mut *connection).await;
        version.map_err(|error| self.fail(error))
    }

    async fn prepare(&self, log: LogId, tail: u64) -> Result<(), MediaError> {
        match self.version().await? {
            0 => self.make().await?,
            VERSION => {}
            _ => return Err(MediaError::Newer(self.path.clone())),
        }
        let fits = self.meta("log").await?.as_deref() == Some(&log.to_string())
            && self.covered().await? <= tail;
        if fits {
            return Ok(());
        }
        let set = async {
            let mut connection = self.lock().await;
            let mut change = connection.begin().await?;
            set_meta(&mut change, "log", &log.to_string()).await?;
            set_meta(&mut change, "covered", "0").await?;
            change.commit().await
        };
        set.await.map_err(|error| self.fail(error))
    }

    async fn make(&self) -> Result<(), MediaError> {
        let made = async {
            let mut connection = self.lock().await;
            let mut change = connection.begin().await?;
            sqlx::raw_sql(SCHEMA).execute(&mut *change).await?;
            // As VERSION: a pragma takes no parameter.
            sqlx::raw_sql("pragma user_version = 1")
                .execute(&mut *change)
                .await?;
            change.commit().await
        };
        made.await.map_err(|error| self.fail(error))
    }

    async fn meta(&self, name: &str) -> Result<Option<String>, MediaError> {
        let mut connection = self.lock().await;
        let value = sqlx::query_scalar("select value from meta where name = ?1").bind(name);
        let value = value.fetch_optional(&mut *connection).await;
        value.map_err(|error| self.fail(error))
    }

    /// The last number of the log that was read for files; 0 for none.
    pub async fn covered(&self) -> Result<u64, MediaError> {
        let covered = self.meta("covered").await?;
        Ok(covered.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Lists files, and notes that the log was read this far.
    pub(super) async fn absorb(
        &self,
        found: &[Found],
        covered: u64,
        limits: &Limits,
    ) -> Result<(), MediaError> {
        let absorbed = async {
            let mut connection = self.lock().await;
            let mut change = connection.begin().await?;
            for found in found {
                insert(&mut change, found).await?;
            }
            if let Some(first) = found.first() {
                let below = i64::try_from(first.seq).unwrap_or(i64::MAX) - 1;
                judge(&mut change, limits, below).await?;
            }
            set_meta(&mut change, "covered", &covered.to_string()).await?;
            change.commit().await
        };
        absorbed.await.map_err(|error| self.fail(error))
    }

    async fn judge(&self, limits: &Limits, above: i64) -> Result<(), MediaError> {
        let mut connection = self.lock().await;
        let judged = judge(&mut connection, limits, above).await;
        judged.map_err(|error| self.fail(error))
    }

    /// The files that may be tried now, the newest first.
    pub(super) async fn next(&self, turn: Turn, count: usize) -> Result<Vec<Job>, MediaError> {
        let next = async {
            let mut connection = self.lock().await;
            let rows = sqlx::query(NEXT)
                .bind(Timestamp::now().micros())
                .bind(count_of(turn.accounts))
                .bind(count_of(turn.account))
                .bind(PREFERENCE_US)
                .bind(count_of(count))
                .fetch_all(&mut *connection)
                .await?;
            let mut jobs = Vec::new();
            for row in rows {
                let Some(mut job) = job(&row)? else {
                    continue;
                };
                let places: Vec<(i64, i64)> = sqlx::query_as(PLACES)
                    .bind(job.file.class.as_str())
                    .bind(job.file.id)
                    .bind(PLACES_MAX)
                    .fetch_all(&mut *connection)
                    .await?;
                let places = places.into_iter();
                job.places = places
                    .filter_map(|(peer, id)| Some((PeerId::from_marked(peer).ok()?, id)))
                    .collect();
                jobs.push(job);
            }
            Ok(jobs)
        };
        next.await.map_err(|error| self.fail(error))
    }

    /// Notes what became of a file.
    pub(super) async fn settle(&self, file: FileId, outcome: &Outcome) -> Result<(), MediaError> {
        let now = Timestamp::now().micros();
        let (state, reason, wait, tries, kept) = match outcome {
            Outcome::Stored(kept) => ("stored", None, Duration::ZERO, 1, Some(kept)),
            Outcome::TooLarge => ("too_large", None, Duration::ZERO, 0, None),
            Outcome::NoRoom => ("no_room", None, Duration::ZERO, 0, None),
            Outcome::Later(wait, counts, why) => {
                ("waiting", Some(why), *wait, i64::from(*counts), None)
            }
            Outcome::Failed(why) => ("failed", Some(why), Duration::ZERO, 1, None),
        };
        let mut connection = self.lock().await;
        let settled = sqlx::query(
            "update files set state = ?3, reason = ?4, due_us = ?5, attempts = attempts + ?6, sha256 = ?7, bytes = ?8
             where class = ?1 and file_id = ?2",
        )
        .bind(file.class.as_str())
        .bind(file.id)
        .bind(state)
        .bind(reason)
        .bind(now.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)))
        .bind(tries)
        .bind(kept.map(|kept| &kept.sha256))
        .bind(kept.map(|kept| i64::try_from(kept.bytes).unwrap_or(i64::MAX)))
        .execute(&mut *connection)
        .await;
        settled.map(drop).map_err(|error| self.fail(error))
    }

    /// What all stored files take.
    pub async fn stored_bytes(&self) -> Result<u64, MediaError> {
        let mut connection = self.lock().await;
        let sum: Result<i64, _> = sqlx::query_scalar(STORED_BYTES)
            .fetch_one(&mut *connection)
            .await;
        let sum = sum.map_err(|error| self.fail(error))?;
        Ok(u64::try_from(sum).unwrap_or(0))
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .disable_statement_logging()
}

/// SQLite gives its side files the mode of the main one.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    match options.append(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

async fn set_meta(
    change: &mut SqliteConnection,
    name: &str,
    value: &str,
) -> Result<(), sqlx::Error> {
    let set = sqlx::query("insert or replace into meta (name, value) values (?1, ?2)");
    set.bind(name).bind(value).execute(change).await.map(drop)
}

async fn insert(change: &mut SqliteConnection, found: &Found) -> Result<(), sqlx::Error> {
    let (class, id) = (found.file.class.as_str(), found.file.id);
    let seq = i64::try_from(found.seq).unwrap_or(i64::MAX);
    let location = found.location.as_ref();
    sqlx::query(INSERT)
        .bind(class)
        .bind(id)
        .bind(found.kind.as_str())
        .bind(found.size)
        .bind(found.mime_type.as_deref())
        .bind(found.name.as_deref())
        .bind(seq)
        .bind(location.map(|it| it.dc))
        .bind(location.map(|it| it.access_hash))
        .bind(location.map(|it| it.reference.as_slice()))
        .bind(location.map(|it| it.thumb.as_str()))
        .execute(&mut *change)
        .await?;
    let (peer, message_id) = found.at;
    sqlx::query(INSERT_PLACE)
        .bind(class)
        .bind(id)
        .bind(peer.marked())
        .bind(message_id)
        .bind(seq)
        .execute(change)
        .await
        .map(drop)
}

async fn judge(
    connection: &mut SqliteConnection,
    limits: &Limits,
    above: i64,
) -> Result<(), sqlx::Error> {
    let kinds = format!(",{},", limits.kinds.join(","));
    sqlx::query(JUDGE)
        .bind(kinds)
        .bind(i64::try_from(limits.bytes_max).unwrap_or(i64::MAX))
        .bind(above)
        .execute(connection)
        .await
        .map(drop)
}

fn job(row: &SqliteRow) -> Result<Option<Job>, sqlx::Error> {
    let Some(class) = Class::parse(row.try_get("class")?) else {
        return Ok(None);
    };
    let dc: Option<i32> = row.try_get("dc")?;
    let location = match dc {
        None => None,
        Some(dc) => Some(Location {
            dc,
            access_hash: row.try_get("access_hash")?,
            reference: row.try_get("reference")?,
            thumb: row.try_get("thumb")?,
            size: row.try_get("size")?,
        }),
    };
    let id = row.try_get("file_id")?;
    Ok(Some(Job {
        file: FileId { class, id },
        size: row.try_get("size")?,
        attempts: row.try_get("attempts")?,
        location,
        places: Vec::new(),
    }))
}

fn count_of(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

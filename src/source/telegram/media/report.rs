//! The list of files for the commands: read beside a running daemon.

use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::catalog::Catalog;
use super::error::MediaError;

const STATES: &str = "
    select state, count(*) as files, coalesce(sum(coalesce(bytes, size)), 0) as bytes
    from files group by state order by state";

/// Files with the newest message that carries each.
const FILES: &str = "
    select f.class, f.file_id, f.kind, f.state, f.reason, f.size, f.mime_type, f.file_name, f.sha256, f.attempts,
           p.peer, p.message_id
    from files f
    join places p on p.class = f.class and p.file_id = f.file_id
    where (?1 is null or f.state = ?1) and (?2 is null or p.peer = ?2)
      and p.seq = (select max(q.seq) from places q
                   where q.class = f.class and q.file_id = f.file_id and (?2 is null or q.peer = ?2))
    order by f.seq desc limit ?3";

/// Of which files there are how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateRow {
    /// `waiting`, `stored`, `too_large`, `no_room`, `unwanted` or `failed`.
    pub state: String,
    /// How many.
    pub files: i64,
    /// Their bytes, as far as they were told.
    pub bytes: i64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRow {
    /// `photo` or `document`.
    pub class: String,
    /// Telegram's number of it: `media.id` of its messages.
    pub file_id: i64,
    /// What it is: `media.kind` of its messages.
    pub kind: String,
    /// As above.
    pub state: String,
    /// Why the last try failed.
    pub reason: Option<String>,
    /// Bytes, as told.
    pub size: Option<i64>,
    /// MIME type.
    pub mime_type: Option<String>,
    /// Its name, as it was sent.
    pub file_name: Option<String>,
    /// Of its bytes, when it is stored.
    pub sha256: Option<String>,
    /// Tries.
    pub attempts: i64,
    /// The newest message that carries it: its peer.
    pub peer: i64,
    /// And its number there.
    pub message_id: i64,
}

/// Which files.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<String>,
    /// Of messages of this peer.
    pub peer: Option<i64>,
    /// So many at most, the newest first.
    pub limit: u32,
}

impl Catalog {
    /// How many files there are in which state.
    pub async fn states(&self) -> Result<Vec<StateRow>, MediaError> {
        let mut connection = self.lock().await;
        let rows = sqlx::query(STATES).fetch_all(&mut *connection).await;
        let rows = rows.map_err(|error| self.fail(error))?;
        let read = rows.iter().map(|row| {
            Ok(StateRow {
                state: row.try_get("state")?,
                files: row.try_get("files")?,
                bytes: row.try_get("bytes")?,
            })
        });
        read.collect::<Result<_, _>>()
            .map_err(|error| self.fail(error))
    }

    /// The files.
    pub async fn files(&self, filter: &Filter) -> Result<Vec<FileRow>, MediaError> {
        let mut connection = self.lock().await;
        let rows = sqlx::query(FILES)
            .bind(filter.state.as_deref())
            .bind(filter.peer)
            .bind(i64::from(filter.limit))
            .fetch_all(&mut *connection)
            .await;
        let rows = rows.map_err(|error| self.fail(error))?;
        let read = rows.iter().map(file);
        read.collect::<Result<_, _>>()
            .map_err(|error| self.fail(error))
    }

    /// The digests of the stored files, in order, behind this one.
    pub async fn digests(&self, behind: &str, count: u32) -> Result<Vec<String>, MediaError> {
        let mut connection = self.lock().await;
        let digests = sqlx::query_scalar(
            "select distinct sha256 from files where state = 'stored' and sha256 > ?1 order by sha256 limit ?2",
        )
        .bind(behind)
        .bind(i64::from(count))
        .fetch_all(&mut *connection)
        .await;
        digests.map_err(|error| self.fail(error))
    }
}

fn file(row: &SqliteRow) -> Result<FileRow, sqlx::Error> {
    Ok(FileRow {
        class: row.try_get("class")?,
        file_id: row.try_get("file_id")?,
        kind: row.try_get("kind")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        size: row.try_get("size")?,
        mime_type: row.try_get("mime_type")?,
        file_name: row.try_get("file_name")?,
        sha256: row.try_get("sha256")?,
        attempts: row.try_get("attempts")?,
        peer: row.try_get("peer")?,
        message_id: row.try_get("message_id")?,
    })
}

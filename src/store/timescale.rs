//! The TimescaleDB projection.
//!
//! Rows are in one schema for each generation (`telegram_g1`), readers use the views in `telegram`; the DDL is in
//! `migrations/timescale/`. Statements are fully qualified and depend on no session state, so `url` may go through
//! PgBouncer in transaction mode; migrations need `direct_url` then.
//!
//! | file | what |
//! |---|---|
//! | `setup` `nodelay` | connecting, migrations, the generation to feed; packets that leave at once |
//! | `statements` | the SQL of one generation |
//! | `write` `fresh` | a batch in one transaction; what of it is copied in |
//! | `bind` | rows as arguments |
//! | `value` | instants between Rust and the wire, columns to public values |
//! | `quarantine` | looking at the quarantine, and trying again what is in it |
//! | `snapshot` | reading back for `verify` |
//! | `mend` | making things anew for `verify --repair` |
//! | `seat` | which of several projectors feeds it |
//! | `generations` | making, showing and dropping generations |
//! | `load` `copy` `seen` | filling a new one by `COPY` |
//! | `aging` | compressing and dropping what is old |
//! | `width` | how wide its chunks should be |

mod aging;
mod bind;
mod copy;
mod fresh;
mod generations;
mod load;
mod mend;
mod nodelay;
mod quarantine;
mod seat;
mod seen;
mod setup;
mod snapshot;
mod statements;
mod value;
pub mod width;
mod write;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _, Row as _};

use self::fresh::Fresh;
use self::statements::Statements;
use self::write::Writing;
use super::rows::Rows;
use super::samples::Sampling;
use super::sql::{StoredCheckpoint, backend, ours, refusal};
use super::{Batch, Checkpoint, Inspect, Projection, ProjectionError, ProjectionName};
use crate::config;
use crate::event::Timestamp;
use crate::failure::Class;

pub use self::aging::Dropped;
pub use self::generations::{Generation, Generations, Stage, Switch, Switched};
pub use self::load::Loader;
pub use self::seat::TimescaleSeat;
pub use self::snapshot::{ServerDigest, TimescaleSnapshot};

const NAME: ProjectionName = ProjectionName::Timescale;

/// How long a connection may take; a server that needs longer is as good as down, and the caller tries again.
const CONNECT_SECONDS: u64 = 10;
/// How long one batch may take before it is given up and tried again: far above any batch on a healthy server, below
/// what a person would wait before looking. Stays above the server's own limit on a statement (see `statements`).
const APPLY_SECONDS: u64 = 120;

/// The TimescaleDB projection. Connects when it is first used, and again after an error.
#[derive(Debug)]
pub struct Timescale {
    config: config::Timescale,
    /// The generation it was made for; none for the one that is shown.
    wanted: Option<i32>,
    ready: Option<Arc<Statements>>,
    connection: Option<PgConnection>,
    fresh: Fresh,
}

impl Timescale {
    /// The live projection: feeds the generation that the public views show, and makes the first one when there is none.
    pub fn new(config: config::Timescale) -> Timescale {
        Timescale {
            config,
            wanted: None,
            ready: None,
            connection: None,
            fresh: Fresh::default(),
        }
    }

    /// One generation, which has to exist, whether it is shown or not.
    pub fn generation(config: config::Timescale, generation: i32) -> Timescale {
        Timescale {
            wanted: Some(generation),
            ..Timescale::new(config)
        }
    }

    /// The statements of the generation, when schema and generation are known to be there.
    async fn prepared(&mut self) -> Result<Arc<Statements>, ProjectionError> {
        if let Some(ready) = &self.ready {
            return Ok(Arc::clone(ready));
        }
        let prepared = setup::prepare(&self.config, self.wanted).await?;
        let statements = Arc::new(Statements::new(
            prepared.generation,
            self.wanted.is_none(),
            prepared.has_lz4,
            &self.config,
        ));
        self.ready = Some(Arc::clone(&statements));
        Ok(statements)
    }

    /// The connection, taken out: whoever uses it puts it back when it is still good, so that an error, a time-out or
    /// a dropped future never leaves one in an unknown state behind.
    async fn connected(&mut self, doing: &'static str) -> Result<PgConnection, ProjectionError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => setup::connect(&self.config.url, doing).await,
        }
    }

    /// By the statement that reads it of a generation.
    async fn read_sampling(
        sql: &str,
        connection: &mut PgConnection,
    ) -> Result<Option<Sampling>, sqlx::Error> {
        let row: Option<(i64, i64)> = sqlx::query_as(ours(sql)).fetch_optional(connection).await?;
        Ok(row.map(|(interval_us, after)| Sampling { interval_us, after }))
    }

    async fn read_checkpoint(
        statements: &Statements,
        connection: &mut PgConnection,
    ) -> Result<Stored, sqlx::Error> {
        let row = sqlx::query(ours(&statements.read_checkpoint))
            .fetch_optional(connection)
            .await?;
        let Some(row) = row else {
            // The generation was dropped.
            return Ok(Stored {
                shown: false,
                since: None,
                checkpoint: None,
            });
        };
        let checkpoint = match row.try_get(1)? {
            None => None,
            Some(log_id) => Some(StoredCheckpoint {
                log_id,
                epoch: row.try_get(2)?,
                seq: row.try_get(3)?,
                updated_at: row.try_get::<value::Time, _>(4)?.into(),
            }),
        };
        Ok(Stored {
            shown: row.try_get(0)?,
            since: row
                .try_get::<Option<value::Time>, _>(5)?
                .map(Timestamp::from),
            checkpoint,
        })
    }
}

/// What is stored beside the rows of a generation.
struct Stored {
    shown: bool,
    /// The Telegram date from which on it keeps messages.
    since: Option<Timestamp>,
    checkpoint: Option<StoredCheckpoint>,
}

impl Projection for Timescale {
    fn name(&self) -> ProjectionName {
        NAME
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, ProjectionError> {
        const DOING: &str = "reading the checkpoint";
        // Asked for at the start and after each error: the moment to notice that another generation is shown.
        if self.wanted.is_none() && self.connection.is_none() {
            self.ready = None;
        }
        let statements = self.prepared().await?;
        let mut connection = self.connected(DOING).await?;
        let read = Self::read_checkpoint(&statements, &mut connection);
        let stored = limited(CONNECT_SECONDS, DOING, read).await?;
        self.connection = Some(connection);
        stored
            .checkpoint
            .map(|stored| readable(&stored))
            .transpose()
    }

    async fn apply(&mut self, batch: &Batch) -> Result<(), ProjectionError> {
        const DOING: &str = "applying a batch";
        let statements = self.prepared().await?;
        let mut connection = self.connected(DOING).await?;
        let deadline = Duration::from_secs(APPLY_SECONDS);
        let mut rest = Rows::of(&batch.entries);
        let new = self.fresh.take(&mut rest);
        let copies = !new.is_empty();
        let writing = Writing {
            new,
            rest,
            notes_hours: true,
        };
        let applied = write::apply(&statements, &mut connection, batch, writing);
        match tokio::time::timeout(deadline, applied).await {
            Ok(Ok(done)) => {
                if copies {
                    self.fresh.went(done);
                }
                self.connection = Some(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(too_slow(DOING)),
        }
    }

    async fn clear(&mut self) -> Result<(), ProjectionError> {
        const DOING: &str = "emptying the projection";
        let statements = self.prepared().await?;
        let mut connection = self.connected(DOING).await?;
        let cleared = async {
            let mut transaction = connection.begin_with(ours(&statements.begin)).await?;
            transaction.execute(ours(&statements.truncate)).await?;
            for sql in &statements.forget {
                transaction.execute(ours(sql)).await?;
            }
            transaction.commit().await
        };
        limited(APPLY_SECONDS, DOING, cleared).await?;
        self.connection = Some(connection);
        Ok(())
    }
}

impl Inspect for Timescale {
    type Snapshot = TimescaleSnapshot;

    async fn snapshot(&mut self) -> Result<TimescaleSnapshot, ProjectionError> {
        let statements = self.prepared().await?;
        TimescaleSnapshot::open(&self.config, statements).await
    }
}

/// Waits for a step no longer than it may take.
async fn limited<T>(
    seconds: u64,
    doing: &'static str,
    step: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, ProjectionError> {
    match tokio::time::timeout(Duration::from_secs(seconds), step).await {
        Ok(result) => result.map_err(|error| backend(NAME, doing, error)),
        Err(_) => Err(too_slow(doing)),
    }
}

fn too_slow(doing: &'static str) -> ProjectionError {
    refusal(
        NAME,
        doing,
        Class::Transient,
        Some("check that the server of timescale.url is up and not overloaded".to_owned()),
        "no answer in time",
    )
}

fn readable(stored: &StoredCheckpoint) -> Result<Checkpoint, ProjectionError> {
    stored.read().ok_or_else(|| {
        refusal(
            NAME,
            "reading the checkpoint",
            Class::Operator,
            Some(
                "telegram.checkpoints was changed by hand; run: telegram-gateway rebuild timescale"
                    .to_owned(),
            ),
            "the row in telegram.checkpoints is no checkpoint",
        )
    })
}

//! The seat at TimescaleDB: a lock of a session that the server ends by itself when its holder falls silent.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::statements::LOCK;
use super::{CONNECT_SECONDS, NAME, limited, setup};
use crate::config;
use crate::store::ProjectionError;
use crate::store::seat::{LIFE, Seat};
use crate::store::sql::backend;

/// Second number of the lock; generations count from 1, and -1 is held by who changes them.
const FEEDING: i32 = -2;
const DOING: &str = "taking the seat";

/// The seat, over a direct connection of its own: a pooler would lend the session to others.
#[derive(Debug)]
pub struct TimescaleSeat {
    config: config::Timescale,
    session: Option<Session>,
}

#[derive(Debug)]
struct Session {
    connection: PgConnection,
    is_held: bool,
}

impl TimescaleSeat {
    /// Not taken yet.
    pub fn new(config: config::Timescale) -> TimescaleSeat {
        TimescaleSeat {
            config,
            session: None,
        }
    }

    async fn connect(&self) -> Result<PgConnection, ProjectionError> {
        let url = self.config.direct_url.as_ref().unwrap_or(&self.config.url);
        let mut connection = setup::connect(url, DOING).await?;
        // A frozen process keeps its connection open for ever, and so does a line that was pulled.
        let life = format!("set idle_session_timeout = '{} ms'", LIFE.as_millis());
        let set = connection.execute(AssertSqlSafe(life)).await;
        set.map_err(|error| backend(NAME, DOING, error))?;
        Ok(connection)
    }
}

impl Seat for TimescaleSeat {
    async fn hold(&mut self) -> Result<bool, ProjectionError> {
        // Taken out: a session in an unknown state is not used again, and the server gives its lock up.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session {
                connection: self.connect().await?,
                is_held: false,
            },
        };
        session.is_held = if session.is_held {
            let alive = session.connection.execute("select 1");
            limited(CONNECT_SECONDS, DOING, alive).await?;
            true
        } else {
            let locked = sqlx::query_scalar("select pg_catalog.pg_try_advisory_lock($1, $2)")
                .bind(LOCK)
                .bind(FEEDING)
                .fetch_one(&mut session.connection);
            limited(CONNECT_SECONDS, DOING, locked).await?
        };
        let is_held = session.is_held;
        self.session = Some(session);
        Ok(is_held)
    }

    async fn leave(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = limited(CONNECT_SECONDS, DOING, session.connection.close()).await;
        }
    }
}

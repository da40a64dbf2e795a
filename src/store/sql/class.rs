//! Every error of sqlx, classed in one place.

use sqlx::postgres::PgDatabaseError;

use crate::failure::{Class, io_class};
use crate::store::ProjectionName;

/// What kind of trouble an error is, and what mends it.
#[derive(Debug)]
pub(in crate::store) struct Cause {
    /// Its class; `Corrupt` means that the data of a statement was refused, so one of its events is poison.
    pub class: Class,
    pub hint: Option<String>,
}

fn say(class: Class, hint: &str) -> Cause {
    Cause {
        class,
        hint: Some(hint.to_owned()),
    }
}

fn bare(class: Class) -> Cause {
    Cause { class, hint: None }
}

/// The cause of an error.
pub(in crate::store) fn cause(projection: ProjectionName, error: &sqlx::Error) -> Cause {
    use sqlx::Error as E;
    let embedded = projection == ProjectionName::Sqlite;
    match error {
        E::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => postgres(error.code()),
            None => sqlite(error.code().and_then(|code| code.parse().ok())),
        },
        E::Io(error) if embedded => Cause {
            class: io_class(error),
            hint: Some("check sqlite.path: the folder must exist and be writable".to_owned()),
        },
        // A server or a resolver that is away may come back, whatever the system calls it.
        E::Io(_) => say(
            Class::Transient,
            "check that the server of timescale.url is up and can be reached",
        ),
        E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed | E::Protocol(_) => {
            bare(Class::Transient)
        }
        E::Configuration(_) if embedded => say(Class::Operator, "check sqlite.path"),
        E::Configuration(_) => say(
            Class::Operator,
            "check timescale.url: postgres://user:password@host:5432/database",
        ),
        E::Tls(_) => say(
            Class::Operator,
            "check sslmode in timescale.url, and the server's certificate",
        ),
        _ => bare(Class::Bug),
    }
}

/// By SQLSTATE.
fn postgres(code: &str) -> Cause {
    const REBUILD: &str = "the schema was changed by hand; put it right, or drop the schemas telegram and \
                           telegram_g1 and run: telegram-gateway rebuild timescale";
    match code {
        "53100" => say(Class::Operator, "the disk of the PostgreSQL server is full"),
        "53300" => say(
            Class::Transient,
            "the server has no connection left: raise max_connections or use PgBouncer",
        ),
        "57014" => say(
            Class::Transient,
            "the statement took too long; the server may be overloaded",
        ),
        "54023" => bare(Class::Bug),
        "25006" => say(
            Class::Operator,
            "timescale.url points to a read-only standby",
        ),
        "42501" => say(
            Class::Operator,
            "the user of timescale.url may not do this: it must own the schema telegram",
        ),
        "3D000" => say(
            Class::Operator,
            "the database in timescale.url does not exist: createdb NAME",
        ),
        "42P01" | "3F000" | "42703" | "42883" | "42704" => say(Class::Operator, REBUILD),
        "42P05" | "26000" => say(
            Class::Operator,
            "PgBouncer in transaction mode needs max_prepared_statements = 200 (version 1.21 or newer)",
        ),
        "58P01" | "0A000" => say(
            Class::Operator,
            "install TimescaleDB 2.13 or newer on the server, with shared_preload_libraries = 'timescaledb'",
        ),
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "40" | "53" | "57" | "55" => bare(Class::Transient),
            "28" => say(
                Class::Operator,
                "check the user and password in timescale.url",
            ),
            "22" | "23" | "54" => bare(Class::Corrupt),
            "58" | "XX" => say(
                Class::Operator,
                "the server's own storage is in trouble: see its log",
            ),
            _ => bare(Class::Bug),
        },
    }
}

/// By (extended) result code.
fn sqlite(code: Option<i32>) -> Cause {
    match code.map(|code| code & 0xff) {
        // busy, locked, schema changed by another connection
        Some(5 | 6 | 17) => bare(Class::Transient),
        // constraint, mismatch, too big
        Some(18..=20) => bare(Class::Corrupt),
        Some(13) => say(Class::Operator, "the disk of sqlite.path is full"),
        // perm, readonly, cantopen, auth
        Some(3 | 8 | 14 | 23) => say(
            Class::Operator,
            "check sqlite.path: the folder must exist, and both it and the file be writable",
        ),
        Some(10) => say(Class::Operator, "the disk of sqlite.path does not answer"),
        // corrupt, not a database
        Some(11 | 26) => say(
            Class::Operator,
            "the file at sqlite.path is damaged; move it away and run: telegram-gateway rebuild sqlite",
        ),
        _ => bare(Class::Bug),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_class() {
        for (code, class) in [
            ("08006", Class::Transient),
            ("57P01", Class::Transient),
            ("40001", Class::Transient),
            ("40P01", Class::Transient),
            ("53300", Class::Transient),
            ("53100", Class::Operator),
            ("28P01", Class::Operator),
            ("3D000", Class::Operator),
            ("42501", Class::Operator),
            ("42P01", Class::Operator),
            ("22P05", Class::Corrupt),
            ("23514", Class::Corrupt),
            ("42601", Class::Bug),
            ("", Class::Bug),
        ] {
            assert_eq!(postgres(code).class, class, "{code}");
        }
        for (code, class) in [
            (Some(5), Class::Transient),
            (Some(517), Class::Transient),
            (Some(1811), Class::Corrupt),
            (Some(11), Class::Operator),
            (Some(13), Class::Operator),
            (Some(1), Class::Bug),
            (None, Class::Bug),
        ] {
            assert_eq!(sqlite(code).class, class, "{code:?}");
        }
    }
}

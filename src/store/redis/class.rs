//! Every error of the library, classed in one place.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::NAME;
use crate::failure::Class;
use crate::store::ProjectionError;

const ADDRESS: &str = "redis.url: redis://user:password@host:6379/0";
const ACCESS: &str =
    "redis.url: user and password, and the user's rights: docs/redis.md has the line";
const SENTINEL_ACCESS: &str = "redis.sentinel_user and redis.sentinel_password";
const MEMORY: &str =
    "Redis is full: raise maxmemory, set maxmemory-policy volatile-ttl, or lower redis.window";

/// An error of the library.
pub(super) fn backend(doing: &'static str, error: RedisError) -> ProjectionError {
    let (class, hint) = cause(&error);
    ProjectionError::Backend {
        projection: NAME,
        doing,
        class,
        hint: hint.map(str::to_owned),
        source: Box::new(error),
    }
}

/// The address cannot be used. What the library says of it may repeat the password.
pub(super) fn address() -> ProjectionError {
    ProjectionError::Backend {
        projection: NAME,
        doing: "connecting",
        class: Class::Operator,
        hint: Some(ADDRESS.to_owned()),
        source: "the address cannot be used".into(),
    }
}

/// Nobody is the master, or not any more.
pub(super) fn no_master(why: String) -> ProjectionError {
    let hint = "redis.sentinels and redis.master: are the Sentinels up?";
    master(Class::Transient, hint, why)
}

/// No Sentinel lets us in.
pub(super) fn refused_by_sentinels(why: String) -> ProjectionError {
    master(Class::Operator, SENTINEL_ACCESS, why)
}

fn master(class: Class, hint: &str, why: String) -> ProjectionError {
    ProjectionError::Backend {
        projection: NAME,
        doing: "finding the master",
        class,
        hint: Some(hint.to_owned()),
        source: why.into(),
    }
}

/// Whether a server does not let us in.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    cause(error).1 == Some(ACCESS)
}

fn cause(error: &RedisError) -> (Class, Option<&'static str>) {
    match error.kind() {
        // A server or a resolver that is away may come back, whatever the system calls it.
        ErrorKind::Io => (Class::Transient, None),
        ErrorKind::AuthenticationFailed => (Class::Operator, Some(ACCESS)),
        ErrorKind::InvalidClientConfig => (Class::Operator, Some(ADDRESS)),
        ErrorKind::Server(kind) => server(kind, error.code()),
        ErrorKind::Extension => extension(error.code()),
        ErrorKind::ClusterConnectionNotFound
        | ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel => (Class::Transient, None),
        _ => (Class::Bug, None),
    }
}

fn server(kind: ServerErrorKind, code: Option<&str>) -> (Class, Option<&'static str>) {
    use ServerErrorKind as K;
    match kind {
        K::NoPerm => (Class::Operator, Some(ACCESS)),
        // The name behind the address points to a replica, for as long as a failover lasts or for ever.
        K::ReadOnly => (
            Class::Transient,
            Some("the server at redis.url is a replica; writes need the master"),
        ),
        K::BusyLoading
        | K::TryAgain
        | K::ClusterDown
        | K::MasterDown
        | K::Moved
        | K::Ask
        | K::NoScript
        | K::ExecAbort => (Class::Transient, None),
        K::ResponseError => extension(code),
        _ => (Class::Bug, None),
    }
}

/// Codes that the library has no name for.
fn extension(code: Option<&str>) -> (Class, Option<&'static str>) {
    match code {
        Some("OOM") => (Class::Operator, Some(MEMORY)),
        Some("NOAUTH" | "WRONGPASS") => (Class::Operator, Some(ACCESS)),
        Some("MISCONF") => (
            Class::Operator,
            Some("Redis cannot save to its disk and refuses writes: see its log"),
        ),
        Some("WRONGTYPE") => (
            Class::Operator,
            Some("somebody else writes under redis.prefix: choose another one"),
        ),
        Some("BUSY" | "UNKILLABLE" | "NOREPLICAS") => (Class::Transient, None),
        _ => (Class::Bug, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_class_and_what_a_person_mends_has_a_hint() {
        for (code, class) in [
            ("OOM", Class::Operator),
            ("WRONGPASS", Class::Operator),
            ("MISCONF", Class::Operator),
            ("WRONGTYPE", Class::Operator),
            ("BUSY", Class::Transient),
            ("NOREPLICAS", Class::Transient),
            ("NEWER", Class::Bug),
        ] {
            let (found, hint) = extension(Some(code));
            assert_eq!(found, class, "{code}");
            assert_eq!(hint.is_some(), class == Class::Operator, "{code}");
        }
        let kinds = [
            (ServerErrorKind::BusyLoading, Class::Transient),
            (ServerErrorKind::MasterDown, Class::Transient),
            (ServerErrorKind::ReadOnly, Class::Transient),
            (ServerErrorKind::NoPerm, Class::Operator),
        ];
        for (kind, class) in kinds {
            assert_eq!(server(kind, None).0, class, "{kind:?}");
        }
    }
}

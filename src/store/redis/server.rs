//! The server that holds the cache: that of the address, or the one that the Sentinels name.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, FromRedisValue,
    IntoConnectionInfo, Value,
};

use super::class;
use super::sentinel::{Host, Sentinels};
use crate::config;
use crate::store::ProjectionError;

/// A server that is saving or loading answers late; the library's own half second would call that a failure and leave
/// the outcome unknown.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where the cache is, and the connection to it.
pub(super) struct Server {
    config: config::Redis,
    sentinels: Option<Sentinels>,
    /// The master that was tried last; none without Sentinels.
    master: Option<Host>,
    open: Option<MultiplexedConnection>,
}

impl Server {
    /// Nothing is connected yet.
    pub(super) fn new(config: config::Redis) -> Server {
        Server {
            config,
            sentinels: None,
            master: None,
            open: None,
        }
    }

    /// The connection to the master, made anew where there is none or where another server is the master by now.
    pub(super) async fn connection(&mut self) -> Result<MultiplexedConnection, ProjectionError> {
        let info = address(&self.config)?;
        if self.config.sentinels.is_empty() {
            if let Some(open) = &self.open {
                return Ok(open.clone());
            }
            let opened = open(info, "connecting").await?;
            return Ok(self.open.insert(opened).clone());
        }
        let master = self.find(&info).await?;
        if let Some(open) = &self.open
            && self.master.as_ref() == Some(&master)
        {
            return Ok(open.clone());
        }
        if self.master.as_ref() != Some(&master) {
            tracing::info!(host = master.0, port = master.1, "the master of the cache");
        }
        self.open = None;
        self.master = Some(master.clone());
        let mut opened = open(at(&info, master), "connecting to the master").await?;
        check_role(&mut opened).await?;
        Ok(self.open.insert(opened).clone())
    }

    /// What the Sentinels name. While none of them says anything, it is whom they named last.
    async fn find(&mut self, info: &ConnectionInfo) -> Result<Host, ProjectionError> {
        let sentinels = match &mut self.sentinels {
            Some(sentinels) => sentinels,
            none => none.insert(Sentinels::follow(&self.config, info)?),
        };
        match (sentinels.master(), &self.master) {
            (Some(master), _) => Ok(master),
            (None, Some(last)) => Ok(last.clone()),
            (None, None) => sentinels.first_word(CONNECT_LIMIT).await,
        }
    }

    /// Whether there is a connection.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The connection is not used again.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Resolves once another server is the master than the one that was tried last.
    pub(super) async fn moved(&self) {
        match (&self.sentinels, &self.master) {
            (Some(sentinels), Some(master)) => sentinels.other_than(master).await,
            _ => std::future::pending().await,
        }
    }
}

/// What the configured address says.
fn address(config: &config::Redis) -> Result<ConnectionInfo, ProjectionError> {
    let info = config
        .url
        .expose()
        .into_connection_info()
        .map_err(|_| class::address())?;
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    Ok(info
        .set_tcp_settings(TcpSettings::default().set_nodelay(true))
        .set_redis_settings(settings))
}

/// The same, on another host.
pub(super) fn at(info: &ConnectionInfo, (host, port): Host) -> ConnectionInfo {
    let address = match info.addr() {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(address)
}

/// How long to wait for a connection, and for an answer.
pub(super) fn limits() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(ANSWER_LIMIT))
}

async fn open(
    info: ConnectionInfo,
    doing: &'static str,
) -> Result<MultiplexedConnection, ProjectionError> {
    let client = Client::open(info).map_err(|_| class::address())?;
    client
        .get_multiplexed_async_connection_with_config(&limits())
        .await
        .map_err(|error| class::backend(doing, error))
}

/// A Sentinel may name a server that does not know yet, or no more, that it is the master.
async fn check_role(connection: &mut MultiplexedConnection) -> Result<(), ProjectionError> {
    let doing = "asking the master for its role";
    let said = ::redis::cmd("ROLE").query_async(connection).await;
    let said: Vec<Value> = said.map_err(|error| class::backend(doing, error))?;
    let role = said.into_iter().next();
    match role.and_then(|role| String::from_redis_value(role).ok()) {
        Some(role) if role == "master" => Ok(()),
        _ => Err(class::no_master(
            "the server that the Sentinels name is a replica".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_host_keeps_tls_login_and_database() {
        let info = "rediss://u:p@cache.example/3"
            .into_connection_info()
            .expect("an address");
        let moved = at(&info, ("10.0.0.7".to_owned(), 6380));
        assert!(
            matches!(moved.addr(), ConnectionAddr::TcpTls { host, port: 6380, insecure: false, .. } if host == "10.0.0.7")
        );
        assert_eq!(moved.redis_settings().db(), 3);
        assert_eq!(moved.redis_settings().username(), Some("u"));
        let plain = "redis://127.0.0.1"
            .into_connection_info()
            .expect("an address");
        let moved = at(&plain, ("10.0.0.7".to_owned(), 6380));
        assert!(matches!(moved.addr(), ConnectionAddr::Tcp(host, 6380) if host == "10.0.0.7"));
    }
}

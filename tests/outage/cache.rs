//! The cache on real servers that fail over under load, lose acknowledged writes, are wiped, and have no room.

use redis::aio::MultiplexedConnection;

use std::time::Duration;

use super::{ALONE, AllUp, services, start, stop_and_verify};
use crate::support::gateway::{Gateway, Running, wait_until};
use crate::support::house::until;
use crate::support::replica::{self, Reading};
use crate::support::services::redis_connection;

/// How old a reader lets a replica be.
const BOUND: Duration = Duration::from_secs(5);

/// As a reader of a replica reads it.
async fn reading(connection: &mut MultiplexedConnection, prefix: &str) -> Reading {
    let found = replica::read(connection, prefix, -1_001_000_000_001).await;
    found.expect("an answer")
}

/// A daemon with a cache behind Sentinels, under load.
struct House {
    gateway: Gateway,
    daemon: Running,
    sentinel: MultiplexedConnection,
    master: String,
    /// The port of the first master.
    first: u16,
}

impl House {
    async fn start() -> Option<House> {
        let mut gateway = Gateway::with_redis()?;
        let variable = |name: &str| std::env::var(name).expect("set by tests/services env");
        let (host, master) = (
            variable("TGW_TEST_SENTINEL"),
            variable("TGW_TEST_SENTINEL_MASTER"),
        );
        gateway.set("TGW_REDIS__SENTINELS", &host);
        gateway.set("TGW_REDIS__MASTER", &master);
        let url = variable("TGW_REDIS__URL");
        let (_, port) = url.rsplit_once(':').expect("a port");
        let mut house = House {
            daemon: start(&gateway, "500"),
            gateway,
            sentinel: redis_connection(&format!("redis://{host}")).await,
            master,
            first: port.parse().expect("a port"),
        };
        wait_until("there is a log", || {
            assert!(house.daemon.is_running(), "{}", house.daemon.words());
            house.gateway.tail() > 0
        });
        house.wait_for("events reach the cache", 100);
        Some(house)
    }

    /// Waits until the cache, which is asked where the Sentinels say, has this event.
    fn wait_for(&mut self, what: &str, seq: u64) {
        wait_until(what, || {
            assert!(self.daemon.is_running(), "{}", self.daemon.words());
            let status = self.gateway.json(&["status", "--json"]);
            let stores = status["stores"].as_array().expect("stores");
            let cache = stores.iter().find(|it| it["name"] == "redis");
            cache.expect("configured")["seq"].as_u64() >= Some(seq)
        });
    }

    async fn port(&mut self) -> u16 {
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(&self.master);
        let said = command.query_async(&mut self.sentinel).await;
        let (_, port): (String, u16) = said.expect("an answer");
        port
    }

    /// Has the Sentinel make another server the master, until it is so.
    async fn fail_over(&mut self) {
        let before = self.port().await;
        while self.port().await == before {
            let mut command = redis::cmd("SENTINEL");
            command.arg("FAILOVER").arg(&self.master);
            // Refused while one is going on, or while no replica is known to be well.
            let _: Result<(), _> = command.query_async(&mut self.sentinel).await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_loses_acknowledged_writes_is_followed_and_refilled() {
    let _alone = ALONE.lock().await;
    let Some(mut house) = House::start().await else {
        return;
    };
    let _up = AllUp;
    let replica = std::env::var("TGW_TEST_REDIS_REPLICA_URL").expect("set by tests/services env");
    let prefix = house.gateway.config().redis.expect("configured").prefix;
    let mut connection = redis_connection(&replica).await;
    until("the replica is fresh enough to be read", async || {
        let found = reading(&mut connection, &prefix).await;
        found.seq > 100 && found.age.is_some_and(|age| age < BOUND)
    })
    .await;
    // It gets nothing more, and is promoted without what its master has acknowledged since.
    let mut command = redis::cmd("REPLICAOF");
    let () = command
        .arg("127.0.0.1")
        .arg(1)
        .query_async(&mut connection)
        .await
        .expect("cut off");
    let tail = house.gateway.tail();
    house.wait_for("the master goes on alone", tail + 300);
    until("a reader does not take the replica for fresh", async || {
        let found = reading(&mut connection, &prefix).await;
        assert!(found.seq < tail + 200, "the replica lacks something");
        found.age.is_none_or(|age| age > BOUND)
    })
    .await;
    // What it has is what the log said up to the checkpoint that it shows.
    let mut command = house.gateway.command(&["verify", "redis"]);
    command
        .env("TGW_REDIS__URL", &replica)
        .env_remove("TGW_REDIS__SENTINELS")
        .env_remove("TGW_REDIS__MASTER");
    let verified = command.output().expect("the program starts");
    assert!(verified.status.success(), "{verified:?}");
    services(&["kill", "redis"]);
    let tail = house.gateway.tail();
    house.wait_for("the replica has what it lacked, and more", tail + 300);
    assert!(replica.ends_with(&house.port().await.to_string()));

    // Back again, with both up: the old master takes writes for some seconds yet.
    services(&["start", "redis"]);
    house.fail_over().await;
    let tail = house.gateway.tail();
    house.wait_for("the new master is written to", tail + 300);
    assert_eq!(house.port().await, house.first);
    stop_and_verify(&house.gateway, house.daemon).await;
}

/// A limit of the server's memory; none again when dropped.
struct Limit;

impl Limit {
    fn set(bytes: u64) {
        services(&[
            "redis-cli",
            "CONFIG",
            "SET",
            "maxmemory",
            &bytes.to_string(),
        ]);
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        Limit::set(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_without_room_waits_and_a_rebuild_is_refused_before_it_takes_it() {
    let _alone = ALONE.lock().await;
    let Some(mut house) = House::start().await else {
        return;
    };
    let _up = AllUp;
    house.wait_for("there is something to rebuild", 3_000);
    let config = house.gateway.config().redis.expect("configured");
    let mut store = telegram_gateway::store::redis::Redis::new(config);
    let used = store.memory().await.expect("figures").used;
    let _limit = Limit;
    // Less than a second one takes, however much others keep in this server.
    Limit::set(used + 512 * 1024);
    let refused = house.gateway.run(&["rebuild", "redis"]);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && told.contains("second cache"),
        "{told}"
    );

    Limit::set(1);
    wait_until("the trouble is shown with its remedy", || {
        assert!(house.daemon.is_running(), "{}", house.daemon.words());
        let status = house.gateway.json(&["status", "--json"]);
        let stage = &status["stages"]["redis"];
        stage["fault"]
            .as_str()
            .is_some_and(|fault| fault.contains("OOM"))
    });
    let tail = house.gateway.tail();
    wait_until("ingest goes on", || house.gateway.tail() > tail + 300);
    Limit::set(0);
    let tail = house.gateway.tail();
    house.wait_for("the cache goes on", tail + 300);
    house.gateway.ok(&["rebuild", "redis"]);

    // Everything goes, under load.
    services(&["redis-cli", "FLUSHALL"]);
    let tail = house.gateway.tail();
    house.wait_for("all is filled again", tail + 300);
    stop_and_verify(&house.gateway, house.daemon).await;
}

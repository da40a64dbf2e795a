//! What can be done to each server; each puts it right again, so that the next one finds something to harm.

use std::time::Duration;

use fastrand::Rng;
use telegram_gateway::broker::topology::{LOG_EXCHANGE, log_queue};

use super::Chaos;
use crate::support::gateway::{Gateway, wait_until};
use crate::support::proxy::{Moment, Proxy};
use crate::support::services::{in_database, pgbouncer_url};
use crate::{Alarm, services, stop_immediately};

/// The lines on which the daemon reaches broker and database.
pub(super) struct Line {
    broker: Proxy,
    database: Proxy,
    pooler: Proxy,
    /// The database without any line between.
    direct: String,
}

impl Line {
    pub(super) fn before(gateway: &Gateway) -> Line {
        let direct = gateway.config().timescale.expect("configured").url;
        let name = url::Url::parse(direct.expose()).expect("an address");
        let pooled = pgbouncer_url().expect("beside the database");
        Line {
            broker: Proxy::before(&gateway.broker().url),
            database: Proxy::before(direct.expose()),
            pooler: Proxy::before(&in_database(&pooled, name.path())),
            direct: direct.expose().to_owned(),
        }
    }

    /// What a daemon is told of them.
    pub(super) fn values(&self, pooled: bool) -> [(&str, &str); 3] {
        let database = if pooled { &self.pooler } else { &self.database };
        [
            ("TGW_RABBITMQ__URL", &self.broker.url),
            ("TGW_TIMESCALE__URL", &database.url),
            ("TGW_TIMESCALE__DIRECT_URL", &self.direct),
        ]
    }

    /// Lets everything pass at once, from now on.
    pub(super) fn is_good(&self) {
        for line in [&self.broker, &self.database, &self.pooler] {
            line.hold(false);
            line.throttle(None);
            line.delay(Duration::ZERO);
        }
    }
}

/// The nodes of the cache, and who watches them.
pub(super) struct Cache {
    /// The master as all other tests expect it, then its replica.
    nodes: [redis::Client; 2],
    sentinel: redis::Client,
    master: String,
}

impl Cache {
    /// Has the gateway follow the Sentinel.
    pub(super) fn follow(gateway: &mut Gateway) -> Cache {
        let variable = |name: &str| std::env::var(name).expect("set by tests/services env");
        let client = |url: String| redis::Client::open(url).expect("an address");
        let sentinel = variable("TGW_TEST_SENTINEL");
        let master = variable("TGW_TEST_SENTINEL_MASTER");
        gateway.set("TGW_REDIS__SENTINELS", &sentinel);
        gateway.set("TGW_REDIS__MASTER", &master);
        Cache {
            nodes: ["TGW_REDIS__URL", "TGW_TEST_REDIS_REPLICA_URL"].map(|it| client(variable(it))),
            sentinel: client(format!("redis://{sentinel}")),
            master,
        }
    }

    fn fail_over(&self) {
        // Refused while one is going on, or while no replica is known to be well.
        let _: Result<(), _> = ask(&self.sentinel, &["SENTINEL", "FAILOVER", &self.master]);
    }

    /// Makes the first node the master again.
    pub(super) fn go_home(&self) {
        let home = match self.nodes[0].get_connection_info().addr() {
            redis::ConnectionAddr::Tcp(_, port) => *port,
            other => panic!("{other:?}"),
        };
        wait_until("the first node is the master", || {
            let question = ["SENTINEL", "get-master-addr-by-name", &self.master];
            let said: Result<(String, u16), _> = ask(&self.sentinel, &question);
            let is_home = said.is_ok_and(|(_, port)| port == home);
            if !is_home {
                self.fail_over();
            }
            is_home
        });
    }
}

fn ask<T: redis::FromRedisValue>(server: &redis::Client, words: &[&str]) -> redis::RedisResult<T> {
    let mut connection = server.get_connection()?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]).query(&mut connection)
}

#[derive(Debug, Clone, Copy)]
enum BrokerFault {
    Cut,
    Hold,
    Slow,
    Purge,
    Unbind,
    Delete,
    Full,
    Kill,
    Wipe,
}

#[derive(Debug, Clone, Copy)]
enum DatabaseFault {
    Cut,
    CutInCommit(Moment),
    Hold,
    Throttle,
    StopAtOnce,
    Kill,
    KillPooler,
}

#[derive(Debug, Clone, Copy)]
enum CacheFault {
    Cut,
    Pause,
    Wipe,
    FailOver,
    KillFirst,
    KillSecond,
    KillBoth,
    KillSentinel,
}

/// All servers.
pub(super) struct Servers<'a> {
    pub(super) chaos: &'a Chaos<'a>,
    pub(super) line: &'a Line,
    pub(super) cache: &'a Cache,
}

impl Servers<'_> {
    /// Kills servers; they stay away for a moment.
    fn kill(&self, names: &[&str], random: &mut Rng) {
        services(&[&["kill"], names].concat());
        self.chaos.moment(random.u64(0..4_000));
        services(&[&["start"], names].concat());
    }

    fn hold(&self, line: &Proxy, random: &mut Rng) {
        line.hold(true);
        self.chaos.moment(random.u64(200..3_000));
        line.hold(false);
    }

    pub(super) fn broker(&self, random: Rng) -> usize {
        use BrokerFault::{Cut, Delete, Full, Hold, Kill, Purge, Slow, Unbind, Wipe};
        let all = [Cut, Hold, Slow, Purge, Unbind, Delete, Full, Kill, Wipe];
        let (broker, line) = (self.chaos.gateway.broker(), &self.line.broker);
        self.chaos.hand("broker", &all, random, |fault, random| {
            let queue = log_queue(random.choice(["timescale", "redis"]).unwrap_or_default());
            match fault {
                Cut => line.cut(),
                Hold => self.hold(line, random),
                Slow => {
                    line.delay(Duration::from_millis(random.u64(1..80)));
                    self.chaos.moment(random.u64(200..3_000));
                    line.delay(Duration::ZERO);
                }
                // There may be no queue yet since the last wipe.
                Purge => _ = broker.purge(&queue),
                Unbind => _ = broker.unbind(&queue, LOG_EXCHANGE),
                Delete => _ = broker.delete_queue(&queue),
                Full => {
                    let _alarm = Alarm::raise();
                    self.chaos.moment(random.u64(200..3_000));
                }
                Kill => self.kill(&["rabbitmq"], random),
                Wipe => {
                    services(&["wipe", "rabbitmq"]);
                    self.chaos.moment(random.u64(0..2_000));
                    broker.establish();
                }
            }
        })
    }

    pub(super) fn database(&self, random: Rng) -> usize {
        use DatabaseFault::{Cut, CutInCommit, Hold, Kill, KillPooler, StopAtOnce, Throttle};
        let commits = [Moment::Before, Moment::After].map(CutInCommit);
        let all = [Cut, Hold, Throttle, StopAtOnce, Kill, KillPooler];
        let all = [&commits[..], &all].concat();
        let lines = [&self.line.database, &self.line.pooler];
        self.chaos
            .hand("database", &all, random, |fault, random| match fault {
                Cut => lines.iter().for_each(|line| line.cut()),
                CutInCommit(moment) => lines.iter().for_each(|line| line.cut_at("COMMIT", moment)),
                Hold => {
                    lines.iter().for_each(|line| line.hold(true));
                    self.chaos.moment(random.u64(200..3_000));
                    lines.iter().for_each(|line| line.hold(false));
                }
                Throttle => {
                    lines.iter().for_each(|line| line.throttle(Some(2_048)));
                    self.chaos.moment(random.u64(500..4_000));
                    lines.iter().for_each(|line| line.throttle(None));
                }
                StopAtOnce => {
                    stop_immediately();
                    self.chaos.moment(random.u64(0..2_000));
                    services(&["start", "timescaledb"]);
                }
                Kill => self.kill(&["timescaledb"], random),
                KillPooler => self.kill(&["pgbouncer"], random),
            })
    }

    pub(super) fn cache(&self, random: Rng) -> usize {
        use CacheFault::{
            Cut, FailOver, KillBoth, KillFirst, KillSecond, KillSentinel, Pause, Wipe,
        };
        let all = [
            Cut,
            Pause,
            Wipe,
            FailOver,
            KillFirst,
            KillSecond,
            KillBoth,
            KillSentinel,
        ];
        // A replica refuses what only a master does.
        let both = |words: &[&str]| {
            for node in &self.cache.nodes {
                let _: Result<(), _> = ask(node, words);
            }
        };
        self.chaos
            .hand("cache", &all, random, |fault, random| match fault {
                Cut => both(&["CLIENT", "KILL", "TYPE", "normal"]),
                Pause => {
                    let milliseconds = random.u64(200..3_000);
                    both(&["CLIENT", "PAUSE", &milliseconds.to_string(), "ALL"]);
                    self.chaos.moment(milliseconds);
                }
                Wipe => both(&["FLUSHALL"]),
                FailOver => self.cache.fail_over(),
                KillFirst => self.kill(&["redis"], random),
                KillSecond => self.kill(&["replica"], random),
                KillBoth => self.kill(&["redis", "replica"], random),
                KillSentinel => self.kill(&["sentinel"], random),
            })
    }
}

//! Where the real projections keep what they were given.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{ConnectOptions as _, Executor as _};
use telegram_gateway::config::{self, BackendUrl};
use telegram_gateway::store::redis::{self, Model, Redis};
use telegram_gateway::store::sqlite::Sqlite;
use telegram_gateway::store::timescale::{Generations, Loader, Timescale};
use telegram_gateway::store::{Entry, Inspect, Scope, Snapshot as _};

use super::{Place, Seen};
use crate::support::services::{
    fresh_database, in_database, pgbouncer_url, redis_url, timescale_url,
};
use crate::support::stores::{PublicRows, all_rows, folded_by, timescale_config};

/// All rows that a SQL store shows at one moment.
async fn rows<P: Inspect>(store: &mut P) -> Seen<PublicRows> {
    let mut snapshot = store.snapshot().await.expect("a snapshot");
    Seen {
        checkpoint: snapshot.checkpoint(),
        view: all_rows(&mut snapshot).await,
        scope: snapshot.scope(),
    }
}

/// A file of SQLite.
pub(crate) struct File {
    dir: tempfile::TempDir,
    counter_history: Option<Duration>,
}

impl File {
    /// With a history of counters in intervals of so many seconds.
    pub(super) fn new(seconds: Option<u64>) -> File {
        File {
            dir: tempfile::tempdir().expect("a directory"),
            counter_history: seconds.map(Duration::from_secs),
        }
    }
}

impl Place for File {
    type Store = Sqlite;
    type View = PublicRows;

    fn open(&self) -> Sqlite {
        Sqlite::new(config::Sqlite {
            path: self.dir.path().join("messages.sqlite"),
            counter_history: self.counter_history,
        })
    }

    async fn seen(&self, store: &mut Sqlite) -> Seen<PublicRows> {
        let seen = rows(store).await;
        let file = sqlx::sqlite::SqliteConnectOptions::new();
        let file = file.filename(self.dir.path().join("messages.sqlite"));
        let mut connection = file.connect().await.expect("the file");
        let check = "insert into messages_fts (messages_fts, rank) values ('integrity-check', 1)";
        let checked = connection.execute(check).await;
        checked.expect("the full-text index fits the table");
        seen
    }

    fn expected(&self, entries: &[Entry], scope: Scope) -> PublicRows {
        folded_by(entries, scope)
    }
}

/// A database of TimescaleDB.
pub(crate) struct Server(config::Timescale);

impl Server {
    /// With a history of counters in intervals of so many seconds.
    pub(super) async fn direct(seconds: Option<u64>) -> Option<Server> {
        let url = fresh_database(&timescale_url()?).await;
        Some(Server(config::Timescale {
            counter_history: seconds.map(Duration::from_secs),
            ..timescale_config(&url)
        }))
    }

    /// In transaction mode; only the schema is looked after on a connection of its own.
    pub(super) async fn pooled() -> Option<Server> {
        let (direct, pooled) = (timescale_url()?, pgbouncer_url()?);
        let direct = fresh_database(&direct).await;
        let name = url::Url::parse(&direct).expect("an address");
        let url = in_database(&pooled, name.path());
        Some(Server(config::Timescale {
            direct_url: Some(BackendUrl::parse(&direct).expect("an address")),
            ..timescale_config(&url)
        }))
    }
}

impl Place for Server {
    type Store = Timescale;
    type View = PublicRows;

    fn open(&self) -> Timescale {
        Timescale::new(self.0.clone())
    }

    async fn seen(&self, store: &mut Timescale) -> Seen<PublicRows> {
        rows(store).await
    }

    fn expected(&self, entries: &[Entry], scope: Scope) -> PublicRows {
        folded_by(entries, scope)
    }
}

/// A generation that is loaded beside the one that readers see.
pub(crate) struct Load {
    config: config::Timescale,
    number: i32,
}

impl Load {
    pub(super) async fn beside() -> Option<Load> {
        let config = timescale_config(&fresh_database(&timescale_url()?).await);
        let mut generations = Generations::open(&config).await.expect("open");
        let number = generations.make(Duration::from_secs(86_400)).await;
        let number = number.expect("made");
        Some(Load { config, number })
    }
}

impl Place for Load {
    type Store = Loader;
    type View = PublicRows;

    fn open(&self) -> Loader {
        Loader::new(self.config.clone(), self.number, 1_000)
    }

    async fn seen(&self, store: &mut Loader) -> Seen<PublicRows> {
        rows(store).await
    }

    fn expected(&self, entries: &[Entry], scope: Scope) -> PublicRows {
        folded_by(entries, scope)
    }
}

static NEXT: AtomicU32 = AtomicU32::new(1);

/// Keys of Redis under a prefix of their own, and how many messages of each peer are kept.
pub(crate) struct Cache(config::Redis);

impl Cache {
    pub(super) fn with_window(window: usize) -> Option<Cache> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Some(Cache(config::Redis {
            url: BackendUrl::parse(&redis_url()?).expect("an address"),
            feed: config::Feed::Here,
            prefix: format!("tgw-contract-{}-{number}", std::process::id()),
            window,
            ttl: Duration::from_secs(300),
            check_interval: Duration::from_secs(1),
            sentinels: Vec::new(),
            sentinel_user: "default".to_owned(),
            sentinel_password: None,
            master: String::new(),
        }))
    }
}

impl Place for Cache {
    type Store = Redis;
    type View = redis::Cache;

    fn open(&self) -> Redis {
        Redis::new(self.0.clone())
    }

    async fn seen(&self, store: &mut Redis) -> Seen<redis::Cache> {
        let (checkpoint, view) = store.read().await.expect("the cache");
        Seen {
            checkpoint,
            view,
            scope: Scope::default(),
        }
    }

    fn expected(&self, entries: &[Entry], _scope: Scope) -> redis::Cache {
        let mut model = Model::new(self.0.window);
        model.merge(entries);
        model.cache().clone()
    }
}

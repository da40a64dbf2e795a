//! From the layers to one checked [`Config`].

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::{self, SECTIONS};
use super::layer::Layers;
use super::list::ALL;
use super::problem::{ConfigError, Origin, Problem};
use super::secret::{AuthKey, BackendUrl, Secret, SessionKey, Token};
use super::telegram::{Chat, DataCentre, Follow, Media, Telegram};
use super::value::{Value, Wrong};
use super::{
    Config, Edge, Feed, Rabbitmq, Redis, Relay, Serve, Sqlite, Timescale, Wal, env, file, list, tls,
};

/// What a configuration is read from.
#[derive(Debug, Clone, std::default::Default)]
pub struct Sources {
    /// The TOML file. None: no file is looked for.
    pub file: Option<PathBuf>,
    /// The environment; a value that is not UTF-8 is none.
    pub environment: Vec<(String, Option<String>)>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
}

impl Sources {
    /// The environment of this process.
    pub fn process_environment() -> Vec<(String, Option<String>)> {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())))
            .collect()
    }
}

/// A configuration, and where each of its values came from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    pub(super) layers: Layers,
}

/// Reads, merges and checks a configuration; finds every problem of it before it gives up.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let environment = |name: &str| {
        let found = sources.environment.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.clone())
    };
    let mut layers = Layers::defaults();
    let mut whole = true;
    if let Some(path) = &sources.file {
        whole = file::read(&mut layers, path, &environment);
    }
    env::read(&mut layers, &sources.environment, &environment);
    if let (Some(path), Some(key)) = (&sources.data_dir, keys::find("", "data_dir")) {
        let value = match path.as_os_str().is_empty() {
            true => Err(Wrong::new("--data-dir is empty", "name a folder")),
            false => Ok(Value::Path(path.clone())),
        };
        layers.take(key, Origin::Flag("--data-dir"), value);
    }
    tls::check(&mut layers);
    check_together(&mut layers, whole);
    let mut problems = std::mem::take(&mut layers.problems);
    if problems.is_empty() {
        let config = assemble(&layers);
        return Ok(Loaded { config, layers });
    }
    problems.sort();
    problems.dedup();
    Err(ConfigError { problems })
}

/// Rules over more than one key. A file with wrong syntax may lack keys only for that reason.
fn check_together(layers: &mut Layers, whole: bool) {
    for section in SECTIONS.iter().filter(|section| section.optional) {
        let needed =
            keys::of(section.name).filter(|key| matches!(key.default, keys::Default::Needed));
        let Some(origin) = layers.section(section.name).cloned() else {
            continue;
        };
        for key in needed {
            if whole && layers.get(&key.path()).is_none() && !layers.is_spoiled(&key.path()) {
                layers.problems.push(Problem {
                    origin: origin.clone(),
                    what: format!("[{}] is switched on without {}", section.name, key.path()),
                    remedy: format!("write it, set {}, or remove the section", key.variable()),
                });
            }
        }
    }
    let backoff = (
        layers.get("relay.backoff_min"),
        layers.get("relay.backoff_max"),
    );
    if let (Some(min), Some(max)) = backoff
        && let (Value::Span(shortest), Value::Span(longest)) = (&min.value, &max.value)
        && shortest > longest
    {
        let origin = min.origin.clone().max(max.origin.clone());
        let wrong = Wrong::new(
            "relay.backoff_min is longer than relay.backoff_max",
            "make backoff_min the smaller one",
        );
        layers.wrong(origin, wrong);
    }
    check_hot(layers);
    check_elsewhere(layers, whole);
    if let (Some(origin), Some(_)) = (
        layers.section("sqlite").cloned(),
        layers.section("timescale"),
    ) && whole
        && layers.get("sqlite.path").is_none()
        && !layers.is_spoiled("sqlite.path")
    {
        let wrong = Wrong::new(
            "[sqlite] without a path does nothing beside [timescale]",
            "write path = \"messages.sqlite\" to run both, or remove the section",
        );
        layers.wrong(origin, wrong);
    }
}

/// What is hot is followed: nothing is mirrored that `follow` does not name.
fn check_hot(layers: &mut Layers) {
    let list = |path: &str| match layers.get(path).map(|setting| &setting.value) {
        Some(Value::List(entries)) => entries.clone(),
        _ => Vec::new(),
    };
    let follow = list("telegram.follow");
    let stray = list("telegram.hot")
        .into_iter()
        .find(|chat| !follow.contains(chat));
    let hot = layers.get("telegram.hot").cloned();
    if let (Some(chat), Some(hot)) = (stray, hot)
        && follow != [ALL]
        && !layers.is_spoiled("telegram.follow")
    {
        let wrong = Wrong::new(
            format!("telegram.hot names {chat}, which telegram.follow does not"),
            "write it into follow too, in the same form",
        );
        layers.wrong(hot.origin, wrong);
    }
}

/// A store that is fed elsewhere needs its queue and the log served; and that is not offered to a network by mistake.
fn check_elsewhere(layers: &mut Layers, whole: bool) {
    for path in ["timescale.feed", "redis.feed"] {
        let Some(feed) = layers.get(path).cloned() else {
            continue;
        };
        let missing = ["rabbitmq", "serve"].map(|it| layers.section(it).is_none());
        if whole && missing.contains(&true) && feed.value == Value::Word("elsewhere".to_owned()) {
            let wrong = Wrong::new(
                format!("{path} = \"elsewhere\" without [rabbitmq] and [serve]"),
                "write both sections: the other machine reads the queue, and asks here for what the broker lost",
            );
            layers.wrong(feed.origin, wrong);
        }
    }
    let listen = layers.get("serve.listen").cloned();
    let allowed = layers.get("serve.allow_remote").map(|it| it.value.clone());
    if let (Some(listen), Some(Value::Switch(false))) = (listen, allowed)
        && let Value::Socket(address) = listen.value
        && !address.ip().is_loopback()
    {
        let wrong = Wrong::new(
            format!("serve.listen = {address} is not loopback, and the line is not encrypted"),
            "listen on loopback at the end of a tunnel, or write allow_remote = true where the address is inside one",
        );
        layers.wrong(listen.origin, wrong);
    }
}

/// Every value is there and of its kind: `check_together` and the table have seen to it.
fn assemble(layers: &Layers) -> Config {
    let from = Typed(layers);
    let data_dir = from.path("data_dir");
    let on = |section: &str| layers.section(section).is_some();
    let written = |key: &str| layers.get(key).is_some();
    let sqlite = match layers.get("sqlite.path") {
        Some(_) => Some(from.path("sqlite.path")),
        None if !on("timescale") => Some(PathBuf::from("messages.sqlite")),
        None => None,
    };
    Config {
        wal: Wal {
            segment_bytes_max: from.number("wal.segment_bytes_max"),
            segment_age_max: from.span("wal.segment_age_max"),
            queue_events_max: from.size("wal.queue_events_max"),
            commit_events_max: from.size("wal.commit_events_max"),
            ballast: from.number("wal.ballast"),
            keep_age: written("wal.keep_age").then(|| from.span("wal.keep_age")),
            keep_bytes: written("wal.keep_bytes").then(|| from.number("wal.keep_bytes")),
            archive_dir: written("wal.archive_dir")
                .then(|| data_dir.join(from.path("wal.archive_dir"))),
            copy_bytes_per_second_max: from.number("wal.copy_bytes_per_second_max"),
        },
        relay: Relay {
            frame_bytes_max: from.size("relay.frame_bytes_max"),
            frame_events_max: from.size("relay.frame_events_max"),
            window: from.size("relay.window"),
            batch_events_max: from.size("relay.batch_events_max"),
            backoff_min: from.span("relay.backoff_min"),
            backoff_max: from.span("relay.backoff_max"),
            marker_interval: from.span("relay.marker_interval"),
            catch_up_events: from.number("relay.catch_up_events"),
            verify_interval: from.span("relay.verify_interval"),
        },
        telegram: on("telegram").then(|| telegram(&from, &data_dir)),
        rabbitmq: on("rabbitmq").then(|| Rabbitmq {
            url: from.url("rabbitmq.url"),
            events: from.switch("rabbitmq.events"),
            events_per_second_max: u32::try_from(from.number("rabbitmq.events_per_second_max"))
                .unwrap_or(u32::MAX),
            prefetch: u16::try_from(from.number("rabbitmq.prefetch")).unwrap_or(u16::MAX),
        }),
        timescale: on("timescale").then(|| timescale(&from)),
        redis: on("redis").then(|| redis(&from)),
        sqlite: sqlite.map(|path| Sqlite {
            path: data_dir.join(path),
            counter_history: written("sqlite.counter_history")
                .then(|| from.span("sqlite.counter_history")),
        }),
        serve: on("serve").then(|| Serve {
            listen: from.socket("serve.listen"),
            token: from.token("serve.token_file"),
        }),
        edge: on("edge").then(|| Edge {
            address: from.socket("edge.address"),
            token: from.token("edge.token_file"),
        }),
        data_dir,
    }
}

fn redis(from: &Typed<'_>) -> Redis {
    let password = "redis.sentinel_password";
    Redis {
        url: from.url("redis.url"),
        feed: from.feed("redis.feed"),
        prefix: from.word("redis.prefix"),
        window: from.size("redis.window"),
        ttl: from.span("redis.ttl"),
        check_interval: from.span("redis.check_interval"),
        sentinels: from.hosts("redis.sentinels"),
        sentinel_user: from.word("redis.sentinel_user"),
        sentinel_password: from.0.get(password).map(|_| from.secret(password)),
        master: from.word("redis.master"),
    }
}

fn timescale(from: &Typed<'_>) -> Timescale {
    let written = |key: &str| from.0.get(key).is_some();
    let span = |key: &str| written(key).then(|| from.span(key));
    Timescale {
        url: from.url("timescale.url"),
        feed: from.feed("timescale.feed"),
        direct_url: written("timescale.direct_url").then(|| from.url("timescale.direct_url")),
        chunk_interval: span("timescale.chunk_interval"),
        keep_generation: from.span("timescale.keep_generation"),
        keep_age: span("timescale.keep_age"),
        columnstore: from.switch("timescale.columnstore"),
        columnstore_age: from.span("timescale.columnstore_age"),
        upkeep_interval: from.span("timescale.upkeep_interval"),
        synchronous_commit: from.switch("timescale.synchronous_commit"),
        counter_history: span("timescale.counter_history"),
    }
}

fn telegram(from: &Typed<'_>, data_dir: &Path) -> Telegram {
    let chats = |path: &str| -> Vec<Chat> {
        let entries = from.list(path);
        entries
            .iter()
            .filter_map(|text| Chat::parse(text))
            .collect()
    };
    let narrow = |path: &str| u32::try_from(from.number(path)).unwrap_or(u32::MAX);
    let id = |path: &str| i32::try_from(from.number(path)).unwrap_or(i32::MAX);
    let everything = from.list("telegram.follow") == [ALL];
    Telegram {
        api_id: id("telegram.api_id"),
        api_hash: from.secret("telegram.api_hash"),
        session_key: from.session_key("telegram.session_key"),
        accounts: from.list("telegram.accounts").to_vec(),
        follow: match everything {
            true => Follow::All,
            false => Follow::Only(chats("telegram.follow")),
        },
        hot: chats("telegram.hot"),
        private_chats: from.switch("telegram.private_chats"),
        dc: from.0.section("telegram.dc").map(|_| DataCentre {
            id: id("telegram.dc.id"),
            address: from.socket("telegram.dc.address"),
            auth_key: from.auth_key("telegram.dc.auth_key_file"),
        }),
        backfill_depth: narrow("telegram.backfill_depth"),
        requests_per_minute: narrow("telegram.requests_per_minute"),
        reconcile_interval: from.span("telegram.reconcile_interval"),
        media: Media {
            download: from.list("telegram.media.download").to_vec(),
            bytes_max: from.number("telegram.media.bytes_max"),
            store_bytes_max: from.number("telegram.media.store_bytes_max"),
            folder: data_dir.join(from.path("telegram.media.folder")),
            requests_per_minute: narrow("telegram.media.requests_per_minute"),
        },
    }
}

/// Settings by kind.
struct Typed<'a>(&'a Layers);

impl Typed<'_> {
    fn value(&self, path: &str) -> Option<&Value> {
        self.0.get(path).map(|setting| &setting.value)
    }

    fn number(&self, path: &str) -> u64 {
        match self.value(path) {
            Some(Value::Number(number)) => *number,
            _ => not_in_table(path),
        }
    }

    fn size(&self, path: &str) -> usize {
        usize::try_from(self.number(path)).unwrap_or(usize::MAX)
    }

    fn span(&self, path: &str) -> Duration {
        match self.value(path) {
            Some(Value::Span(span)) => *span,
            _ => not_in_table(path),
        }
    }

    fn switch(&self, path: &str) -> bool {
        match self.value(path) {
            Some(Value::Switch(on)) => *on,
            _ => not_in_table(path),
        }
    }

    fn word(&self, path: &str) -> String {
        match self.value(path) {
            Some(Value::Word(word)) => word.clone(),
            _ => not_in_table(path),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        match self.value(path) {
            Some(Value::Path(path)) => path.clone(),
            _ => not_in_table(path),
        }
    }

    /// The entries of a list; none when nothing is written.
    fn list(&self, path: &str) -> &[String] {
        match self.value(path) {
            Some(Value::List(entries)) => entries,
            None => &[],
            Some(_) => not_in_table(path),
        }
    }

    fn hosts(&self, path: &str) -> Vec<(String, u16)> {
        let hosts = self.list(path).iter().filter_map(|entry| list::host(entry));
        hosts
            .map(|(host, port)| (host.trim_matches(['[', ']']).to_owned(), port))
            .collect()
    }

    fn secret(&self, path: &str) -> Secret {
        match self.value(path) {
            Some(Value::Secret(secret)) => secret.clone(),
            _ => not_in_table(path),
        }
    }

    fn session_key(&self, path: &str) -> SessionKey {
        match self.value(path) {
            Some(Value::SessionKey(key)) => key.clone(),
            _ => not_in_table(path),
        }
    }

    fn auth_key(&self, path: &str) -> AuthKey {
        match self.value(path) {
            Some(Value::AuthKey(key)) => AuthKey::clone(key),
            _ => not_in_table(path),
        }
    }

    fn token(&self, path: &str) -> Token {
        match self.value(path) {
            Some(Value::Token(token)) => token.clone(),
            _ => not_in_table(path),
        }
    }

    fn feed(&self, path: &str) -> Feed {
        match self.word(path).as_str() {
            "elsewhere" => Feed::Elsewhere,
            _ => Feed::Here,
        }
    }

    fn socket(&self, path: &str) -> SocketAddrV4 {
        match self.value(path) {
            Some(Value::Socket(address)) => *address,
            _ => not_in_table(path),
        }
    }

    fn url(&self, path: &str) -> BackendUrl {
        match self.value(path) {
            Some(Value::Url(url)) => url.clone(),
            _ => not_in_table(path),
        }
    }
}

/// The paths above are literals of this file and the tests load every one of them.
fn not_in_table(path: &str) -> ! {
    unreachable!("{path} is not in the table of keys with this kind")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
            .collect();
        load(&Sources {
            environment,
            ..Sources::default()
        })
    }

    #[test]
    fn nothing_written_is_the_embedded_gateway() {
        let config = loaded(&[]).expect("defaults are legal").config;
        assert_eq!(config, Config::default());
        assert_eq!(config.wal.segment_bytes_max, 64 << 20);
        assert_eq!(config.relay.backoff_max, Duration::from_secs(30));
        assert!(config.rabbitmq.is_none() && config.timescale.is_none() && config.redis.is_none());
        let sqlite = config.sqlite.expect("on without a server");
        assert_eq!(
            sqlite.path,
            PathBuf::from("telegram-gateway-data/messages.sqlite")
        );
    }

    #[test]
    fn every_section_can_be_switched_on() {
        let config = loaded(&[
            ("TGW_RABBITMQ__URL", "amqp://u:p@127.0.0.1/v"),
            ("TGW_TIMESCALE__URL", "postgres://u:p@db.example/d"),
            ("TGW_TIMESCALE__DIRECT_URL", "postgres://u:p@localhost/d"),
            ("TGW_REDIS__URL", "redis://localhost"),
        ])
        .expect("legal")
        .config;
        assert_eq!(config.rabbitmq.expect("on").prefetch, 64);
        assert_eq!(config.redis.expect("on").prefix, "tgw");
        let timescale = config.timescale.expect("on");
        assert!(timescale.url.expose().ends_with("?sslmode=verify-full"));
        assert!(timescale.direct_url.is_some());
        assert_eq!(config.sqlite, None);
    }

    #[test]
    fn sqlite_runs_beside_timescale_when_its_path_is_written() {
        let config = loaded(&[
            ("TGW_TIMESCALE__URL", "postgres://localhost/d"),
            ("TGW_SQLITE__PATH", "/srv/copy.sqlite"),
        ])
        .expect("legal")
        .config;
        assert_eq!(
            config.sqlite.expect("on").path,
            PathBuf::from("/srv/copy.sqlite")
        );
    }
}

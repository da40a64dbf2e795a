//! The program as its user meets it: help, exit codes, and a configuration whose mistakes are all told at once.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use telegram_gateway::config;

use crate::support::blessed::is_blessed;
use crate::support::gateway::repository;

/// A password that no output may hold, in any form.
const CANARY: &str = "c4n4ry/p?ss";
/// The same as an address carries it.
const CANARY_ENCODED: &str = "c4n4ry%2Fp%3Fss";
/// And base64, with and without the user in front, as HTTP and AMQP logins do.
const CANARY_BASE64: [&str; 3] = [
    "YzRuNHJ5L3A/c3",
    "dGd3OmM0bjRyeS9wP3Nz",
    "AHRndwBjNG40cnkvcD9zc",
];

/// A folder with the program in it, away from the environment of whoever runs the tests.
struct Bench {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            folder: tempfile::tempdir().expect("a folder"),
            variables: Vec::new(),
        }
    }

    fn env(mut self, name: &str, value: &str) -> Bench {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn file(self, name: &str, text: &str, mode: u32) -> Bench {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("mode set");
        self
    }

    fn config(self, text: &str) -> Bench {
        self.file("gateway.toml", text, 0o600)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_telegram-gateway"));
        command
            .args(line.split_whitespace())
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Ran {
        Ran::from(self.command(line).output().expect("the program starts"))
    }
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Ran {
    #[track_caller]
    fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn errs(self, text: &str) -> Ran {
        assert!(self.err.contains(text), "no {text:?} in:\n{}", self.err);
        self
    }

    #[track_caller]
    fn prints(self, text: &str) -> Ran {
        assert!(self.out.contains(text), "no {text:?} in:\n{}", self.out);
        self
    }

    #[track_caller]
    fn keeps_the_secret(self) -> Ran {
        let all = format!("{}{}", self.out, self.err);
        for form in [CANARY, CANARY_ENCODED].iter().chain(&CANARY_BASE64) {
            assert!(!all.contains(form), "{form:?} in:\n{all}");
        }
        self
    }
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "",
        "demo",
        "run",
        "project",
        "import",
        "replay",
        "republish",
        "quarantine",
        "quarantine list",
        "quarantine retry",
        "quarantine drop",
        "rebuild",
        "generation",
        "generation list",
        "generation rollback",
        "generation drop",
        "verify",
        "status",
        "bench",
        "config",
        "wal",
        "wal stat",
        "wal dump",
        "wal tail",
        "wal seal",
        "wal trim",
        "wal salvage",
        "wal compact",
        "login",
        "logout",
        "session",
        "session status",
        "channels",
        "channels list",
        "channels resolve",
        "channels discover",
        "backfill",
        "backfill status",
        "backfill cancel",
        "backup",
        "backup verify",
        "restore",
        "bench rebuild",
        "bench log",
        "config check",
        "config show",
        "config defaults",
    ] {
        let ran = Bench::new().run(&format!("{command} --help")).exits(0);
        assert!(ran.out.contains("Usage: telegram-gateway"), "{}", ran.out);
        assert!(ran.err.is_empty(), "{}", ran.err);
        let widest = ran.out.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(110), "{command}: {widest:?} wide");
    }
    Bench::new()
        .run("--version")
        .exits(0)
        .prints("telegram-gateway ");
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for line in [
        "--colour",
        "run --loud",
        "reply",
        "verify",
        "replay --to redis --from 0",
        "wal",
        "wal dump --from 9 --until 8",
        "wal trim --keep-from 0",
        "login --bot --qr",
        "session",
        "channels",
        "channels resolve durov",
        "channels resolve 4242",
        "backfill",
        "backfill --channel @durov --since yesterday",
        "backfill --channel @durov --limit 0",
        "backfill cancel",
        "backup",
        "backup verify",
        "restore b --fence 0",
        "generation",
        "generation drop 0",
    ] {
        let ran = Bench::new().run(line).exits(2);
        assert!(ran.out.is_empty(), "{line}: {}", ran.out);
    }
    Bench::new()
        .run("config check --log =x=")
        .exits(2)
        .errs("hint: ");
}

#[test]
fn broken_files_are_told_as_the_snapshots_say() {
    let folder = repository("fixtures/config/broken");
    let mut names: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    names.sort();
    assert!(names.len() >= 20, "only {} broken files", names.len());
    for path in names {
        let text = fs::read_to_string(&path).expect("text");
        let ran = Bench::new()
            .config(&text)
            .run("config check --config gateway.toml");
        for secret in ["canary", "can/ary", "can ary"] {
            assert!(!ran.err.contains(secret), "a secret is shown:\n{}", ran.err);
        }
        let ran = ran.exits(78);
        assert!(ran.out.is_empty());
        is_blessed(&path.with_extension("txt"), &ran.err);
    }
}

#[test]
fn problems_of_file_and_environment_come_together() {
    Bench::new()
        .config("[wal]\nsegmnt_age_max = \"1d\"\n\n[relay]\n  window = 0\n")
        .env("TGW_CONFIG", "gateway.toml")
        .env("TGW_REDIS__TTL", "1w")
        .env("TGW_REDIS__TTTL", "7d")
        .env("TGW_WAL_SEGMENT_AGE_MAX", "2d")
        .run("config check --data-dir=")
        .exits(2);
    Bench::new()
        .config("[wal]\nsegmnt_age_max = \"1d\"\n\n[relay]\n  window = 0\n")
        .env("TGW_CONFIG", "gateway.toml")
        .env("TGW_REDIS__TTL", "1w")
        .env("TGW_REDIS__TTTL", "7d")
        .env("TGW_WAL_SEGMENT_AGE_MAX", "2d")
        .run("config check")
        .exits(78)
        .errs("error: the configuration has 6 problems\n")
        .errs("gateway.toml:2:1: unknown key `segmnt_age_max` in [wal]\n")
        .errs("hint: did you mean `segment_age_max`?\n")
        .errs("gateway.toml:5:12: relay.window = 0 is below its limit\n")
        .errs("environment variable TGW_REDIS__TTL: redis.ttl cannot be \"1w\"\n")
        .errs("hint: did you mean TGW_REDIS__TTL?\n")
        .errs("hint: did you mean TGW_WAL__SEGMENT_AGE_MAX?\n")
        .errs("[redis] is switched on without redis.url\n");
}

#[test]
fn later_layers_win_and_say_so() {
    let file = "data_dir = \"from-file\"\n[relay]\nwindow = 10\nframe_events_max = 11\n";
    let bench = Bench::new()
        .config(file)
        .env("TGW_RELAY__WINDOW", "20")
        .env("TGW_DATA_DIR", "from-environment")
        .env("TGW_TEST_PG_PORT", "1")
        .env("TGW_SERVICES_DIR", "x")
        .env("TGW_FAST", "1");
    bench
        .run("config show --config gateway.toml --data-dir from-flag")
        .exits(0)
        .prints("data_dir = \"from-flag\"")
        .prints("# flag --data-dir\n")
        .prints("window = 20")
        .prints("# environment variable TGW_RELAY__WINDOW\n")
        .prints("frame_events_max = 11")
        .prints("# gateway.toml:4:20\n")
        .prints("backoff_max = \"30s\"")
        .prints("path = \"from-flag/messages.sqlite\"");
    bench
        .run("config show")
        .exits(0)
        .prints("\"from-environment\"");
    let json = bench
        .run("config show --json --config gateway.toml")
        .exits(0);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    let entry = |key: &str| {
        let values = json["values"].as_array().expect("a list");
        let found = values.iter().find(|entry| entry["key"] == key);
        found.unwrap_or_else(|| panic!("no {key}")).clone()
    };
    assert_eq!(entry("relay.window")["value"], 20);
    assert_eq!(entry("relay.window")["at"], "TGW_RELAY__WINDOW");
    assert_eq!(entry("relay.frame_events_max")["origin"], "file");
    assert_eq!(entry("wal.segment_bytes_max")["value"], "64MiB");
    assert_eq!(
        json["off"],
        serde_json::json!([
            "telegram",
            "rabbitmq",
            "timescale",
            "redis",
            "serve",
            "edge"
        ])
    );
}

#[test]
fn an_unreadable_file_is_a_wrong_configuration() {
    let bench = Bench::new();
    bench
        .run("config check --config none.toml")
        .exits(78)
        .errs("none.toml: cannot read");
    bench
        .run("config check --config .")
        .exits(78)
        .errs("is a folder");
    let big = Bench::new().config(&"# 3456789\n".repeat(200_000));
    big.run("config check --config gateway.toml")
        .exits(78)
        .errs("larger than 1 MiB");
    bench.run("config check").exits(0);
}

/// The secret is in the file, in a secret file, in a variable and in a credential, all at once.
fn with_secrets_everywhere(tail: &str) -> Bench {
    let login = format!("tgw:{CANARY_ENCODED}");
    let config = format!(
        "[rabbitmq]\nurl = \"amqp://{login}@127.0.0.1/telegram\"\n\
         [timescale]\nurl = {{ file = \"timescale.url\" }}\ndirect_url = {{ env = \"DIRECT\" }}\n\
         [redis]\nurl = {{ credential = \"redis\" }}\n{tail}"
    );
    let postgres = format!("postgres://{login}@127.0.0.1/telegram?password={CANARY_ENCODED}");
    let bench = Bench::new()
        .config(&config)
        .file("timescale.url", &format!("{postgres}\r\n"), 0o400)
        .file(
            "redis",
            &format!("redis://:{CANARY_ENCODED}@localhost/0\n"),
            0o440,
        )
        .env("DIRECT", &postgres);
    let folder = bench.folder.path().display().to_string();
    bench.env("CREDENTIALS_DIRECTORY", &folder)
}

#[test]
fn secrets_are_never_shown() {
    let bench = with_secrets_everywhere("");
    for line in [
        "config show",
        "config show --json",
        "config check",
        "-vv config check",
    ] {
        let ran = bench.run(&format!("{line} --config gateway.toml"));
        ran.exits(0).keeps_the_secret();
    }
    bench
        .run("config show --config gateway.toml")
        .prints("url = \"amqp://tgw:***@127.0.0.1/telegram\"")
        .prints("secret file timescale.url")
        .prints("secret in variable DIRECT")
        .prints("credential redis");
    let broken = with_secrets_everywhere("window = 0\n[rabbitmq.more]\nx = 1\n[wal]\n= 3\n");
    let ran = broken.run("config show --config gateway.toml").exits(78);
    ran.keeps_the_secret();
    let url = format!("amqp://tgw:{CANARY}@127.0.0.1/telegram");
    for name in [
        "TGW_RABBITMQ__URL",
        "TGW_REDIS__URL",
        "TGW_TIMESCALE__URL__FILE",
    ] {
        let ran = Bench::new().env(name, &url).run("config check");
        ran.exits(78).keeps_the_secret();
    }
}

#[test]
fn debug_of_a_loaded_configuration_keeps_the_secret() {
    let bench = with_secrets_everywhere("");
    let environment = bench.variables.iter();
    let loaded = config::load(&config::Sources {
        file: Some(bench.folder.path().join("gateway.toml")),
        environment: environment
            .map(|(n, v)| (n.clone(), Some(v.clone())))
            .collect(),
        data_dir: None,
    });
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
    let redis = loaded.config.redis.as_ref().expect("on");
    assert_eq!(
        redis.url.expose(),
        format!("redis://:{CANARY_ENCODED}@localhost/0")
    );
    let out = format!("{loaded:?} {loaded:#?} {:?}", loaded.shown());
    let ran = Ran {
        code: Some(0),
        out,
        err: String::new(),
    };
    ran.keeps_the_secret();
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let url = format!("amqp://tgw:{CANARY_ENCODED}@127.0.0.1/telegram");
    let inline = format!("[rabbitmq]\nurl = \"{url}\"\n");
    let check = "config check --config gateway.toml";
    let open = Bench::new().file("gateway.toml", &inline, 0o644);
    open.run(check)
        .exits(78)
        .errs("gateway.toml:2:7: rabbitmq.url has a password")
        .errs("chmod 600 gateway.toml")
        .keeps_the_secret();
    let without = "[rabbitmq]\nurl = \"amqp://127.0.0.1/telegram\"\n";
    Bench::new()
        .file("gateway.toml", without, 0o644)
        .run(check)
        .exits(0);
    let refers = "[rabbitmq]\nurl = { file = \"secret\" }\n";
    for (mode, code) in [
        (0o644, 78),
        (0o640, 78),
        (0o602, 78),
        (0o600, 0),
        (0o400, 0),
    ] {
        let bench = Bench::new().config(refers).file("secret", &url, mode);
        let ran = bench.run(check).exits(code).keeps_the_secret();
        if code == 78 {
            ran.errs("run: chmod 600 secret");
        }
    }
    let empty = Bench::new().config(refers).file("secret", "\n", 0o600);
    empty.run(check).exits(78).errs("is empty");
    let large = Bench::new()
        .config(refers)
        .file("secret", &"x".repeat(70_000), 0o600);
    large.run(check).exits(78).errs("larger than 64 KiB");
}

#[test]
fn the_example_file_is_right_and_complete() {
    let text = fs::read_to_string(repository("deploy/gateway.example.toml")).expect("example");
    let postgres = "postgres://tgw:x@db.example/telegram\n";
    let bench = Bench::new()
        .config(&text)
        .file("timescale.url", postgres, 0o600)
        .file("timescale-direct.url", postgres, 0o600)
        .file("rabbitmq", "amqps://tgw:x@mq.example/telegram\n", 0o400)
        .env("TELEGRAM_GATEWAY_REDIS", "redis://127.0.0.1/0");
    let folder = bench.folder.path().display().to_string();
    let bench = bench.env("CREDENTIALS_DIRECTORY", &folder);
    let ran = bench.run("config show --config gateway.toml").exits(0);
    assert!(
        !ran.out.contains("# default"),
        "a key is missing:\n{}",
        ran.out
    );
    let example: toml::Table = text.parse().expect("TOML");
    for (section, keys) in example
        .iter()
        .filter_map(|(name, v)| Some((name, v.as_table()?)))
    {
        for key in keys.keys() {
            let known = config::reference_markdown().contains(&format!("| `{key}` |"));
            assert!(known, "{section}.{key} is not documented");
        }
    }
}

//! The command line: what can be asked for, and who answers.
//!
//! | file | what |
//! |---|---|
//! | `args` | every command with its arguments and help |
//! | `demo` `run` `import` `replay` `verify` `status` `bench` `config` | one command each (`replay`: `rebuild` too) |
//! | `generation` | the generations of TimescaleDB, and its rebuild |
//! | `wal` | what is done with the log itself: `stat`, `dump`, `tail`, `seal`, `trim` |
//! | `project` | a projector on another machine than the log |
//! | `republish` | a range once more, to one queue of the broker |
//! | `quarantine` | what the stores could not apply |
//! | `backup` | `backup` and `restore` |
//! | `telegram` | `login`, `logout`, `session`, `channels` and `backfill` |
//! | `media` | files that were downloaded |
//! | `stores` | the configured stores |
//! | `confirm` | asking before something is lost |
//! | `view` | the live view |
//! | `output` | data to stdout, words and errors to stderr |

mod args;
mod backup;
mod bench;
mod config;
mod confirm;
mod demo;
mod generation;
mod import;
mod media;
pub mod output;
mod project;
mod quarantine;
mod replay;
mod republish;
mod run;
mod status;
mod stores;
mod telegram;
mod verify;
mod view;
mod wal;

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use tokio_util::sync::CancellationToken;

pub use self::backup::args::{BackupArgs, BackupCommand, RestoreArgs};
pub use self::bench::args::{BenchArgs, BenchCommand};
pub use self::generation::args::{GenerationArgs, GenerationCommand};
pub use self::media::args::{MediaArgs, MediaCommand, MediaListArgs, MediaShownArgs};
pub use self::project::{Fed, ProjectArgs};
pub use self::quarantine::args::{ChosenArgs, QuarantineArgs, QuarantineCommand};
pub use self::republish::RepublishArgs;
pub use self::telegram::args::{
    BackfillArgs, BackfillCommand, BackfillStatusArgs, CancelArgs, ChannelsArgs, ChannelsCommand,
    DiscoverArgs, ListArgs, LoginArgs, LogoutArgs, ResolveArgs, SessionArgs, SessionCommand,
    SessionStatusArgs,
};
pub use self::wal::args::{DumpArgs, TailArgs, TrimArgs, WalArgs, WalCommand};
pub use args::{
    Cli, Command, ConfigArgs, ConfigCommand, DemoArgs, Globals, ImportArgs, Projection,
    RebuildArgs, ReplayArgs, RunArgs, SourceSpec, StatusArgs, VerifyArgs, VerifyTarget,
};
pub use bench::Task as BenchTask;
pub use output::{CommandError, CommandResult};

use crate::config::{ConfigError, Loaded, Sources, load};
use crate::failure::{Class, Classify};
use crate::{shutdown, telemetry};

impl Globals {
    /// The configuration that the flags, the environment and the file make together.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        load(&self.sources())
    }

    fn sources(&self) -> Sources {
        let file = self.config.clone().or_else(|| {
            let named = std::env::var_os("TGW_CONFIG");
            named.filter(|name| !name.is_empty()).map(PathBuf::from)
        });
        Sources {
            file,
            environment: Sources::process_environment(),
            data_dir: self.data_dir.clone(),
        }
    }

    /// The configuration of `demo`: the defaults in a folder of its own. Neither file nor environment is read: made-up
    /// messages must never reach the servers and the log of a real gateway.
    pub fn load_demo(&self) -> Result<Loaded, ConfigError> {
        let own = || PathBuf::from(DEMO_DATA_DIR);
        load(&Sources {
            data_dir: Some(self.data_dir.clone().unwrap_or_else(own)),
            ..Sources::default()
        })
    }
}

/// Where `demo` keeps its data.
pub const DEMO_DATA_DIR: &str = "telegram-gateway-demo";

/// Reads the command line. Ends the process for `--help` (0) and for mistakes (2).
pub fn parse() -> Cli {
    let cli = Cli::parse();
    if let Err(mistake) = check(&cli) {
        mistake.exit();
    }
    cli
}

/// Rules that the argument parser cannot know.
fn check(cli: &Cli) -> Result<(), clap::Error> {
    let conflict = |text: &str| Err(Cli::command().error(ErrorKind::ArgumentConflict, text));
    match &cli.command {
        Command::Demo(_) if cli.globals.config.is_some() => {
            conflict("demo runs on defaults in a folder of its own and takes no --config")
        }
        Command::Run(args)
            if matches!(args.source, Some(SourceSpec::Script(_)))
                && (args.rate.is_some() || args.seed.is_some()) =>
        {
            conflict("--rate and --seed belong to --source synthetic")
        }
        Command::Wal(WalArgs {
            command: WalCommand::Dump(args),
        }) if matches!((args.from, args.until), (Some(from), Some(until)) if from > until) => {
            conflict("--from is after --until")
        }
        Command::Replay(args) if matches!((args.from, args.until), (Some(from), Some(until)) if from > until) => {
            conflict("--from is after --until")
        }
        Command::Republish(args) if args.until.is_some_and(|until| args.from > until) => {
            conflict("--from is after --until")
        }
        Command::Replay(args) if matches!((args.since, args.before), (Some(since), Some(before)) if since >= before) => {
            conflict("--since is not before --before")
        }
        _ => Ok(()),
    }
}

/// Runs a command to its end.
pub async fn run(cli: Cli) -> CommandResult {
    let globals = cli.globals;
    telemetry::install(
        globals.log_format,
        telemetry::level(globals.verbose, globals.quiet),
        globals.log.as_deref(),
    )?;
    match cli.command {
        Command::Config(args) => config::run(&globals, &args),
        Command::Demo(args) => demo::run(&globals, &args).await,
        Command::Run(args) => run::run(&globals, &args).await,
        Command::Project(args) => project::run(&globals, &args).await,
        Command::Import(args) => import::run(&globals, &args).await,
        Command::Replay(args) => replay::replay(&globals, &args).await,
        Command::Republish(args) => republish::run(&globals, &args).await,
        Command::Quarantine(args) => quarantine::run(&globals, &args).await,
        Command::Rebuild(args) => replay::rebuild(&globals, &args).await,
        Command::Generation(args) => generation::run(&globals, &args).await,
        Command::Verify(args) => verify::run(&globals, &args).await,
        Command::Status(args) => status::run(&globals, &args).await,
        Command::Wal(args) => self::wal::run(&globals, &args).await,
        Command::Backup(args) => backup::run(&globals, &args).await,
        Command::Restore(args) => backup::restore(&globals, &args).await,
        Command::Login(args) => telegram::login(&globals, &args).await,
        Command::Logout(args) => telegram::logout(&globals, &args).await,
        Command::Session(args) => telegram::session(&globals, &args),
        Command::Channels(args) => telegram::channels(&globals, &args).await,
        Command::Backfill(args) => telegram::backfill(&globals, &args).await,
        Command::Media(args) => media::run(&globals, &args).await,
        Command::Bench(args) => bench::command(&globals, args).await,
    }
}

/// Stops at the first SIGTERM or SIGINT, and ends the process at the second.
fn stop_on_signals() -> Result<CancellationToken, SignalError> {
    shutdown::listen().map_err(SignalError)
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen for signals")]
struct SignalError(#[source] std::io::Error);

impl Classify for SignalError {
    fn class(&self) -> Class {
        Class::Operator
    }
}

impl Classify for telemetry::TelemetryError {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn hint(&self) -> Option<String> {
        Some("write it as in --log info,telegram_gateway::relay=debug".to_owned())
    }

    fn exit(&self) -> crate::failure::Exit {
        crate::failure::Exit::Usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(line: &str) -> Option<ErrorKind> {
        let parsed = Cli::try_parse_from(line.split_whitespace()).and_then(|cli| check(&cli));
        parsed.err().map(|error| error.kind())
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_reads_the_whole_log_gives_way_and_the_daemon_does_not() {
        let gives_way = |line: &str| {
            let parsed = Cli::try_parse_from(line.split_whitespace());
            parsed.expect(line).command.gives_way()
        };
        for line in [
            "t verify log",
            "t backup /b",
            "t rebuild sqlite",
            "t replay --to sqlite",
            "t wal dump",
        ] {
            assert!(gives_way(line), "{line}");
        }
        for line in [
            "t run",
            "t import x",
            "t wal tail",
            "t wal seal",
            "t bench",
            "t restore /b",
        ] {
            assert!(!gives_way(line), "{line}");
        }
    }

    #[test]
    fn arguments_that_contradict_each_other_are_refused() {
        for (line, expected) in [
            ("t demo --seconds 5 --rate 10", None),
            ("t demo --config x", Some(ErrorKind::ArgumentConflict)),
            ("t run --source script:a.jsonl --drain", None),
            (
                "t run --source synthetic --rate 500 --seed 2 --events 10",
                None,
            ),
            ("t run --rate 5", Some(ErrorKind::MissingRequiredArgument)),
            ("t run --drain", None),
            ("t run --source synthetic --rate 0", None),
            ("t run --source ftp:x", Some(ErrorKind::ValueValidation)),
            (
                "t run --source script:a --seed 2",
                Some(ErrorKind::ArgumentConflict),
            ),
            ("t import", Some(ErrorKind::MissingRequiredArgument)),
            (
                "t import a.json --source-timezone Europe/Berlin --dry-run",
                None,
            ),
            (
                "t import a.json --source-timezone Mars",
                Some(ErrorKind::ValueValidation),
            ),
            ("t replay", Some(ErrorKind::MissingRequiredArgument)),
            ("t replay --to redis --peer -1001234567890 --peer 5", None),
            (
                "t replay --to redis --peer 0",
                Some(ErrorKind::ValueValidation),
            ),
            (
                "t replay --to redis --from 0",
                Some(ErrorKind::ValueValidation),
            ),
            (
                "t replay --to redis --from 9 --until 8",
                Some(ErrorKind::ArgumentConflict),
            ),
            ("t replay --to redis --since 2026-01-31T12:00:00Z", None),
            (
                "t replay --to redis --since 2026-01-31T12:00:00",
                Some(ErrorKind::ValueValidation),
            ),
            ("t rebuild sqlite --yes", None),
            ("t rebuild mysql", Some(ErrorKind::InvalidValue)),
            ("t generation drop 2 --yes", None),
            ("t generation drop 0", Some(ErrorKind::ValueValidation)),
            ("t verify all --json", None),
            ("t verify", Some(ErrorKind::MissingRequiredArgument)),
            ("t bench --rate 50 --seconds 10", None),
            ("t bench --flat-out --events 1000", None),
            (
                "t bench --flat-out --rate 5",
                Some(ErrorKind::ArgumentConflict),
            ),
            ("t bench rebuild sqlite --events 100", None),
            ("t bench log --size 1GiB --json", None),
            ("t bench log --size 1MiB", Some(ErrorKind::ValueValidation)),
            ("t -v -q status", Some(ErrorKind::ArgumentConflict)),
            ("t status --json --data-dir d", None),
            (
                "t config",
                Some(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ),
        ] {
            assert_eq!(mistake(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_fed_published_or_tried_again_is_named() {
        for (line, expected) in [
            ("t republish --queue app --from 1 --until 9", None),
            (
                "t republish --queue app --from 9 --until 8",
                Some(ErrorKind::ArgumentConflict),
            ),
            (
                "t republish --from 9",
                Some(ErrorKind::MissingRequiredArgument),
            ),
            ("t project timescale", None),
            ("t project sqlite", Some(ErrorKind::InvalidValue)),
            ("t quarantine list", None),
            ("t quarantine list redis --json", None),
            ("t quarantine retry sqlite --seq 7 --seq 8", None),
            ("t quarantine drop timescale --all --yes", None),
            (
                "t quarantine retry sqlite",
                Some(ErrorKind::MissingRequiredArgument),
            ),
            (
                "t quarantine drop sqlite --all --seq 7",
                Some(ErrorKind::ArgumentConflict),
            ),
        ] {
            assert_eq!(mistake(line), expected, "{line}");
        }
    }

    #[test]
    fn a_backup_and_a_restore_have_one_place() {
        for (line, expected) in [
            ("t backup /b --json", None),
            ("t backup -", None),
            ("t backup verify /b", None),
            ("t backup", Some(ErrorKind::MissingRequiredArgument)),
            ("t backup verify", Some(ErrorKind::MissingRequiredArgument)),
            (
                "t backup --json verify /b",
                Some(ErrorKind::ArgumentConflict),
            ),
            ("t restore - --fence 100", None),
            ("t restore", Some(ErrorKind::MissingRequiredArgument)),
            ("t restore /b --fence 0", Some(ErrorKind::ValueValidation)),
        ] {
            assert_eq!(mistake(line), expected, "{line}");
        }
    }
}

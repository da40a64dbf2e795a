//! `republish`: a range of the log once more, to the queue of one program.

use std::time::{Duration, Instant};

use clap::Args;

use super::args::Globals;
use super::{CommandResult, output};
use crate::failure::{Class, Classify, Exit};
use crate::journal::JournalReader;
use crate::relay::republish::{self, Options, Progress};

/// A line of progress this often.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// As many messages may wait for their confirm for each frame that the setting allows.
const MESSAGES_PER_FRAME: usize = 8;

const AFTER: &str = "\
The messages of telegram.event/1 go to the queue by its name, and to nobody else. They are what they were, with their
message ids, and have the header `replayed`; the header `routing_key` says by which key they came first.
The queue must exist: the program that reads it declares it.
Exit codes: 0 the broker has confirmed all of it, 1 no such queue or stopped, 69 server unreachable, 77 not allowed.

Example:
  telegram-gateway republish --queue trading-bot --from 1000 --until 2000";

/// Arguments of `republish`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct RepublishArgs {
    /// The queue
    #[arg(long, value_name = "NAME")]
    pub queue: String,
    /// First sequence number
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub from: u64,
    /// Last sequence number, included [default: last of the log]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub until: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// There is no broker.
#[derive(Debug, thiserror::Error)]
#[error("rabbitmq is not configured")]
struct NoBroker;

impl Classify for NoBroker {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn hint(&self) -> Option<String> {
        Some("set url in the section [rabbitmq] of the file given with --config, or TGW_RABBITMQ__URL".to_owned())
    }

    fn exit(&self) -> Exit {
        Exit::Config
    }
}

/// What was asked for is not in the log.
#[derive(Debug, thiserror::Error)]
#[error("the log holds {first}..={tail}, and nothing of {from}..={until}")]
struct NotThere {
    first: u64,
    tail: u64,
    from: u64,
    until: u64,
}

impl Classify for NotThere {
    fn class(&self) -> Class {
        Class::Operator
    }
}

pub(super) async fn run(globals: &Globals, args: &RepublishArgs) -> CommandResult {
    let config = globals.load()?.config;
    let rabbitmq = config.rabbitmq.as_ref().ok_or(NoBroker)?;
    let journal = JournalReader::of(&config)?;
    let tail = journal.refresh().await?;
    let first = journal.first().await?.map_or(0, wal::Seq::get);
    let (from, until) = (args.from.max(first), args.until.unwrap_or(tail).min(tail));
    if first == 0 || from > until {
        let (from, until) = (args.from, args.until.unwrap_or(tail));
        return Err(NotThere {
            first,
            tail,
            from,
            until,
        }
        .into());
    }
    if from > args.from {
        output::say(&format!(
            "the log begins at {first}: what was before it is gone"
        ));
    }
    let options = Options {
        url: rabbitmq.url.clone(),
        queue: args.queue.clone(),
        from,
        until,
        window: config.relay.window.saturating_mul(MESSAGES_PER_FRAME),
        per_second_max: rabbitmq.events_per_second_max,
    };
    let stop = super::stop_on_signals()?;
    let done = republish::run(&journal, &options, &mut reporter(), &stop).await?;
    output::result(&done, args.json, |done| {
        format!(
            "published {} events ({}..={}) to {} once more",
            done.published, done.from, done.until, done.queue
        )
    })?;
    Ok(Exit::Ok)
}

/// Says how far it is.
fn reporter() -> impl FnMut(&Progress) + Send {
    let mut said = Instant::now();
    move |progress| {
        if said.elapsed() >= LINE_EVERY {
            said = Instant::now();
            let why = match progress.blocked {
                true => ": the broker lets nobody publish at the moment",
                false => "",
            };
            output::say(&format!("at {} of {}{why}", progress.at, progress.until));
        }
    }
}

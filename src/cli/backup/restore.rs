//! `restore`: a log made again, behind everything that its stores have seen.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;

use serde::Serialize;
use wal::{Fence, Identity, Restored, Seq};

use super::args::RestoreArgs;
use super::error::{self, Failed};
use super::{Said, is_stream};
use crate::cli::args::Globals;
use crate::cli::{CommandError, CommandResult, output, stores};
use crate::config::Config;
use crate::failure::Exit;
use crate::journal::{LOG_DIR, prepare};
use crate::store::ProjectionName;

#[derive(Debug, Serialize)]
struct Report {
    data_dir: String,
    log_id: String,
    epoch: u32,
    segments: usize,
    records: u64,
    /// First and last number that came back; 0 for none.
    first: u64,
    last: u64,
    /// Numbers after `last` up to this are skipped for ever.
    fence: u64,
    /// Stores that have seen more than came back.
    ahead: Vec<Ahead>,
}

#[derive(Debug, Serialize)]
struct Ahead {
    store: &'static str,
    seq: u64,
}

/// Where a store is.
struct Known {
    name: ProjectionName,
    identity: Identity,
    seq: Seq,
}

pub(in crate::cli) async fn run(globals: &Globals, args: &RestoreArgs) -> CommandResult {
    if is_stream(&args.from) && std::io::stdin().is_terminal() {
        return Err(Failed::Terminal.into());
    }
    let config = globals.load()?.config;
    // The store may be a file in it.
    prepare(&config.data_dir)?;
    let known = ask(&config, args.fence.is_some()).await?;
    let done = make(&config, args, &known).await?;
    let report = Report::new(&config.data_dir, &done, &known);
    output::result(&report, args.json, text)?;
    Ok(Exit::Ok)
}

/// Asks every configured store where it is. One that does not say is passed over only when the fence is given.
async fn ask(config: &Config, has_fence: bool) -> Result<Vec<Known>, CommandError> {
    let mut known = Vec::new();
    for name in stores::configured(config) {
        let asked = stores::checkpoint(config, name).await;
        match asked.map_err(|error| error.line()) {
            Ok(None) => {}
            Ok(Some(it)) => known.push(Known {
                name,
                identity: it.identity,
                seq: it.seq,
            }),
            Err(why) if has_fence => {
                let why = output::escape(&why).into_owned();
                output::say(&format!("{name} cannot tell how far it is: {why}"));
            }
            Err(why) => return Err(Failed::Store { name, why }.into()),
        }
    }
    Ok(known)
}

async fn make(
    config: &Config,
    args: &RestoreArgs,
    known: &[Known],
) -> Result<Restored, CommandError> {
    let to = config.data_dir.join(LOG_DIR);
    let from = args.from.clone();
    let fence = args.fence.and_then(Seq::new);
    let known: Vec<(Identity, Seq)> = known.iter().map(|it| (it.identity, it.seq)).collect();
    let work = move || {
        let fence = Fence::Beyond {
            known: &known,
            to: fence,
        };
        let mut said = Said::new("restored");
        let mut progress = |done| said.at(done);
        if is_stream(&from) {
            wal::restore_tar(&mut std::io::stdin().lock(), &to, fence, &mut progress)
        } else {
            wal::restore(&from, &to, fence, &mut progress)
        }
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failed::Panicked)?.map_err(error::restore)
}

impl Report {
    fn new(data_dir: &Path, done: &Restored, known: &[Known]) -> Report {
        let last = done.last.map_or(0, Seq::get);
        let ahead = known.iter().filter(|it| {
            let ours = it.identity.log_id == done.identity.log_id;
            ours && it.seq.get() > last
        });
        Report {
            data_dir: data_dir.display().to_string(),
            log_id: done.identity.log_id.to_string(),
            epoch: done.identity.epoch,
            segments: done.segments,
            records: done.records,
            first: done.first.map_or(0, Seq::get),
            last,
            fence: done.tail.get(),
            ahead: ahead
                .map(|it| Ahead {
                    store: it.name.as_str(),
                    seq: it.seq.get(),
                })
                .collect(),
        }
    }
}

fn text(it: &Report) -> String {
    let mut text = format!(
        "log {} is restored in {}\n  {}..={}, {} records in {} segments, each checked\n  epoch {}",
        it.log_id, it.data_dir, it.first, it.last, it.records, it.segments, it.epoch,
    );
    if it.fence > it.last {
        let (first, fence) = (it.last + 1, it.fence);
        let _ = write!(text, "; numbers from {first} to {fence} are skipped");
    }
    for ahead in &it.ahead {
        let _ = write!(
            text,
            "\n  {} was at {}: what it has after {} stays in it, until `rebuild {0}`",
            ahead.store, ahead.seq, it.last
        );
    }
    text.push_str(
        "\nnext:\n  telegram-gateway run            the stores accept the new epoch; sources send again what they still have\
         \n  telegram-gateway import FILE... again, each export that was imported after the backup",
    );
    text
}

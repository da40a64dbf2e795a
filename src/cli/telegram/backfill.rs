//! `backfill`: the past of a channel, fetched by the running daemon.

use serde::Serialize;

use super::super::args::Globals;
use super::super::{CommandError, CommandResult, output};
use super::args::{BackfillArgs, BackfillCommand, BackfillStatusArgs, CancelArgs};
use super::hand::{self, Nonsense};
use super::{Setting, words};
use crate::cli::status::accounts;
use crate::config::Chat;
use crate::event::Since;
use crate::failure::Exit;
use crate::journal::JournalReader;
use crate::journal::control::{Answer, Command};
use crate::source::telegram::account::jobs;
use crate::status::{BackfillReport, ChatReport, StretchReport};

/// Messages that are fetched where neither how many nor how far back is said.
const LIMIT: u32 = 1000;
const LIMIT_MAX: u32 = 1_000_000;

pub(in crate::cli) async fn run(globals: &Globals, args: &BackfillArgs) -> CommandResult {
    match (&args.command, &args.channel) {
        (Some(BackfillCommand::Status(args)), _) => status(globals, args).await,
        (Some(BackfillCommand::Cancel(args)), _) => cancel(globals, args).await,
        (None, Some(channel)) => order(globals, args, channel).await,
        // The argument parser asks for a channel.
        (None, None) => Ok(Exit::Usage),
    }
}

#[derive(Debug, Serialize)]
struct Ordered {
    chat: ChatReport,
    /// Stretches of its past that are not done.
    waiting: usize,
}

async fn order(globals: &Globals, args: &BackfillArgs, channel: &Chat) -> CommandResult {
    let setting = Setting::load(globals)?;
    let limit = match args.since {
        Some(_) => LIMIT_MAX,
        None => LIMIT,
    };
    let command = Command::Backfill {
        account: setting.place(args.account.as_deref())?.account().to_owned(),
        chat: channel.to_string(),
        since: args.since.unwrap_or(Since::Beginning),
        limit: args.limit.unwrap_or(limit),
    };
    let ordered = ordered(&setting, &command).await?;
    output::result(&ordered, args.json, |it| {
        format!(
            "the history of {} is being fetched; telegram-gateway backfill status tells how far it is",
            title(&it.chat)
        )
    })?;
    Ok(Exit::Ok)
}

async fn cancel(globals: &Globals, args: &CancelArgs) -> CommandResult {
    let setting = Setting::load(globals)?;
    let command = Command::CancelBackfill {
        account: setting.place(args.account.as_deref())?.account().to_owned(),
        chat: args.channel.to_string(),
    };
    let ordered = ordered(&setting, &command).await?;
    output::result(&ordered, args.json, |it| {
        format!("nothing of {} is fetched any more", title(&it.chat))
    })?;
    Ok(Exit::Ok)
}

async fn ordered(setting: &Setting, command: &Command) -> Result<Ordered, CommandError> {
    match hand::order(&setting.config, command).await? {
        Answer::Ordered { chat, waiting } => Ok(Ordered {
            chat: *chat,
            waiting,
        }),
        _ => Err(Nonsense.into()),
    }
}

fn title(chat: &ChatReport) -> String {
    let name = chat.title.as_deref().map(output::escape);
    match name {
        Some(name) => format!("{} ({name})", chat.id),
        None => chat.id.to_string(),
    }
}

/// What is fetched of a channel.
#[derive(Debug, Serialize)]
struct Fetched {
    account: String,
    /// In the marked form.
    chat: i64,
    title: Option<String>,
    /// What is not done.
    stretches: Vec<StretchReport>,
    /// Messages of the last stretch.
    found: u32,
    /// How the last stretch ended, since the daemon started.
    outcome: Option<String>,
}

async fn status(globals: &Globals, args: &BackfillStatusArgs) -> CommandResult {
    let setting = Setting::load(globals)?;
    let fetched = match accounts::ask(&setting.config).await {
        Some((accounts, _)) => accounts
            .into_iter()
            .flat_map(|account| {
                let name = account.name;
                let of = move |report| fetched(&name, report);
                account.backfills.into_iter().map(of).collect::<Vec<_>>()
            })
            .collect(),
        None => logged(&setting).await?,
    };
    output::result(&fetched, args.json, |fetched| text(fetched))?;
    Ok(Exit::Ok)
}

/// By the log: what a daemon would go on with.
async fn logged(setting: &Setting) -> Result<Vec<Fetched>, CommandError> {
    let bookmarks = JournalReader::of(&setting.config)?.bookmarks().await?;
    let mut all = Vec::new();
    for account in &setting.telegram.accounts {
        let jobs = jobs(account, &bookmarks).map_err(crate::daemon::MirrorError::from)?;
        let waiting = jobs.into_iter().filter(|job| !job.stretches.is_empty());
        all.extend(waiting.map(|job| {
            let stretches = job.report();
            let report = BackfillReport {
                channel: job.channel,
                waiting: stretches.len(),
                stretches,
                ..BackfillReport::default()
            };
            fetched(account, report)
        }));
    }
    Ok(all)
}

fn fetched(account: &str, report: BackfillReport) -> Fetched {
    Fetched {
        account: account.to_owned(),
        chat: words::marked(report.channel),
        title: report.name,
        stretches: report.stretches,
        found: report.found,
        outcome: report.outcome,
    }
}

fn text(fetched: &[Fetched]) -> String {
    if fetched.is_empty() {
        return "nothing is being fetched".to_owned();
    }
    let head = ["account", "id", "history", "title"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(fetched.iter().map(|it| {
        let title = it.title.as_deref().map(output::escape);
        [
            it.account.clone(),
            it.chat.to_string(),
            words::backfill(&it.stretches, it.outcome.as_deref(), it.found),
            title.map_or_else(|| "-".to_owned(), |title| title.into_owned()),
        ]
    }));
    words::table(&rows)
}

//! `backfill`: the past of a channel, fetched by the running daemon.

use serde::Serialize;

use super::super::args::Globals;
use super::super::{CommandError, CommandResult, output};
use super::args::{BackfillArgs, BackfillCommand, BackfillStatusArgs, CancelArgs};
use super::hand::{self, Nonsense};
use super::{Setting, words};
use crate::config::Chat;
use crate::daemon::MirrorError;
use crate::event::Since;
use crate::failure::Exit;
use crate::journal::JournalReader;
use crate::journal::control::{Answer, Ask, Command};
use crate::journal::socket::Remote;
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
    let ask = Ask::Backfill {
        account: setting.place(args.account.as_deref())?.account().to_owned(),
        chat: channel.to_string(),
        since: args.since.unwrap_or(Since::Beginning),
        limit: args.limit.unwrap_or(limit),
    };
    let ordered = ordered(&setting, ask).await?;
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
    let ask = Ask::Cancel {
        account: setting.place(args.account.as_deref())?.account().to_owned(),
        chat: args.channel.to_string(),
    };
    let ordered = ordered(&setting, ask).await?;
    output::result(&ordered, args.json, |it| {
        format!("nothing of {} is fetched any more", title(&it.chat))
    })?;
    Ok(Exit::Ok)
}

async fn ordered(setting: &Setting, ask: Ask) -> Result<Ordered, CommandError> {
    match hand::order(&setting.config, ask).await? {
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
    let all = match told(&setting).await {
        Some(accounts) => accounts,
        None => logged(&setting).await?,
    };
    let fetched = all.into_iter().flat_map(|(account, reports)| {
        let of = move |report| fetched(&account, report);
        reports.into_iter().map(of)
    });
    let fetched: Vec<Fetched> = fetched.collect();
    output::result(&fetched, args.json, |fetched| text(fetched))?;
    Ok(Exit::Ok)
}

/// By the running daemon, if one has accounts.
async fn told(setting: &Setting) -> Option<Vec<(String, Vec<BackfillReport>)>> {
    let mut remote = Remote::connect(&setting.config.data_dir).await.ok()?;
    let ask = Command::Telegram(Ask::Backfills);
    match remote.ask(&ask).await.ok()? {
        Answer::Backfills { accounts } => Some(accounts),
        _ => None,
    }
}

/// By the log: what a daemon would go on with.
async fn logged(setting: &Setting) -> Result<Vec<(String, Vec<BackfillReport>)>, CommandError> {
    let bookmarks = JournalReader::of(&setting.config)?.bookmarks().await?;
    let accounts = setting.telegram.accounts.iter().map(|account| {
        let jobs = jobs(account, &bookmarks).map_err(MirrorError::from)?;
        let waiting = jobs.iter().filter(|job| !job.stretches.is_empty());
        let reports = waiting.map(|job| BackfillReport {
            channel: job.channel,
            waiting: job.stretches.len(),
            stretches: job.report(),
            ..BackfillReport::default()
        });
        Ok((account.clone(), reports.collect()))
    });
    accounts.collect()
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

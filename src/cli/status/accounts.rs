//! The accounts' part of `status`: how each connection to Telegram is, and what is missing.

use std::fmt::Write as _;

use crate::cli::output;
use crate::cli::telegram::words;
use crate::config::Config;
use crate::journal::control::{Answer, Command};
use crate::journal::socket::Remote;
use crate::status::{AccountReport, ChannelReport, GapReport};

/// Lines of one kind that are shown.
const LINES_MAX: usize = 10;

/// How the daemon's connections to Telegram are, and the gaps that are open, if one answers.
pub(super) async fn ask(config: &Config) -> Option<(Vec<AccountReport>, Vec<GapReport>)> {
    let mut remote = Remote::connect(&config.data_dir).await.ok()?;
    match remote.ask(&Command::Accounts).await.ok()? {
        Answer::Accounts { accounts, gaps } => Some((accounts, gaps)),
        _ => None,
    }
}

/// An account, each line with its line break in front.
pub(super) fn text(account: &AccountReport) -> String {
    let mut text = format!(
        "\naccount {:<13} {}, {} updates, {} connections lost, {} clients made anew",
        account.name, account.state, account.updates, account.reconnects, account.rebuilds
    );
    if let Some(reason) = &account.reason {
        let _ = write!(text, "\n  {}", output::escape(reason));
    }
    if let Some(skew) = account.clock_skew_seconds {
        let way = if skew > 0 { "behind" } else { "ahead of" };
        let seconds = skew.unsigned_abs();
        let _ = write!(
            text,
            "\n  the clock of this machine is {seconds} s {way} Telegram's: set it, or Telegram will take nothing from it"
        );
    }
    for wait in &account.waits {
        let _ = write!(
            text,
            "\n  Telegram wants {} left alone for {} s more",
            wait.method, wait.seconds_left
        );
    }
    if account.dropped > 0 {
        let _ = write!(
            text,
            "\n  {} containers came while the queue was full, and were fetched again",
            account.dropped
        );
    }
    if account.missed_deletions > 0 {
        let _ = write!(
            text,
            "\n  {} deletions were found that nobody had told",
            account.missed_deletions
        );
    }
    let channels = &account.channels;
    let hot = channels.iter().filter(|it| it.hot);
    lines(&mut text, "hot", hot.map(delays));
    let late = channels.iter().filter(|it| it.late);
    lines(&mut text, "quiet", late.map(quiet));
    let untold = channels.iter().filter(|it| it.untold > 0);
    lines(&mut text, "untold", untold.map(further));
    let going = account.backfills.iter().filter(|it| it.waiting > 0);
    let going = going.map(|it| {
        let channel = words::channel(it.channel, it.name.as_deref());
        let how = words::backfill(&it.stretches, it.outcome.as_deref(), it.found);
        format!("{channel}: {how}")
    });
    lines(&mut text, "backfill", going);
    let unresolved = account.unresolved.iter();
    let unresolved = unresolved.map(|it| format!("{}: {}", it.name, output::escape(&it.reason)));
    lines(&mut text, "unknown", unresolved);
    text
}

/// The gaps that nobody has closed.
pub(super) fn gaps(gaps: &[GapReport]) -> String {
    let mut text = String::new();
    for gap in gaps.iter().take(LINES_MAX) {
        let whose = match (gap.chat, &gap.name) {
            (Some(id), Some(name)) => format!("{id} {}", output::escape(name)),
            (Some(id), None) => id.to_string(),
            (None, _) => "private chats and groups".to_owned(),
        };
        let _ = write!(text, "\ngap {whose}: {}{}", gap.cause, bounds(gap));
    }
    rest(&mut text, "\n", gaps.len());
    text
}

fn bounds(gap: &GapReport) -> String {
    let ends = |what: &str, after: Option<i64>, until: Option<i64>| match (after, until) {
        (Some(after), Some(until)) => format!(", {what} {after} to {until}"),
        (Some(after), None) => format!(", {what} behind {after}"),
        (None, Some(until)) => format!(", {what} up to {until}"),
        (None, None) => String::new(),
    };
    ends("positions", gap.after_pts, gap.until_pts)
        + &ends("messages", gap.after_message_id, gap.until_message_id)
}

fn lines(text: &mut String, title: &str, all: impl Iterator<Item = String>) {
    let all: Vec<String> = all.collect();
    for line in all.iter().take(LINES_MAX) {
        let _ = write!(text, "\n  {title:<9} {line}");
    }
    rest(text, "\n  ", all.len());
}

fn rest(text: &mut String, lead: &str, count: usize) {
    if count > LINES_MAX {
        let _ = write!(text, "{lead}and {} more: see --json", count - LINES_MAX);
    }
}

fn delays(channel: &ChannelReport) -> String {
    let name = words::channel(channel.channel, channel.name.as_deref());
    match (
        channel.delay_ms,
        channel.delay_mean_ms,
        channel.delay_max_ms,
    ) {
        (Some(last), Some(mean), Some(max)) => {
            format!("{name}: {last} ms late, {mean} on average, {max} at most")
        }
        _ => format!("{name}: nothing came yet"),
    }
}

fn quiet(channel: &ChannelReport) -> String {
    let name = words::channel(channel.channel, channel.name.as_deref());
    let age = words::span(channel.age_seconds.unwrap_or(0));
    match channel.usual_seconds {
        Some(usual) => format!(
            "{name}: for {age}, usually every {}",
            words::span(usual as u64)
        ),
        None => format!("{name}: for {age}"),
    }
}

fn further(channel: &ChannelReport) -> String {
    let name = words::channel(channel.channel, channel.name.as_deref());
    format!("{name}: {} times further than was pushed", channel.untold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{AccountBoard, Status, UnresolvedName};

    #[test]
    fn an_account_says_what_matters_and_not_all() {
        let status = Status::new();
        let now = crate::status::now_us() / 1_000_000;
        status.account("main", |board: &mut AccountBoard| {
            board.set_hot(&[1, 2]);
            board.channels.entry(1).or_default().delayed(120);
            let late = board.channels.entry(3).or_default();
            (late.last_at, late.late_at) = (Some(now - 7200), Some(now - 60));
            late.usual_seconds = Some(600.0);
            board.channel_untold(4);
            board.missed_deletions = 2;
            board.unresolved = (0..12)
                .map(|n| UnresolvedName {
                    name: format!("@name{n}"),
                    reason: "nobody\x1b[2J".to_owned(),
                })
                .collect();
        });
        let accounts = status.accounts();
        let text = text(&accounts[0]);
        for expected in [
            "account main          needs-login, 0 updates",
            "hot       -1000000000001: 120 ms late, 120 on average, 120 at most",
            "hot       -1000000000002: nothing came yet",
            "quiet     -1000000000003: for 2 h, usually every 10 min",
            "untold    -1000000000004: 1 times further than was pushed",
            "2 deletions were found",
            "unknown   @name9: nobody\\u{1b}[2J",
            "and 2 more: see --json",
        ] {
            assert!(text.contains(expected), "no {expected:?} in {text}");
        }
        assert!(!text.contains("@name10"), "{text}");
    }

    #[test]
    fn a_gap_says_whose_it_is_and_where() {
        let gap = GapReport {
            chat: Some(-1_000_000_000_007),
            name: Some("Signals".to_owned()),
            cause: "too_long".to_owned(),
            after_pts: Some(3),
            until_pts: Some(9),
            after_message_id: None,
            until_message_id: None,
        };
        let whole = GapReport {
            chat: None,
            until_pts: None,
            ..gap.clone()
        };
        assert_eq!(
            gaps(&[gap, whole]),
            "\ngap -1000000000007 Signals: too_long, positions 3 to 9\
             \ngap private chats and groups: too_long, positions behind 3"
        );
    }
}

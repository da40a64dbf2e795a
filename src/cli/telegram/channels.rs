//! `channels`: which chats there are, and which of them are mirrored.

use std::fmt::Write as _;

use super::super::args::Globals;
use super::super::{CommandError, CommandResult, output};
use super::args::{ChannelsArgs, ChannelsCommand, DiscoverArgs, ListArgs, ResolveArgs};
use super::hand::Hand;
use super::{Setting, words};
use crate::config::Chat;
use crate::failure::Exit;
use crate::journal::JournalReader;
use crate::journal::control::Chats;
use crate::source::telegram::login::LoginError;
use crate::status::ChatReport;

pub(in crate::cli) async fn run(globals: &Globals, args: &ChannelsArgs) -> CommandResult {
    match &args.command {
        ChannelsCommand::List(args) => list(globals, args).await,
        ChannelsCommand::Resolve(args) => resolve(globals, args).await,
        ChannelsCommand::Discover(args) => discover(globals, args).await,
    }
}

async fn list(globals: &Globals, args: &ListArgs) -> CommandResult {
    let setting = Setting::load(globals)?;
    // A log is not made in order to be looked into.
    drop(JournalReader::of(&setting.config)?);
    let chats = Hand::take(&setting.config).await?.chats().await?;
    output::result(&chats, args.json, text)?;
    Ok(Exit::Ok)
}

async fn resolve(globals: &Globals, args: &ResolveArgs) -> CommandResult {
    let setting = Setting::load(globals)?;
    let chats = meet(&setting, args.account.as_deref(), Some(&args.chat), true).await?;
    output::result(&chats.chats, args.json, |chats| table(chats))?;
    Ok(Exit::Ok)
}

async fn discover(globals: &Globals, args: &DiscoverArgs) -> CommandResult {
    let setting = Setting::load(globals)?;
    let chats = meet(&setting, args.account.as_deref(), None, !args.dry_run).await?;
    output::result(&chats.chats, args.json, |chats| discovered(chats))?;
    Ok(Exit::Ok)
}

async fn meet(
    setting: &Setting,
    account: Option<&str>,
    chat: Option<&Chat>,
    keep: bool,
) -> Result<Chats, CommandError> {
    let place = setting.place(account)?;
    if setting.telegram.dc.is_none() && !place.is_taken().map_err(LoginError::from)? {
        // Nothing is made for nobody.
        return Err(LoginError::NotLoggedIn.into());
    }
    let hand = Hand::take(&setting.config).await?;
    hand.meet(place.account(), chat, keep).await
}

fn text(chats: &Chats) -> String {
    let mut text = match chats.chats.is_empty() {
        true => "no chat is known yet: telegram-gateway channels discover".to_owned(),
        false => table(&chats.chats),
    };
    for it in &chats.unresolved {
        let reason = output::escape(&it.reason);
        let _ = write!(text, "\n{} is nobody yet: {reason}", it.name);
    }
    text
}

fn discovered(chats: &[ChatReport]) -> String {
    let followed = chats.iter().filter(|chat| chat.followed).count();
    let count = chats.len();
    let mut text = match chats.is_empty() {
        true => String::new(),
        false => table(chats) + "\n",
    };
    let _ = write!(text, "{followed} of {count} chats are mirrored");
    text
}

fn table(chats: &[ChatReport]) -> String {
    let head = ["id", "kind", "mirrored", "why", "name", "last", "title"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(chats.iter().map(row));
    words::table(&rows)
}

fn row(chat: &ChatReport) -> [String; 7] {
    let or_none = |text: &Option<String>| match text {
        Some(text) => output::escape(text).into_owned(),
        None => "-".to_owned(),
    };
    let mirrored = match (chat.followed, chat.hot) {
        (true, true) => "hot",
        (true, false) => "yes",
        (false, _) => "no",
    };
    let why = match chat.member {
        Some(false) if chat.followed => format!("{}, but not joined", chat.why),
        _ => chat.why.clone(),
    };
    let name = chat.username.as_ref().map(|name| format!("@{name}"));
    [
        chat.id.to_string(),
        or_none(&chat.kind),
        mirrored.to_owned(),
        why,
        or_none(&name),
        last(chat),
        or_none(&chat.title),
    ]
}

fn last(chat: &ChatReport) -> String {
    let mut text = match chat.last_message_id {
        Some(id) => format!("{id}"),
        None => "-".to_owned(),
    };
    if let Some(age) = chat.age_seconds {
        let _ = write!(text, ", {} ago", words::span(age));
    }
    if let (true, Some(usual)) = (chat.late, chat.usual_seconds) {
        let _ = write!(text, " (usually every {})", words::span(usual as u64));
    }
    text
}

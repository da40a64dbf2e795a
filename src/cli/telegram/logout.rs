//! `logout`: the session ends at Telegram, and then here.

use std::sync::Arc;

use super::super::args::Globals;
use super::super::{CommandResult, output};
use super::Setting;
use super::args::LogoutArgs;
use crate::failure::Exit;
use crate::source::telegram::login;
use crate::source::telegram::session::FileSession;

pub(in crate::cli) async fn run(globals: &Globals, args: &LogoutArgs) -> CommandResult {
    let setting = Setting::load(globals)?;
    let place = setting.place(args.account.as_deref())?;
    let account = place.account();
    if !place.is_taken()? {
        output::print(&format!("account {account} has no session\n"))?;
        return Ok(Exit::Ok);
    }
    let claim = place.claim()?;
    if args.local {
        claim.wipe()?;
        output::print(&format!(
            "the session file of account {account} is removed\n"
        ))?;
        return Ok(Exit::Ok);
    }
    let config = &setting.telegram;
    let session = FileSession::open(&claim, &config.session_key, config.dc.as_ref())?;
    // A login that was begun has nothing at Telegram that could be ended.
    if let Some(session) = session.filter(|session| session.own().is_some()) {
        login::revoke(&Arc::new(session), config.api_id).await?;
    }
    claim.wipe()?;
    output::print(&format!("account {account} is logged out\n"))?;
    Ok(Exit::Ok)
}

//! `session status`: who is logged in, by the files.

use std::fmt::Write as _;

use grammers_session::Session;
use serde::Serialize;

use super::super::args::Globals;
use super::super::{CommandError, CommandResult, output};
use super::Setting;
use super::args::SessionStatusArgs;
use crate::failure::{Classify, Exit, chain};
use crate::source::telegram::session::{FileSession, Place, SessionError};

#[derive(Debug, Serialize)]
struct Report {
    account: String,
    file: String,
    /// `logged-in`, `needs-login`, `in-use` or `unusable`.
    state: &'static str,
    user_id: Option<i64>,
    is_bot: Option<bool>,
    data_centre: Option<i32>,
    /// Who has it, or what is wrong with it.
    reason: Option<String>,
    hint: Option<String>,
}

pub(super) fn run(globals: &Globals, args: &SessionStatusArgs) -> CommandResult {
    let setting = Setting::load(globals)?;
    let (mut reports, mut exit) = (Vec::new(), Exit::Ok);
    for account in &setting.telegram.accounts {
        let place = Place::new(&setting.config.data_dir, account);
        let found = look(&place, &setting);
        reports.push(found.unwrap_or_else(|error| {
            let is_held = matches!(error, SessionError::Held { .. });
            if exit == Exit::Ok && !is_held {
                exit = error.exit();
            }
            Report {
                reason: Some(chain(&error)),
                hint: error.hint().filter(|_| !is_held),
                ..report(&place, if is_held { "in-use" } else { "unusable" })
            }
        }));
    }
    output::result(&reports, args.json, |reports| text(reports)).map_err(CommandError::from)?;
    Ok(exit)
}

fn look(place: &Place, setting: &Setting) -> Result<Report, SessionError> {
    let config = &setting.telegram;
    let needs_login = report(place, "needs-login");
    if !place.is_taken()? {
        return Ok(needs_login);
    }
    let session = FileSession::open(&place.claim()?, &config.session_key, config.dc.as_ref())?;
    let Some((session, own)) = session.and_then(|it| it.own().map(|own| (it, own))) else {
        return Ok(needs_login);
    };
    Ok(Report {
        user_id: Some(own.id),
        is_bot: Some(own.is_bot),
        data_centre: Some(session.home_dc_id()?),
        ..report(place, "logged-in")
    })
}

fn report(place: &Place, state: &'static str) -> Report {
    Report {
        account: place.account().to_owned(),
        file: place.file().display().to_string(),
        state,
        user_id: None,
        is_bot: None,
        data_centre: None,
        reason: None,
        hint: None,
    }
}

fn text(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = write!(text, "account {:<13} {}", report.account, report.state);
        if let Some(id) = report.user_id {
            let kind = if report.is_bot == Some(true) {
                "bot"
            } else {
                "user"
            };
            let _ = write!(text, " as {kind} {id}");
        }
        if let Some(dc) = report.data_centre {
            let _ = write!(text, ", data centre {dc}");
        }
        for more in [&report.reason, &report.hint].into_iter().flatten() {
            let _ = write!(text, "\n  {}", output::escape(more));
        }
    }
    text
}

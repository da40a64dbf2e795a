//! The account lives in another data centre now: its login is taken along.
//!
//! Telegram copies a login: the old data centre writes it down, the new one takes it. Only then the session's home
//! changes, so that whatever fails in between leaves everything as it was.

use grammers_session::Session;
use grammers_tl_types as tl;

use super::super::driver::Failure;
use super::super::link::{Fault, Link, REQUEST_TIMEOUT};
use super::peers;

/// Moves a session to another data centre.
pub(super) async fn carry_over<S: Session>(link: &Link, session: &S, dc: i32) -> Result<(), Fault>
where
    S::Error: std::error::Error,
{
    let known = session.dc_option(dc).map_err(peers::unreadable)?;
    if known.is_none() {
        let text = format!("nobody has said where data centre {dc} is");
        return Err(Fault::here(Failure::Refused, text));
    }
    let export = tl::functions::auth::ExportAuthorization { dc_id: dc };
    let tl::enums::auth::ExportedAuthorization::Authorization(login) =
        link.send(&export, REQUEST_TIMEOUT).await?;
    let import = tl::functions::auth::ImportAuthorization {
        id: login.id,
        bytes: login.bytes,
    };
    let taken = link.send_in(dc, &import, REQUEST_TIMEOUT).await?;
    if matches!(taken, tl::enums::auth::Authorization::SignUpRequired(_)) {
        let text = format!("data centre {dc} does not know the account");
        return Err(Fault::here(Failure::Refused, text));
    }
    let moved = session.set_home_dc_id(dc).await;
    moved.map_err(peers::unreadable)
}

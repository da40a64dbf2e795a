//! What an operator is told who wanted something of the live source that cannot be done.

use crate::config::Chat;
use crate::failure::Exit;
use crate::journal::control::Refusal;
use crate::source::telegram::account::NoOrder;
use crate::source::telegram::driver::Failure;
use crate::source::telegram::link::Fault;

/// An account that did not do what it was told.
pub(super) fn not_taken(why: NoOrder) -> Refusal {
    let text = why.to_string();
    match why {
        NoOrder::Failed(fault) => failed(&fault),
        NoOrder::Busy | NoOrder::Interrupted => Refusal::new(
            Exit::Backend,
            text,
            "telegram-gateway status tells how it fares; then run the command again",
        ),
        NoOrder::Ended => Refusal::new(
            Exit::Failure,
            text,
            "the daemon is stopping: run the command again when it is there",
        ),
        NoOrder::NotFollowed => Refusal::new(
            Exit::Failure,
            text,
            "name it in telegram.follow, and restart the daemon",
        ),
        NoOrder::Full | NoOrder::Nothing => {
            Refusal::new(Exit::Failure, text, "telegram-gateway backfill status")
        }
    }
}

/// A question that Telegram did not answer.
pub(super) fn failed(fault: &Fault) -> Refusal {
    let (exit, hint) = match &fault.failure {
        Failure::Wait(_) => (Exit::Backend, "run it again then, not before"),
        Failure::Temporary => (
            Exit::Backend,
            "check the network; Telegram may be blocked there",
        ),
        Failure::Moved(_) => (Exit::Backend, "the account is moving: run it again"),
        Failure::SessionEnded => (Exit::Auth, "telegram-gateway login"),
        Failure::LostAccess => (Exit::Auth, "the account may not see it: join it first"),
        Failure::UnknownChannel => (
            Exit::Failure,
            "join it with this account, or give its public name: @name",
        ),
        Failure::Undecodable { .. } | Failure::InvalidPosition => {
            (Exit::Data, "a newer version of this program may read it")
        }
        Failure::Refused if fault.text.contains("USERNAME") => {
            (Exit::Failure, "nobody has this name: check its spelling")
        }
        Failure::Refused => (Exit::Failure, "another account may be allowed to"),
    };
    Refusal::new(exit, fault.text.clone(), hint)
}

/// The sentences of the office.
pub(super) mod refused {
    use super::{Chat, Exit, Refusal};
    use crate::status::AccountReport;

    pub(in crate::daemon) fn no_mirror() -> Refusal {
        Refusal::new(
            Exit::Failure,
            "the daemon mirrors no account of Telegram",
            "run it with [telegram] in its configuration, and without --source",
        )
    }

    pub(in crate::daemon) fn no_account(account: &str, known: &[String]) -> Refusal {
        Refusal::new(
            Exit::Usage,
            format!("the running daemon has no account {account}"),
            format!("it has {}", known.join(", ")),
        )
    }

    pub(in crate::daemon) fn needs_operator(account: &AccountReport) -> Refusal {
        let exit = match account.state.as_str() {
            "stuck" => Exit::Failure,
            _ => Exit::Auth,
        };
        let reason = account.reason.clone().unwrap_or_default();
        let text = format!("account {}: {}", account.name, account.state);
        Refusal::new(exit, text, reason)
    }

    pub(in crate::daemon) fn no_name(text: &str) -> Refusal {
        Refusal::new(
            Exit::Usage,
            format!("{text:?} names no chat"),
            "write @name, t.me/name or the id, -100...",
        )
    }

    pub(in crate::daemon) fn unknown(chat: &Chat) -> Refusal {
        Refusal::new(
            Exit::Failure,
            format!("no channel is known as {chat}"),
            format!("telegram-gateway channels resolve {chat}"),
        )
    }

    pub(in crate::daemon) fn no_chat(chat: &Chat) -> Refusal {
        Refusal::new(
            Exit::Failure,
            format!("{chat} is no channel and no group"),
            "private chats are mirrored by telegram.private_chats alone",
        )
    }

    pub(in crate::daemon) fn not_durable() -> Refusal {
        Refusal::new(
            Exit::Failure,
            "the account has taken the order, but the log has not yet",
            "telegram-gateway status tells what is wrong with the log",
        )
    }
}

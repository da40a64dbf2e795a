//! Commands of the live source: who the gateway is at Telegram, which channels there are, and what is fetched of their
//! past.
//!
//! | file | what |
//! |---|---|
//! | `args` | arguments and help |
//! | `login` `logout` `status` `channels` `backfill` | one command each (`status`: `session status`) |
//! | `person` | whoever is at the terminal |
//! | `hand` | whoever can answer: the running daemon, or this process |
//! | `words` | words and tables |

pub(super) mod args;
mod backfill;
mod channels;
mod hand;
mod login;
mod logout;
mod person;
mod status;
pub(super) mod words;

use super::args::Globals;
use super::{CommandError, CommandResult};
use crate::config::{Config, Telegram};
use crate::failure::{Class, Classify, Exit};
use crate::journal;
use crate::source::telegram::session::Place;
use args::{SessionArgs, SessionCommand};

pub(super) use backfill::run as backfill;
pub(super) use channels::run as channels;
pub(super) use login::run as login;
pub(super) use logout::run as logout;

pub(super) fn session(globals: &Globals, args: &SessionArgs) -> CommandResult {
    match &args.command {
        SessionCommand::Status(args) => status::run(globals, args),
    }
}

/// What these commands need of the configuration.
struct Setting {
    config: Config,
    telegram: Telegram,
}

impl Setting {
    fn load(globals: &Globals) -> Result<Setting, CommandError> {
        let config = globals.load()?.config;
        let telegram = config.telegram.clone().ok_or(Unset::Section)?;
        journal::prepare(&config.data_dir)?;
        Ok(Setting { config, telegram })
    }

    /// Where the session of an account is, by its name; without one, of the first.
    fn place(&self, account: Option<&str>) -> Result<Place, Unset> {
        let accounts = &self.telegram.accounts;
        let found = match account {
            None => accounts.first(),
            Some(name) => accounts.iter().find(|known| *known == name),
        };
        let found = found.ok_or_else(|| Unset::Account(accounts.clone()))?;
        Ok(Place::new(&self.config.data_dir, found))
    }
}

/// What the configuration does not say.
#[derive(Debug, thiserror::Error)]
enum Unset {
    #[error("the configuration has no section [telegram]")]
    Section,
    #[error("telegram.accounts does not name that account")]
    Account(Vec<String>),
}

impl Classify for Unset {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Unset::Section => {
                "name the file with --config; docs/first-login.md says what belongs into it"
                    .to_owned()
            }
            Unset::Account(known) => format!("it names {}", known.join(", ")),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Unset::Section => Exit::Config,
            Unset::Account(_) => Exit::Usage,
        }
    }
}

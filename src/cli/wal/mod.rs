//! `wal`: what is done with the log itself.
//!
//! | file | what |
//! |---|---|
//! | `args` | arguments and help |
//! | `hand` | whoever can change the log: the running daemon, or this process |
//! | `stat` | what the log is made of |
//! | `records` | records as lines; `dump` and `tail` |
//! | `change` | `seal`, `trim`, `compact` |
//! | `salvage` | saving what can be read of damaged segments |

pub(super) mod args;
mod change;
mod hand;
mod records;
mod salvage;
mod stat;

pub(super) use change::seal_log;
pub(super) use stat::live;

use super::CommandResult;
use super::args::Globals;
use args::{WalArgs, WalCommand};

pub(super) async fn run(globals: &Globals, args: &WalArgs) -> CommandResult {
    let config = globals.load()?.config;
    match &args.command {
        WalCommand::Stat { json } => stat::run(&config, *json).await,
        WalCommand::Dump(args) => records::dump(&config, args).await,
        WalCommand::Tail(args) => records::tail(&config, args).await,
        WalCommand::Seal { json } => change::seal(&config, *json).await,
        WalCommand::Salvage(args) => salvage::run(&config, args).await,
        WalCommand::Compact { first, json } => change::compact(&config, *first, *json).await,
        WalCommand::Trim(args) => change::trim(&config, args).await,
    }
}

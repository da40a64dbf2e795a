//! `project`: a projector on another machine than the log.

use clap::{Args, ValueEnum};

use super::args::Globals;
use super::{CommandResult, output};
use crate::daemon;
use crate::failure::Exit;
use crate::status::Status;
use crate::store::ProjectionName;

const AFTER: &str = "\
Needs [edge], [rabbitmq] and the store in the configuration, and no log. The daemon that holds the log runs with
[serve], and with feed = \"elsewhere\" for this store: docs/elsewhere.md.
Any number may run for one store. One feeds it, the others stand by and take over within seconds.
Exit codes: 0 stopped, 69 server unreachable, 77 not allowed, 78 wrong configuration. A server or an edge that is away
is waited for.

Example:
  telegram-gateway project timescale --config projector.toml";

/// Arguments of `project`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct ProjectArgs {
    /// The store
    #[arg(value_name = "STORE")]
    pub store: Fed,
}

/// A store that can be fed elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fed {
    /// TimescaleDB
    Timescale,
    /// Redis
    Redis,
}

pub(super) async fn run(globals: &Globals, args: &ProjectArgs) -> CommandResult {
    let config = globals.load()?.config;
    let name = match args.store {
        Fed::Timescale => ProjectionName::Timescale,
        Fed::Redis => ProjectionName::Redis,
    };
    let (status, stop) = (Status::new(), super::stop_on_signals()?);
    daemon::project(&config, name, &status, &stop).await?;
    let at = status.seq_of(crate::projector::stage(name));
    output::say(&format!("stopped; {name} was fed up to {at}"));
    Ok(Exit::Ok)
}

//! The program: reads the command line, runs one command, says why when it fails.

use std::process::ExitCode;
use std::time::Duration;

use telegram_gateway::cli;
use telegram_gateway::failure::{Class, Classify, Exit};
use telegram_gateway::source::telegram::link::STACK_BYTES;

/// The work waits for disk and network; more threads than this only cost memory.
const WORKERS_MAX: usize = 8;

/// Of commands that give way: a tenth of what a process beside them gets that wants the same core.
const NICENESS: i32 = 10;

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("cannot choose how to encrypt connections")]
    Encryption,
    #[error("cannot start the threads of the program")]
    Runtime(#[source] std::io::Error),
}

impl Classify for StartError {
    fn class(&self) -> Class {
        match self {
            StartError::Encryption => Class::Bug,
            StartError::Runtime(_) => Class::Operator,
        }
    }
}

fn main() -> ExitCode {
    quiet_contained_panics();
    let exit = start().unwrap_or_else(|error| {
        cli::output::report(&error);
        error.exit()
    });
    ExitCode::from(exit as u8)
}

/// The log's engine panics on some damaged pages. The log catches that and answers with an error that has the panic's
/// message, so nothing is lost by not printing it.
fn quiet_contained_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !wal::is_contained() {
            loud(panic);
        }
    }));
}

fn start() -> Result<Exit, cli::CommandError> {
    // Before anything can connect: with no provider chosen, the first connection by TLS would panic.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| StartError::Encryption)?;
    let command = cli::parse();
    if command.command.gives_way() {
        // Not worth an error: a system that forbids it does the work at the usual priority.
        let _ = rustix::process::nice(NICENESS);
    }
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, WORKERS_MAX))
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let ended = runtime.block_on(cli::run(command));
    // A read of the terminal may never return; everything durable was closed by its own stage.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

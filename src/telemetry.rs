//! Log lines: to stderr, as text for people or JSON for machines.
//!
//! The crates we use print handshakes, passwords included, at debug and trace. Whatever the filter asks for, they are
//! held to info; only our own targets go lower. RabbitMQ's client is silenced: it reports every refusal we ask for as an
//! error, and prints the bodies of returned messages. What matters of it comes back to us as an error and is logged
//! by the stage.

use std::io::{self, IsTerminal};

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is none.
    #[error("the log filter is wrong")]
    Filter(#[source] ParseError),
}

/// The level that a number of `-v` or `-q` asks for.
pub fn level(verbose: u8, quiet: u8) -> LevelFilter {
    match (verbose, quiet) {
        (_, 2..) => LevelFilter::ERROR,
        (_, 1) => LevelFilter::WARN,
        (0, 0) => LevelFilter::INFO,
        (1, 0) => LevelFilter::DEBUG,
        (2.., 0) => LevelFilter::TRACE,
    }
}

/// Starts logging for the whole process; later calls change nothing. `directives` refine the level by target, as in
/// `info,telegram_gateway::relay=trace`.
pub fn install(
    format: Format,
    level: LevelFilter,
    directives: Option<&str>,
) -> Result<(), TelemetryError> {
    let filter = filter(level, directives)?.and(filter_fn(is_allowed));
    let fmt = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let layer = match format {
        Format::Text => fmt.with_ansi(has_colour()).with_filter(filter).boxed(),
        Format::Json => fmt.json().flatten_event(true).with_filter(filter).boxed(),
    };
    // Fails when a test installed one before, which then stays.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(())
}

/// The level for everything, then the directives. With directives alone, every target they do not name would be off.
fn filter(level: LevelFilter, directives: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let text = match directives {
        Some(directives) => format!("{level},{directives}"),
        None => level.to_string(),
    };
    EnvFilter::builder()
        .parse(text)
        .map_err(TelemetryError::Filter)
}

/// Whether stderr takes colours.
pub fn has_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && io::stderr().is_terminal()
}

fn is_allowed(metadata: &Metadata<'_>) -> bool {
    is_ours(metadata.target())
        || (*metadata.level() <= tracing::Level::INFO && !is_broker_client(metadata.target()))
}

fn is_broker_client(target: &str) -> bool {
    target == "lapin" || target.starts_with("lapin::")
}

fn is_ours(target: &str) -> bool {
    matches!(
        target.split("::").next(),
        Some("telegram_gateway" | "wal" | "telegram_gateway_wal")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_targets_go_below_info() {
        for ours in ["telegram_gateway", "telegram_gateway::relay", "wal::log"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "lapin::channel",
            "sqlx_postgres",
            "redis",
            "walrus",
            "telegram_gateway2",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn directives_refine_the_level_and_do_not_replace_it() {
        let shown = |directives| filter(LevelFilter::WARN, Some(directives)).map(|f| f.to_string());
        assert_eq!(
            shown("wal=trace").expect("legal"),
            "wal=trace,warn",
            "other targets stay at the level"
        );
        assert_eq!(shown("debug").expect("legal"), "debug");
        assert_eq!(shown("").expect("legal"), "warn");
        assert!(shown("=x=").is_err());
        assert_eq!(level(0, 0), LevelFilter::INFO);
        assert_eq!(level(9, 0), LevelFilter::TRACE);
        assert_eq!(level(0, 1), LevelFilter::WARN);
    }
}

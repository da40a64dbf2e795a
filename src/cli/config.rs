//! `config check`, `config show`, `config defaults`.

use serde::Serialize;

use super::output::{self, CommandResult};
use super::{ConfigArgs, ConfigCommand, Globals};
use crate::config::{self, Loaded, Origin};
use crate::failure::Exit;

/// Runs one of them.
pub(super) fn run(globals: &Globals, args: &ConfigArgs) -> CommandResult {
    match &args.command {
        ConfigCommand::Check => {
            let loaded = globals.load()?;
            output::say(&summary(&loaded));
        }
        ConfigCommand::Show { json: false } => output::print(&globals.load()?.show_toml())?,
        ConfigCommand::Show { json: true } => output::print_json(&Document::of(&globals.load()?))?,
        ConfigCommand::Defaults => output::print(&config::defaults_toml())?,
    }
    Ok(Exit::Ok)
}

/// One line: how much was written, and what it switches on.
fn summary(loaded: &Loaded) -> String {
    let shown = loaded.shown();
    let count = |is: fn(&Origin) -> bool| shown.iter().filter(|one| is(&one.origin)).count();
    let file = count(|origin| matches!(origin, Origin::File { .. }));
    let variables = count(|origin| matches!(origin, Origin::Environment(_)));
    let off = loaded.off();
    let on: Vec<&str> = ["telegram", "rabbitmq", "timescale", "redis", "sqlite"]
        .into_iter()
        .filter(|section| !off.contains(section))
        .collect();
    format!(
        "the configuration is right: {file} values from the file, {variables} from the environment; on: {}",
        on.join(", ")
    )
}

/// `config show --json`. Fields are only ever added.
#[derive(Serialize)]
struct Document {
    values: Vec<Entry>,
    off: Vec<&'static str>,
}

#[derive(Serialize)]
struct Entry {
    key: String,
    value: serde_json::Value,
    origin: &'static str,
    /// The variable, the flag, or the file with line and column.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl Document {
    fn of(loaded: &Loaded) -> Document {
        let values = loaded
            .shown()
            .into_iter()
            .map(|one| {
                let (origin, at) = match &one.origin {
                    Origin::Default => ("default", None),
                    Origin::File { .. } => ("file", Some(one.origin.to_string())),
                    Origin::Environment(name) => ("environment", Some(name.clone())),
                    Origin::Flag(name) => ("flag", Some((*name).to_owned())),
                };
                Entry {
                    key: match one.section {
                        "" => one.name.to_owned(),
                        section => format!("{section}.{}", one.name),
                    },
                    value: json(&one.toml),
                    origin,
                    at,
                    secret: one.secret,
                }
            })
            .collect();
        Document {
            values,
            off: loaded.off(),
        }
    }
}

/// The JSON of a TOML value: text, number or switch.
fn json(toml: &str) -> serde_json::Value {
    let table = format!("v = {toml}").parse::<toml::Table>();
    let value = table.ok().and_then(|mut table| table.remove("v"));
    value
        .and_then(|value| serde_json::to_value(value).ok())
        .unwrap_or_else(|| serde_json::Value::String(toml.to_owned()))
}

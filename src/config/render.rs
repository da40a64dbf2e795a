//! The configuration written out: what holds and why, the commented defaults, the table of `docs/config.md`.

use std::fmt::Write;

use super::keys::{self, Default, Key, Kind, SECTIONS};
use super::layer::Setting;
use super::load::Loaded;
use super::problem::Origin;
use super::value;

/// One value that holds, masked, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Empty at the top level.
    pub section: &'static str,
    /// The name in the section.
    pub name: &'static str,
    /// The value as TOML; an address without its secrets.
    pub toml: String,
    /// Where it was written.
    pub origin: Origin,
    /// Where the secret itself is, when the value only refers to it.
    pub secret: Option<String>,
}

impl Loaded {
    /// Every value that holds, in the order of the table; sections that are off are left out.
    pub fn shown(&self) -> Vec<Shown> {
        let mut shown = Vec::new();
        for key in keys::KEYS {
            if self.is_off(key.section) {
                continue;
            }
            if let Some(setting) = self.layers.get(&key.path()) {
                shown.push(show(key, setting));
            } else if key.path() == "sqlite.path"
                && let Some(sqlite) = &self.config.sqlite
            {
                shown.push(Shown {
                    section: key.section,
                    name: key.name,
                    toml: toml::Value::String(sqlite.path.display().to_string()).to_string(),
                    origin: Origin::Default,
                    secret: None,
                });
            }
        }
        shown
    }

    /// The sections that are switched off.
    pub fn off(&self) -> Vec<&'static str> {
        SECTIONS
            .iter()
            .map(|section| section.name)
            .filter(|name| !name.contains('.') && self.is_off(name))
            .collect()
    }

    fn is_off(&self, section: &str) -> bool {
        match section {
            "telegram" | "telegram.media" => self.config.telegram.is_none(),
            "telegram.dc" => {
                !matches!(&self.config.telegram, Some(telegram) if telegram.dc.is_some())
            }
            "rabbitmq" => self.config.rabbitmq.is_none(),
            "timescale" => self.config.timescale.is_none(),
            "redis" => self.config.redis.is_none(),
            "sqlite" => self.config.sqlite.is_none(),
            "serve" => self.config.serve.is_none(),
            "edge" => self.config.edge.is_none(),
            _ => false,
        }
    }

    /// The same as TOML, with the origins as comments.
    pub fn show_toml(&self) -> String {
        let shown = self.shown();
        let width = shown
            .iter()
            .map(|one| one.name.len() + 3 + one.toml.chars().count())
            .max()
            .unwrap_or(0)
            .min(60);
        let mut text = String::new();
        let mut section = "";
        for one in &shown {
            if one.section != section {
                section = one.section;
                let _ = write!(text, "\n[{section}]\n");
            }
            let line = format!("{} = {}", one.name, one.toml);
            let _ = write!(text, "{line:width$}  # {}", one.origin);
            if let Some(secret) = &one.secret {
                let _ = write!(text, ", {secret}");
            }
            text.push('\n');
        }
        if !self.off().is_empty() {
            let _ = write!(text, "\n# off: {}\n", self.off().join(", "));
        }
        text
    }
}

fn show(key: &Key, setting: &Setting) -> Shown {
    Shown {
        section: key.section,
        name: key.name,
        toml: value::as_toml(&setting.value, key),
        origin: setting.origin.clone(),
        secret: setting.secret.clone(),
    }
}

/// Every key, commented out, with meaning, limits and default: a file to start from.
pub fn defaults_toml() -> String {
    let mut text = String::from(
        "# telegram-gateway: every key with its default. Uncomment what you change.\n\
         # Durations: \"100ms\", \"30s\", \"5m\", \"12h\", \"1d\". Sizes: bytes, or \"256KiB\", \"64MiB\", \"1GiB\".\n\
         # An address may also be { file = \"PATH\" }, { env = \"NAME\" } or { credential = \"NAME\" }.\n",
    );
    section_toml(&mut text, "");
    for section in SECTIONS {
        let state = match section.optional {
            true if section.name != "sqlite" => " Off unless this section is written.",
            _ => "",
        };
        let _ = write!(text, "\n# {}{state}\n", section.about);
        let _ = writeln!(text, "#[{}]", section.name);
        section_toml(&mut text, section.name);
    }
    text
}

fn section_toml(text: &mut String, section: &str) {
    for key in keys::of(section) {
        text.push('\n');
        for line in wrapped(key.about, 96) {
            let _ = writeln!(text, "# {line}");
        }
        let limits = value::limits(key);
        if !limits.is_empty() {
            let _ = writeln!(text, "# Limits: {limits}.");
        }
        let _ = match key.default {
            Default::Text(default) => {
                // A test holds every default to the limits of its key.
                let written = match value::from_text(key, default) {
                    Ok(value) => value::as_toml(&value, key),
                    Err(_) => format!("{default:?}"),
                };
                writeln!(text, "#{} = {written}", key.name)
            }
            Default::Words(words) => {
                writeln!(text, "# Default: {words}.\n#{} = {}", key.name, form(key))
            }
            Default::Needed => writeln!(text, "# Needed.\n#{} = {}", key.name, form(key)),
        };
    }
}

/// The shape of a value that has no default.
fn form(key: &Key) -> &'static str {
    match key.kind {
        Kind::Count { .. } => "...",
        kind if kind.is_list() => "[\"...\"]",
        kind if kind.is_only_referred_to() => "{ file = \"...\" }",
        _ => "\"...\"",
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, String::len);
        if line > 0 && line + 1 + word.len() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// The reference of every key as Markdown, for `docs/config.md`.
pub fn reference_markdown() -> String {
    let mut text = String::from("### Top level\n");
    section_markdown(&mut text, "");
    for section in SECTIONS {
        let state = match section.optional {
            true if section.name != "sqlite" => " Off unless it is written.",
            _ => "",
        };
        let _ = write!(
            text,
            "\n### `[{}]`\n\n{}{state}\n",
            section.name, section.about
        );
        section_markdown(&mut text, section.name);
    }
    text
}

fn section_markdown(text: &mut String, section: &str) {
    text.push_str("\n| Key | Default | Limits | Meaning | Variable |\n|---|---|---|---|---|\n");
    for key in keys::of(section) {
        let default = match key.default {
            Default::Text(default) => format!("`{default}`"),
            Default::Words(words) => words.to_owned(),
            Default::Needed => "needed".to_owned(),
        };
        let _ = writeln!(
            text,
            "| `{}` | {default} | {} | {} | `{}` |",
            key.name,
            value::limits(key),
            key.about,
            key.variable()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Sources, load};
    use super::*;

    /// Lines that a newcomer would uncomment: headers, and keys that have a default of their own.
    fn uncommented(sections: &[&str]) -> String {
        let mut keep = true;
        let mut text = String::new();
        for line in defaults_toml().lines() {
            let Some(bare) = line.strip_prefix('#') else {
                continue;
            };
            if let Some(header) = bare.strip_prefix('[') {
                keep = sections.contains(&header.trim_end_matches(']'));
            }
            if keep && !bare.starts_with(' ') && !bare.ends_with("\"...\"") {
                text.push_str(bare);
                text.push('\n');
            }
        }
        text
    }

    #[test]
    fn the_printed_defaults_are_the_defaults() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gateway.toml");
        let text = uncommented(&["wal", "relay"]);
        assert!(text.contains("window = 256"), "{text}");
        std::fs::write(&path, text).expect("written");
        let loaded = load(&Sources {
            file: Some(path),
            ..Sources::default()
        });
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.config, Config::default());
    }

    #[test]
    fn what_is_shown_is_toml() {
        let loaded = load(&Sources::default()).expect("defaults");
        let text = loaded.show_toml();
        let table: toml::Table = text.parse().expect("TOML");
        assert_eq!(table["relay"]["window"].as_integer(), Some(256));
        assert_eq!(table["wal"]["segment_bytes_max"].as_str(), Some("64MiB"));
        assert!(text.contains("# off: telegram, rabbitmq, timescale, redis"));
    }
}

//! The layer of the TOML file.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::keys::{self, Key};
use super::layer::Layers;
use super::problem::Origin;
use super::reference::{self, Environment, Place};
use super::value::{self, Value, Wrong, name_shown, type_name};

/// Largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a file into the layers. Gives whether its syntax is right: if not, keys may be missing from what was read.
pub(super) fn read(layers: &mut Layers, path: &Path, environment: Environment<'_>) -> bool {
    let whole = Origin::File {
        path: path.to_owned(),
        at: None,
    };
    let (text, mode) = match open(path) {
        Ok(opened) => opened,
        Err(wrong) => {
            layers.wrong(whole, wrong);
            return false;
        }
    };
    // The display of a parser's error repeats the line, which may hold a password: only its message is used.
    let (document, errors) = DeTable::parse_recoverable(&text);
    let mut reading = Reading {
        layers,
        path,
        text: &text,
        mode,
        environment,
        broken_lines: Vec::new(),
    };
    for error in &errors {
        let origin = reading.origin(&error.span().unwrap_or(0..0));
        if let Origin::File {
            at: Some((line, _)),
            ..
        } = origin
        {
            // One mistake often makes several errors; the first of a line is the mistake.
            if reading.broken_lines.contains(&line) {
                continue;
            }
            reading.broken_lines.push(line);
        }
        let what = format!("not TOML: {}", error.message());
        let remedy = "write NAME = VALUE lines under [SECTION] headers; text goes in double quotes";
        reading.layers.wrong(origin, Wrong::new(what, remedy));
    }
    reading.document(document.get_ref());
    errors.is_empty()
}

fn open(path: &Path) -> Result<(String, Option<u32>), Wrong> {
    let unreadable = |error: std::io::Error| {
        Wrong::new(
            format!("cannot read the configuration file: {error}"),
            "check the path, or leave out --config and TGW_CONFIG to run on defaults",
        )
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Wrong::new(
            "the configuration file is a folder",
            "name a file",
        ));
    }
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Wrong::new(
            "the configuration file is larger than 1 MiB",
            "name a file of settings; `telegram-gateway config defaults` prints one",
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Wrong::new(
            format!("the configuration file is not UTF-8 text at byte {at}"),
            "save it as UTF-8",
        )
    })?;
    Ok((text, reference::exposed(&metadata, 0o044)))
}

/// A file being read.
struct Reading<'a> {
    layers: &'a mut Layers,
    path: &'a Path,
    text: &'a str,
    /// The permission bits, when group or others may read the file.
    mode: Option<u32>,
    environment: Environment<'a>,
    /// Lines with a syntax error: what the parser made of them is a guess.
    broken_lines: Vec<usize>,
}

impl Reading<'_> {
    fn origin(&self, span: &Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Origin::File {
            path: self.path.to_owned(),
            at: Some((line, column)),
        }
    }

    fn is_broken(&self, origin: &Origin) -> bool {
        matches!(origin, Origin::File { at: Some((line, _)), .. } if self.broken_lines.contains(line))
    }

    fn document(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let origin = self.origin(&name.span());
            if self.is_broken(&origin) {
                continue;
            }
            if let Some(key) = keys::find("", name.get_ref()) {
                self.value(key, value);
                continue;
            }
            let known = keys::SECTIONS.iter().find(|s| s.name == name.get_ref());
            match (known, value.get_ref()) {
                (Some(section), DeValue::Table(table)) => {
                    self.layers.mention(section.name, &origin);
                    self.section(section.name, table);
                }
                (Some(section), other) => {
                    let what = format!("{} is a section, not {}", section.name, type_name(other));
                    let remedy = format!("write [{}] on a line of its own", section.name);
                    self.layers.wrong(origin, Wrong::new(what, remedy));
                }
                (None, value) => {
                    let wrong = unknown_name(name.get_ref(), value);
                    self.layers.wrong(origin, wrong);
                }
            }
        }
    }

    fn section(&mut self, section: &'static str, table: &DeTable<'_>) {
        for (name, value) in table {
            let origin = self.origin(&name.span());
            match keys::find(section, name.get_ref()) {
                _ if self.is_broken(&origin) => {}
                Some(key) => self.value(key, value),
                None => self.subsection(section, name, value, origin),
            }
        }
    }

    /// A name in a section that is none of its keys.
    fn subsection(
        &mut self,
        section: &str,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) {
        let path = format!("{section}.{}", name.get_ref());
        let known = keys::SECTIONS.iter().find(|known| known.name == path);
        let wrong = match (known, value.get_ref()) {
            (Some(known), DeValue::Table(table)) => {
                self.layers.mention(known.name, &origin);
                return self.section(known.name, table);
            }
            (Some(known), other) => {
                let keys: Vec<String> = keys::of(known.name)
                    .map(|key| format!("{} = ...", key.name))
                    .collect();
                Wrong::new(
                    format!("{path} is a group of keys, not {}", type_name(other)),
                    format!("write {} = {{ {} }}", name.get_ref(), keys.join(", ")),
                )
            }
            (None, _) => unknown_key(section, name.get_ref()),
        };
        self.layers.wrong(origin, wrong);
    }

    fn value(&mut self, key: &'static Key, written: &Spanned<DeValue<'_>>) {
        let origin = self.origin(&written.span());
        if self.is_broken(&origin) {
            return;
        }
        if let Some(reference) = secret_reference(key, written.get_ref()) {
            match reference {
                Ok(reference) => {
                    let base = self.path.parent().unwrap_or(Path::new(""));
                    let environment = self.environment;
                    self.layers
                        .take_secret(key, origin, reference, base, environment);
                }
                Err(wrong) => self.layers.spoil(key, origin, wrong),
            }
            return;
        }
        let value = value::from_toml(key, written.get_ref());
        if let (Ok(Value::Url(url)), Some(mode)) = (&value, self.mode)
            && url.has_password()
        {
            let what = format!(
                "{} has a password, and other users can read this file (mode {mode:04o})",
                key.path()
            );
            let remedy = format!(
                "run: chmod 600 {}; or write {{ file = \"...\" }} instead of the address",
                self.path.display()
            );
            self.layers.spoil(key, origin, Wrong::new(what, remedy));
            return;
        }
        self.layers.take(key, origin, value);
    }
}

const REFERENCES: &str =
    "write one of { file = \"PATH\" }, { env = \"NAME\" }, { credential = \"NAME\" }";

/// Where a secret is, when only that is written; none for a value that stands here itself.
fn secret_reference<'t>(
    key: &Key,
    written: &'t DeValue<'_>,
) -> Option<Result<(Place, &'t str), Wrong>> {
    match written {
        DeValue::String(text) if key.kind.place().is_some() => {
            key.kind.place().map(|place| Ok((place, text.as_ref())))
        }
        DeValue::Table(table) if key.kind.is_secret() => Some(one_place(key, table)),
        // Not repeated: it may be the secret itself.
        _ if key.kind.is_only_referred_to() => Some(Err(Wrong::new(
            format!(
                "{} is a secret, and does not belong into this file",
                key.path()
            ),
            REFERENCES,
        ))),
        _ => None,
    }
}

/// The one entry of `{ file = "..." }` and its like.
fn one_place<'t>(key: &Key, table: &'t DeTable<'_>) -> Result<(Place, &'t str), Wrong> {
    let remedy = REFERENCES;
    let path = key.path();
    let mut entries = table.iter();
    let (Some((name, value)), None) = (entries.next(), entries.next()) else {
        let what = format!("{path} refers to {} places", table.len());
        return Err(Wrong::new(what, remedy));
    };
    let Some(place) = Place::from_name(name.get_ref()) else {
        let what = format!("{path} cannot be in `{}`", name_shown(name.get_ref()));
        return Err(Wrong::new(what, remedy));
    };
    match value.get_ref() {
        DeValue::String(text) => Ok((place, text)),
        other => {
            let what = format!("{path}: {} is {}", name.get_ref(), type_name(other));
            Err(Wrong::new(what, remedy))
        }
    }
}

fn unknown_name(name: &DeString<'_>, value: &DeValue<'_>) -> Wrong {
    if value.is_table() {
        let names = || keys::SECTIONS.iter().map(|section| section.name);
        let remedy = match keys::nearest(name, names()) {
            Some(meant) => format!("did you mean [{meant}]?"),
            None => format!(
                "the sections are {}",
                names().collect::<Vec<_>>().join(", ")
            ),
        };
        return Wrong::new(format!("unknown section [{}]", name_shown(name)), remedy);
    }
    let homes: Vec<String> = keys::KEYS
        .iter()
        .filter(|key| key.name == name && !key.section.is_empty())
        .map(|key| format!("[{}]", key.section))
        .collect();
    let top = keys::of("").map(|key| key.name);
    let remedy = match keys::nearest(name, top) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if !homes.is_empty() => format!("move it below the line {}", homes.join(" or ")),
        None => "only data_dir may stand above the sections".to_owned(),
    };
    Wrong::new(format!("unknown key `{}`", name_shown(name)), remedy)
}

/// An unknown key of a known section, with the one that was meant.
pub(super) fn unknown_key(section: &str, name: &str) -> Wrong {
    let names = || keys::of(section).map(|key| key.name);
    let remedy = match keys::nearest(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!(
            "[{section}] has the keys {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    };
    let what = format!("unknown key `{}` in [{section}]", name_shown(name));
    Wrong::new(what, remedy)
}

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::{Sources, load};
    use super::*;
    use proptest::prelude::*;

    fn loaded(text: &str) -> Option<ConfigError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let sources = Sources {
            file: Some(file.path().to_owned()),
            ..Sources::default()
        };
        load(&sources).err()
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        for mistake in [
            "[rabbitmq]\nurl = URL\n",
            "[rabbitmq]\nurl = \"URL\n",
            "[rabbitmq]\nurl = \"\"\"URL\n",
            "[rabbitmq]\nurl URL\n",
            "[rabbitmq]\nuri = \"URL\"\n",
            "[rabbitmq]\nurl = [\"URL\"]\n",
            "[rabbitmq]\n\"URL\" = \"url\"\n",
            "[rabbitmq]\n\"URL\"\n",
            "[rabbitmq]\nURL\n",
            "[\"URL\"]\n",
            "[URL]\n",
            "rabbitmq = \"URL\"\n",
            "\"URL\" = 1\n",
            "[rabbitmq]\nurl = { url = \"URL\" }\n",
            "[rabbitmq]\nurl = { \"URL\" = 1 }\n",
            "[rabbitmq]\nurl = { file = \"URL\" }\n",
            "[rabbitmq]\nurl = { env = \"URL\" }\n",
            "[rabbitmq]\nurl = { credential = \"URL\" }\n",
            "[rabbitmq]\nurl = \"URL \\u0007\"\n",
            "[redis]\nurl = \"URL\"\n",
            "[timescale]\nurl = \"host=db password=canary\"\n",
        ] {
            let mistake = mistake.replace("URL", "amqp://tgw:canary@127.0.0.1/v");
            let error = loaded(&mistake).unwrap_or_else(|| panic!("right: {mistake}"));
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("canary"), "{mistake}\n{shown}");
        }
    }

    const PARTS: [&str; 24] = [
        "[wal]\n",
        "[redis]\n",
        "url",
        " = ",
        "{ file = ",
        "\"x\"",
        "}",
        "\n",
        "\"",
        "'''",
        "window",
        "0x_",
        "1979-05-27",
        "[[",
        ".",
        "\r",
        "\u{e9}",
        "segment_age_max",
        "\"30s\"",
        "inf",
        "# ",
        ",",
        "]",
        "[relay]\n",
    ];

    proptest! {
        #[test]
        fn no_text_breaks_the_loader(
            parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..40),
            noise in ".{0,8}",
        ) {
            let text = format!("{}{noise}", parts.concat());
            let lines = text.matches('\n').count() + 1;
            if let Some(error) = loaded(&text) {
                prop_assert!(!error.problems.is_empty());
                for problem in &error.problems {
                    if let Origin::File { at: Some((line, column)), .. } = &problem.origin {
                        prop_assert!(*line <= lines && *column <= text.chars().count() + 1);
                    }
                }
            }
        }
    }
}

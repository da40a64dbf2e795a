//! One layer of the configuration: the settings that a file or the environment makes, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::keys::{self, Default, Key};
use super::problem::{Origin, Problem};
use super::reference::{self, Environment, Place};
use super::value::{self, Value, Wrong};

/// A value, and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) key: &'static Key,
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// Where the secret itself is, when it is only referred to.
    pub(super) secret: Option<String>,
}

/// What the layers have said so far. A later layer overrides; problems of all of them are kept.
#[derive(Debug)]
pub(super) struct Layers {
    settings: BTreeMap<String, Setting>,
    /// Keys with a problem: nothing that follows from their value is reported as well.
    spoiled: BTreeSet<String>,
    /// Sections that were written, and where first.
    sections: BTreeMap<&'static str, Origin>,
    pub(super) problems: Vec<Problem>,
}

impl Layers {
    /// The lowest layer: the defaults.
    pub(super) fn defaults() -> Layers {
        let mut layers = Layers {
            settings: BTreeMap::new(),
            spoiled: BTreeSet::new(),
            sections: BTreeMap::new(),
            problems: Vec::new(),
        };
        for key in keys::KEYS {
            if let Default::Text(text) = key.default {
                layers.take(key, Origin::Default, value::from_text(key, text));
            }
        }
        layers
    }

    /// Notes that a section was written, which switches an optional one on, and with it the one that it is part of.
    pub(super) fn mention(&mut self, section: &'static str, origin: &Origin) {
        if let Some((whole, _)) = section.rsplit_once('.') {
            self.mention(whole, origin);
        }
        if !section.is_empty() {
            self.sections
                .entry(section)
                .or_insert_with(|| origin.clone());
        }
    }

    /// Keeps a value, or why it is none.
    pub(super) fn take(&mut self, key: &'static Key, origin: Origin, value: Result<Value, Wrong>) {
        self.keep(key, origin, value.map(|value| (value, None)));
    }

    /// Follows a reference to a secret and keeps what it says.
    pub(super) fn take_secret(
        &mut self,
        key: &'static Key,
        origin: Origin,
        (place, name): (Place, &str),
        base: &Path,
        environment: Environment<'_>,
    ) {
        let value = reference::fetch(place, name, base, environment)
            .and_then(|fetched| Ok((value::from_secret(key, &fetched)?, Some(fetched.from))));
        self.keep(key, origin, value);
    }

    fn keep(
        &mut self,
        key: &'static Key,
        origin: Origin,
        value: Result<(Value, Option<String>), Wrong>,
    ) {
        match value {
            Ok((value, secret)) => {
                let setting = Setting {
                    key,
                    value,
                    origin,
                    secret,
                };
                self.settings.insert(key.path(), setting);
            }
            Err(wrong) => self.spoil(key, origin, wrong),
        }
    }

    /// Notes that a key has a problem.
    pub(super) fn spoil(&mut self, key: &Key, origin: Origin, wrong: Wrong) {
        self.spoiled.insert(key.path());
        self.wrong(origin, wrong);
    }

    /// Notes a problem that belongs to no key.
    pub(super) fn wrong(&mut self, origin: Origin, wrong: Wrong) {
        self.problems.push(Problem {
            origin,
            what: wrong.what,
            remedy: wrong.remedy,
        });
    }

    /// The setting of a key, unless it has a problem.
    pub(super) fn get(&self, path: &str) -> Option<&Setting> {
        self.settings
            .get(path)
            .filter(|_| !self.spoiled.contains(path))
    }

    pub(super) fn replace(&mut self, path: &str, value: Value) {
        if let Some(setting) = self.settings.get_mut(path) {
            setting.value = value;
        }
    }

    pub(super) fn is_spoiled(&self, path: &str) -> bool {
        self.spoiled.contains(path)
    }

    /// Where a section was written first; none when it was not.
    pub(super) fn section(&self, name: &str) -> Option<&Origin> {
        self.sections.get(name)
    }
}

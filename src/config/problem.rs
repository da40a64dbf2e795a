//! What is wrong with a configuration: where, what, and the remedy; everything at once.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::failure::{Class, Classify, Exit};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nowhere: the default holds.
    Default,
    /// The configuration file, and the place in it when there is one. Line and column count from 1.
    File {
        /// The file as it was named on the command line.
        path: PathBuf,
        /// Line and column.
        at: Option<(usize, usize)>,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, at: None } => f.write_str(&on_one_line(path)),
            Origin::File {
                path,
                at: Some((line, column)),
            } => write!(f, "{}:{line}:{column}", on_one_line(path)),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A path as text: control characters are escaped, so that it stays on its line.
pub(super) fn on_one_line(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}

/// One mistake in a configuration. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub origin: Origin,
    /// What is wrong.
    pub what: String,
    /// What mends it.
    pub remedy: String,
}

/// A configuration that cannot be used, with every problem that was found. Shown over several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// In the order of the file, then by variable; at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => f.write_str("the configuration has a problem")?,
            count => write!(f, "the configuration has {count} problems")?,
        }
        for problem in &self.problems {
            write!(f, "\n{}: {}", problem.origin, problem.what)?;
            write!(f, "\n  hint: {}", problem.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Classify for ConfigError {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn exit(&self) -> Exit {
        Exit::Config
    }
}

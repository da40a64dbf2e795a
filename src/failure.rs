//! Classes of failure: what retry, quarantine, pause and exit code are decided from.
//!
//! Every error that crosses a border of the house is classed here, once, by exhaustive functions; no stage looks at
//! an error's text. An error type of a stage answers through [`Classify`].

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// What kind of trouble it is, and so what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Goes away by itself: retry without limit, with back-off.
    Transient,
    /// A person must change something (password, schema, disk, configuration): pause, show the hint.
    Operator,
    /// Data is damaged or not what it claims to be: quarantine it, never guess.
    Corrupt,
    /// Our mistake: stop the stage and say so.
    Bug,
}

impl Class {
    /// What a stage does about it, the one policy of all stages: trouble that goes away by itself is tried again with
    /// growing waits, and a drain waits for it; what needs a person is shown as such, looked at again as seldom, and ends
    /// a drain.
    pub fn needs_person(self) -> bool {
        match self {
            Class::Transient => false,
            Class::Operator | Class::Corrupt | Class::Bug => true,
        }
    }
}

/// Exit codes of the program, after sysexits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed, or `verify` found a difference.
    Failure = 1,
    /// Wrong command line, or `verify` could not run.
    Usage = 2,
    /// Input or stored data is damaged.
    Data = 65,
    /// A server could not be reached.
    Backend = 69,
    /// Another process holds the log, or the session of an account.
    Locked = 75,
    /// Not allowed: credentials or file permissions.
    Auth = 77,
    /// The configuration is wrong.
    Config = 78,
}

/// An error that knows its class, its remedy and its exit code.
pub trait Classify: std::error::Error {
    /// Its class.
    fn class(&self) -> Class;
    /// The command or configuration key that mends it.
    fn hint(&self) -> Option<String> {
        None
    }
    /// What the program exits with when this ends it.
    fn exit(&self) -> Exit {
        match self.class() {
            Class::Transient => Exit::Backend,
            Class::Operator | Class::Bug => Exit::Failure,
            Class::Corrupt => Exit::Data,
        }
    }
}

/// The class of an I/O error.
pub fn io_class(error: &io::Error) -> Class {
    use io::ErrorKind as K;
    match error.kind() {
        K::ConnectionRefused
        | K::ConnectionReset
        | K::ConnectionAborted
        | K::NotConnected
        | K::BrokenPipe
        | K::TimedOut
        | K::Interrupted
        | K::WouldBlock
        | K::UnexpectedEof
        | K::HostUnreachable
        | K::NetworkUnreachable
        | K::NetworkDown => Class::Transient,
        K::InvalidData => Class::Corrupt,
        _ => Class::Operator,
    }
}

/// An error with all its causes on one line: `what: why: because`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Transient => "transient",
            Class::Operator => "operator",
            Class::Corrupt => "corrupt",
            Class::Bug => "bug",
        })
    }
}

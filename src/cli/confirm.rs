//! The person at the terminal has to agree, having seen what is lost.

use std::io::IsTerminal as _;

use super::output;
use crate::failure::{Class, Classify, Exit};

/// Nobody agreed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0}, and nobody is at a terminal to agree")]
    NoTerminal(String),
    #[error("{0} was not confirmed")]
    No(&'static str),
}

impl Classify for Refused {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn hint(&self) -> Option<String> {
        Some("say --yes to go on without being asked".to_owned())
    }

    fn exit(&self) -> Exit {
        match self {
            Refused::NoTerminal(_) => Exit::Usage,
            Refused::No(_) => Exit::Failure,
        }
    }
}

/// Shows what will happen and waits until `word` is typed. `short` says it in a few words, for an error.
pub(super) fn confirm(short: String, explained: &str, word: &'static str) -> Result<(), Refused> {
    if !std::io::stdin().is_terminal() {
        return Err(Refused::NoTerminal(short));
    }
    output::say(&format!("{explained} Type {word} to go on:"));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && answer.trim() == word {
        Ok(())
    } else {
        Err(Refused::No(word))
    }
}

//! What the commands print: data to stdout, words to stderr.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use crate::failure::{Class, Classify, Exit, chain, io_class};
use crate::telemetry;

/// What a command ends with: its exit code, or the error that says it.
pub type CommandResult = Result<Exit, CommandError>;

/// Any error that knows its class, hint and exit code; `?` makes one of it.
#[derive(Debug)]
pub struct CommandError {
    error: Box<dyn Classify + Send + Sync>,
    exit: Exit,
}

impl<E: Classify + Send + Sync + 'static> From<E> for CommandError {
    fn from(error: E) -> CommandError {
        let exit = error.exit();
        CommandError {
            error: Box::new(error),
            exit,
        }
    }
}

impl CommandError {
    /// What the program exits with.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The same error, for a command that promises another exit code for it.
    pub fn with_exit(self, exit: Exit) -> CommandError {
        CommandError { exit, ..self }
    }

    /// The error with its causes on one line, where it is one entry of a report.
    pub fn line(&self) -> String {
        chain(&*self.error)
    }

    /// The error as it is shown: what, the causes, the hint; nothing in it can steer a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        push(&mut text, "error: ", &self.error.to_string());
        let mut above = self.error.to_string();
        let mut source = self.error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Some libraries repeat their cause in their own text.
            if !above.ends_with(&cause_text) {
                push(&mut text, "  caused by: ", &cause_text);
            }
            above = cause_text;
            source = cause.source();
        }
        if let Some(hint) = self.error.hint() {
            push(&mut text, "  hint: ", &hint);
        }
        text
    }
}

/// Adds a message under its label. Further lines of it are indented, so that none can pass for a label.
fn push(text: &mut String, label: &str, message: &str) {
    for (number, line) in message.lines().enumerate() {
        let lead = if number == 0 { label } else { "  " };
        let _ = writeln!(text, "{lead}{}", escape(line));
    }
}

/// Shows the error that ended the program.
pub fn report(error: &CommandError) {
    if error.exit() == Exit::Ok {
        return;
    }
    let text = error.text();
    let text = match text.strip_prefix("error:") {
        Some(rest) if telemetry::has_colour() => format!("\x1b[1;31merror:\x1b[0m{rest}"),
        _ => text,
    };
    // Nobody is left to hear of an error here.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Says something to the person at the terminal, on stderr.
pub fn say(message: &str) {
    let mut text = String::new();
    push(&mut text, "", message);
    // A closed stderr is no reason to stop.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Why data could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The reader has gone, as `head` does. Not a failure.
    #[error("the reader of the output has gone")]
    Closed,
    /// Anything else, as a full disk.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
    /// A value that JSON cannot hold.
    #[error("cannot write the output as JSON")]
    Json(#[source] serde_json::Error),
}

impl Classify for OutputError {
    fn class(&self) -> Class {
        match self {
            OutputError::Closed => Class::Operator,
            OutputError::Write(error) => io_class(error),
            OutputError::Json(_) => Class::Bug,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            OutputError::Closed => Exit::Ok,
            OutputError::Write(_) | OutputError::Json(_) => Exit::Failure,
        }
    }
}

/// Prints data to stdout as it is. Text that others wrote goes through [`escape`] first.
pub fn print(text: &str) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => OutputError::Closed,
        _ => OutputError::Write(error),
    })
}

/// Prints a value as one line of JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), OutputError> {
    let mut text = serde_json::to_string(value).map_err(OutputError::Json)?;
    text.push('\n');
    print(&text)
}

/// Prints a command's result: one line of JSON, or the text that `words` makes of it.
pub fn result<T: Serialize>(
    value: &T,
    json: bool,
    words: impl FnOnce(&T) -> String,
) -> Result<(), OutputError> {
    if json {
        return print_json(value);
    }
    let mut text = words(value);
    text.push('\n');
    print(&text)
}

/// Makes foreign text harmless for a terminal: control characters, line breaks and marks that turn the writing
/// direction are written out as escapes.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_steering) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_steering(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open \x1b]8;;x\x07{0}")]
    struct Hostile(&'static str, #[source] io::Error);

    impl Classify for Hostile {
        fn class(&self) -> Class {
            Class::Corrupt
        }

        fn hint(&self) -> Option<String> {
            Some("run verify".to_owned())
        }
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(escape("plain \u{e9}\u{1f600}"), "plain \u{e9}\u{1f600}");
        assert_eq!(escape("\x1b[2J\x07"), "\\u{1b}[2J\\u{7}");
        assert_eq!(escape("a\r\nb\tc\u{9b}"), "a\\r\\nb\\tc\\u{9b}");
        assert_eq!(
            escape("\u{202e}gpj.exe\u{2066}"),
            "\\u{202e}gpj.exe\\u{2066}"
        );
        assert_eq!(escape("a\u{2028}b\u{7f}"), "a\\u{2028}b\\u{7f}");
    }

    #[test]
    fn an_error_shows_what_why_and_the_hint() {
        let error = Hostile("log\nerror: forged", io::Error::other("disk\x1b[0m"));
        let error = CommandError::from(error);
        assert_eq!(error.exit(), Exit::Data);
        assert_eq!(
            error.text(),
            "error: cannot open \\u{1b}]8;;x\\u{7}log\n  error: forged\n  \
             caused by: disk\\u{1b}[0m\n  hint: run verify\n"
        );
    }
}

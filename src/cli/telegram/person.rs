//! The person at the terminal, or whatever stands in for one on stdin.

use std::io::{self, IsTerminal as _};

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use zeroize::Zeroizing;

use super::super::output;
use crate::failure::{Class, Classify, Exit};
use crate::source::telegram::login::{Person, Question};

/// Longer lines are no answers.
const ANSWER_BYTES_MAX: usize = 4096;

/// Whoever is asked.
pub(super) enum Asked {
    /// Sees what is asked, and types.
    Terminal,
    /// Gives a line for each question.
    Lines,
}

/// Nobody can be asked.
#[derive(Debug, thiserror::Error)]
#[error("nobody is at a terminal to be asked")]
pub(super) struct Nobody;

impl Classify for Nobody {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn hint(&self) -> Option<String> {
        Some("run it at a terminal, or give the answers line by line with --stdin".to_owned())
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

impl Asked {
    pub(super) fn new(from_stdin: bool) -> Result<Asked, Nobody> {
        match (from_stdin, io::stdin().is_terminal()) {
            (true, _) => Ok(Asked::Lines),
            (false, true) => Ok(Asked::Terminal),
            (false, false) => Err(Nobody),
        }
    }
}

impl Person for Asked {
    async fn ask(&mut self, question: &Question) -> io::Result<Zeroizing<String>> {
        let is_seen = matches!(self, Asked::Terminal);
        let is_secret = matches!(question, Question::Password { .. } | Question::BotToken);
        let prompt = prompt(question);
        let read = tokio::task::spawn_blocking(move || {
            if !is_seen {
                return line();
            }
            output::say(&prompt);
            if is_secret {
                rpassword::read_password().map(Zeroizing::new)
            } else {
                line()
            }
        });
        read.await.map_err(io::Error::other)?
    }

    fn show(&mut self, link: &str) {
        let drawn = QrCode::new(link).map(|code| {
            let mut drawing = code.render::<Dense1x2>();
            // Terminals are dark.
            drawing
                .dark_color(Dense1x2::Light)
                .light_color(Dense1x2::Dark);
            drawing.build()
        });
        output::say(
            "Scan this with an app of Telegram that is logged in: Settings, Devices, Link Desktop Device.",
        );
        for line in drawn.unwrap_or_default().lines() {
            output::say(line);
        }
        output::say(link);
    }

    fn tell(&mut self, text: &str) {
        output::say(text);
    }
}

fn prompt(question: &Question) -> String {
    match question {
        Question::Phone => "Phone number, with its country as +4915...:".to_owned(),
        Question::Code { way } => format!("The code that Telegram has sent {way}:"),
        Question::Password { hint: None } => "Password of the account (not shown):".to_owned(),
        Question::Password { hint: Some(hint) } => {
            format!("Password of the account (not shown; hint: {hint}):")
        }
        Question::BotToken => "Token of the bot (not shown):".to_owned(),
    }
}

/// One line, without what ends it.
fn line() -> io::Result<Zeroizing<String>> {
    use io::{BufRead as _, Read as _};
    let mut stdin = io::stdin().lock();
    // As large as it may become, so that no copy of it stays behind in memory.
    let mut line = Zeroizing::new(String::with_capacity(ANSWER_BYTES_MAX + 1));
    let read = stdin
        .by_ref()
        .take(ANSWER_BYTES_MAX as u64)
        .read_line(&mut line)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

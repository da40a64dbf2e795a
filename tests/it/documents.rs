//! Documents say what the program does.

use std::fs;
use std::path::PathBuf;

use telegram_gateway::config;

use crate::support::blessed::is_blessed;
use crate::support::gateway::{Gateway, repository};

#[test]
fn documents_say_what_the_program_does() {
    let config = Document::read("docs/config.md");
    config.section_is("keys", &config::reference_markdown());
    let exits = Document::read("docs/exit-codes.md");
    exits.section_is("codes", &exit_codes());
    let defaults = Gateway::embedded().ok(&["config", "defaults"]);
    assert!(defaults.contains("#segment_bytes_max = \"64MiB\""));
}

/// The table of exit codes, from the source of `failure::Exit`.
fn exit_codes() -> String {
    let source = fs::read_to_string(repository("src/failure.rs")).expect("source");
    let start = source.find("pub enum Exit {").expect("the enum");
    let body = &source[start..start + source[start..].find("\n}").expect("its end")];
    let mut table = String::from("| Code | Name | Meaning |\n|---|---|---|\n");
    let mut meaning = Vec::new();
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            meaning.push(text.trim());
        } else if let Some((name, code)) = line.trim_end_matches(',').split_once(" = ") {
            table.push_str(&format!("| {code} | {name} | {} |\n", meaning.join(" ")));
            meaning.clear();
        }
    }
    table
}

/// A document with parts that the program writes.
struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    fn read(path: &str) -> Document {
        let path = repository(path);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Document { path, text }
    }

    #[track_caller]
    fn section_is(&self, name: &str, expected: &str) {
        let (open, close) = (
            format!("<!-- {name} -->\n"),
            format!("<!-- end of {name} -->"),
        );
        let start = self.text.find(&open).expect("the opening mark") + open.len();
        let end = self.text.find(&close).expect("the closing mark");
        let whole = format!("{}{expected}{}", &self.text[..start], &self.text[end..]);
        is_blessed(&self.path, &whole);
    }
}

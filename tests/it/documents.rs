//! Documents say what the program does.

use std::collections::BTreeSet;
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

#[test]
fn failures_of_telegram_are_shown_by_tests() {
    let ids = (1..=6).map(|n| format!("L{n}"));
    let ids = ids.chain((1..=16).map(|n| format!("G{n}")));
    let ids = ids.chain((1..=50).map(|n| format!("T{n}")));
    shown_by_tests("docs/telegram-failures.md", ids);
}

#[test]
fn failures_of_projections_are_shown_by_tests() {
    let ids = (1..=23).map(|n| format!("P{n}"));
    shown_by_tests("docs/projection-failures.md", ids);
}

#[test]
fn failures_of_logs_are_shown_by_tests() {
    let ids = (1..=40).map(|n| format!("W{n}"));
    shown_by_tests("docs/log-failures.md", ids);
}

#[test]
fn the_architecture_names_tests_that_are_there() {
    let document = Document::read("ARCHITECTURE.md");
    let count = document.names_of_tests().count();
    assert!(count >= 5, "it names only {count} tests");
    are_there(document.names_of_tests(), &tests());
}

/// Every failure has its line, and every test that a line names is there.
#[track_caller]
fn shown_by_tests(document: &str, ids: impl Iterator<Item = String>) {
    let document = Document::read(document);
    let rows: Vec<Vec<&str>> = document
        .text
        .lines()
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let tests = tests();
    for id in ids {
        let row = rows.iter().find(|row| row.get(1) == Some(&id.as_str()));
        let row = row.unwrap_or_else(|| panic!("no line for {id}"));
        let named: Vec<&str> = quoted(row[4]).collect();
        assert!(!named.is_empty(), "{id} names no test");
        for name in named {
            assert!(tests.contains(name), "{id}: there is no test {name}");
        }
    }
    are_there(document.names_of_tests(), &tests);
}

/// A name that ends in dots stands for the tests that begin with it.
#[track_caller]
fn are_there<'a>(names: impl Iterator<Item = &'a str>, tests: &BTreeSet<String>) {
    for name in names {
        let is_there = match name.strip_suffix("...") {
            Some(start) => tests.iter().any(|test| test.starts_with(start)),
            None => tests.contains(name),
        };
        assert!(is_there, "there is no test {name}");
    }
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names of all functions in the tests and beside the code.
fn tests() -> BTreeSet<String> {
    let mut folders: Vec<PathBuf> = ["src", "tests", "wal/src", "wal/tests"]
        .map(repository)
        .into();
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let source = fs::read_to_string(&path).expect("source");
                let functions = source.split("fn ").skip(1);
                let name = |it: &str| it.split(['(', '<']).next().unwrap_or_default().to_owned();
                names.extend(functions.map(name));
            }
        }
    }
    names
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

    /// What is quoted and as long as only the name of a test is, without its module. Fences are no quotes.
    fn names_of_tests(&self) -> impl Iterator<Item = &str> {
        let prose = self.text.split("```").step_by(2);
        let names = prose
            .flat_map(quoted)
            .filter(|it| !it.contains(['/', ' ', '=']));
        let names = names.map(|it| it.rsplit("::").next().unwrap_or(it));
        names.filter(|it| it.matches('_').count() >= 3)
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

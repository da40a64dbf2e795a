//! The examples in docs/examples read what the gateway publishes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use telegram_gateway::broker::message;
use telegram_gateway::event::Event;
use wal::{Identity, LogId};

use crate::support::blessed::is_blessed;
use crate::support::events::envelope;
use crate::support::gateway::repository;

/// A body for each event of the golden files, the last one twice, as a receiver may get it.
fn bodies() -> Vec<Vec<u8>> {
    let identity = Identity {
        log_id: LogId([7; 16]),
        epoch: 1,
    };
    let folder = std::fs::read_dir(repository("fixtures/events")).expect("fixtures");
    let mut paths: Vec<_> = folder.map(|file| file.expect("listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "json"));
    paths.sort();
    assert!(paths.len() > 10, "the fixtures are not where they were");
    let body = |(seq, path): (u64, &std::path::PathBuf)| {
        let text = std::fs::read_to_string(path).expect("readable");
        let event: Event = serde_json::from_str(&text).expect("an event");
        message::body(identity, &envelope(seq, event))
    };
    let mut bodies: Vec<Vec<u8>> = (1..).zip(&paths).map(body).collect();
    bodies.extend(bodies.last().cloned());
    bodies
}

/// Compares what a program makes of them with docs/examples/events.txt; none if there is no such interpreter.
fn says(interpreter: &str, example: &str) -> Option<()> {
    let child = Command::new(interpreter)
        .arg(repository(example))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        child => child.expect("it starts"),
    };
    let mut stdin = child.stdin.take().expect("piped");
    for body in bodies() {
        stdin.write_all(&body).expect("written");
        stdin.write_all(b"\n").expect("written");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{example}: {}", output.status);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    is_blessed(&repository("docs/examples/events.txt"), &said);
    Some(())
}

#[test]
fn the_example_in_python_reads_every_kind_of_event() {
    says("python3", "docs/examples/events.py").expect("python3 is on PATH");
}

#[test]
fn the_example_in_node_says_the_same() {
    if says("node", "docs/examples/events.mjs").is_none() {
        // Straight to the terminal: the harness hides what a passing test prints.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED the example in Node: node is not on PATH"
        );
    }
}

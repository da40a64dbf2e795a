//! Real signals to a real process: the first asks for a drain, the second ends it at once.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Set for the child: this test binary, started again to run [`child`] alone.
const CHILD: &str = "TGW_TEST_SHUTDOWN_CHILD";

#[test]
fn a_second_signal_ends_the_process_at_once() {
    for (first, second, code) in [
        ("TERM", "TERM", 143),
        ("INT", "INT", 130),
        ("INT", "TERM", 143),
    ] {
        let (mut child, mut lines) = start();
        until(&mut lines, "listening");
        send(first, &child);
        until(&mut lines, "draining");
        assert_eq!(child.try_wait().expect("a child"), None, "it drains");
        send(second, &child);
        let status = child.wait().expect("a child");
        assert_eq!(status.code(), Some(code), "{first} then {second}");
    }
}

fn start() -> (Child, Lines<BufReader<ChildStdout>>) {
    let this = std::env::current_exe().expect("this binary");
    let mut child = Command::new(this)
        .args(["shutdown::child", "--exact", "--ignored", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines)
}

fn until(lines: &mut Lines<BufReader<ChildStdout>>, word: &str) {
    // Ends with the child, which has a limit of its own.
    let found = lines.any(|line| line.expect("text").contains(word));
    assert!(found, "the child never said {word}");
}

fn send(signal: &str, child: &Child) {
    let kill = Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status();
    assert!(kill.expect("kill is there").success());
}

#[test]
#[ignore = "the child of the test above"]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let stop = telegram_gateway::shutdown::listen().expect("signals");
        println!("listening");
        stop.cancelled().await;
        println!("draining");
        // A drain that never ends, until the limit of the test.
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    });
}

//! Readers in another process than the writer's: live, over rolls, over the writer's death.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;

use wal::{Batch, Log, OpenError, Options, Outcome, Progress, Reader, Seq, verify};

use crate::common::{batch, keyed, plain, small, tail_of};

const DIR: &str = "WAL_TEST_WRITER_DIR";
const SEGMENT: u64 = 400;

/// Not a test: the body of the writer process. Takes one command a line, answers each.
#[test]
#[ignore = "run by the other tests as their writer process"]
fn writer_process() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let mut log = Some(Log::open(Path::new(&dir), small(SEGMENT)).unwrap());
    let recovery = log.as_ref().unwrap().recovery().clone();
    println!("answer open unclean={}", recovery.unclean);
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let open = log.as_mut().unwrap();
        match line.split_once(' ') {
            Some(("append", n)) => {
                let n: u64 = n.parse().unwrap();
                let batch = Batch {
                    records: vec![keyed(n, &n.to_be_bytes())],
                    bookmarks: vec![("at".into(), n.to_be_bytes().to_vec())],
                    cursors: vec![],
                };
                let done = open.append(&batch).unwrap();
                assert_eq!(done.outcomes, [Outcome::Appended(Seq::new(n).unwrap())]);
                println!("answer {}", done.tail.unwrap());
            }
            _ if line == "seal" => {
                open.seal().unwrap();
                println!("answer sealed");
            }
            _ if line == "close" => {
                log.take().unwrap().close().unwrap();
                println!("answer closed");
                return;
            }
            _ => panic!("unknown command {line}"),
        }
    }
}

struct Writer {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(dir: &Path) -> (Writer, String) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "follow::writer_process",
                "--ignored",
                "--nocapture",
            ])
            .env(DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut writer = Writer {
            child,
            commands,
            answers,
        };
        let greeting = writer.answer();
        (writer, greeting)
    }

    fn answer(&mut self) -> String {
        // The test harness of the child prints lines of its own, and before the first answer
        // not even a line end.
        loop {
            let line = self.answers.next().expect("the writer lives").unwrap();
            if let Some(at) = line.find("answer ") {
                return line[at + 7..].to_owned();
            }
        }
    }

    fn tell(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        self.answer()
    }

    /// Kills it as the kernel's memory killer would, in the middle of nothing.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn payloads(reader: &Reader, from: u64) -> Vec<Vec<u8>> {
    let records = reader
        .read(Seq::new(from).unwrap(), 1000, usize::MAX)
        .unwrap();
    records.iter().map(|r| r.payload().to_vec()).collect()
}

fn expected(range: std::ops::RangeInclusive<u64>) -> Vec<Vec<u8>> {
    range.map(|n| plain(n).payload).collect()
}

#[test]
fn a_reader_elsewhere_sees_every_commit_at_once_and_follows_over_rolls() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::start(dir.path());
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.tail().unwrap(), None);
    for n in 1..=30 {
        assert_eq!(writer.tell(&format!("append {n}")), n.to_string());
        assert_eq!(reader.tail().unwrap(), Seq::new(n), "the commit is visible");
        assert_eq!(payloads(&reader, n), expected(n..=n));
        assert_eq!(reader.bookmarks().unwrap()[0].1, n.to_be_bytes());
    }
    let segments = reader.segments().unwrap();
    assert!(segments.len() > 4, "the log rolled: {segments:?}");
    assert_eq!(payloads(&reader, 1), expected(1..=30));
    assert_eq!(writer.tell("seal"), "sealed");
    assert_eq!(reader.tail().unwrap(), Seq::new(30));
    assert_eq!(payloads(&reader, 31), Vec::<Vec<u8>>::new());
    writer.tell("append 31");
    assert_eq!(payloads(&reader, 30), expected(30..=31));
    let report = verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.records, 31);
    let refused = Log::open(dir.path(), Options::default()).unwrap_err();
    let holder = format!("process {} on ", writer.child.id());
    assert!(
        matches!(&refused, OpenError::Locked { holder: h } if h.starts_with(&holder)),
        "{refused}"
    );
    assert_eq!(writer.tell("close"), "closed");
    assert_eq!(payloads(&reader, 1), expected(1..=31));
}

#[test]
fn a_reader_goes_on_when_the_writer_is_killed_and_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, greeting) = Writer::start(dir.path());
    assert_eq!(greeting, "open unclean=false");
    for n in 1..=4 {
        writer.tell(&format!("append {n}"));
    }
    let old = Reader::open(dir.path()).unwrap();
    assert_eq!(payloads(&old, 1), expected(1..=4));
    writer.kill();
    assert_eq!(payloads(&old, 1), expected(1..=4), "with the writer dead");
    let (mut writer, greeting) = Writer::start(dir.path());
    assert_eq!(greeting, "open unclean=true");
    for n in 5..=12 {
        writer.tell(&format!("append {n}"));
        assert_eq!(old.tail().unwrap(), Seq::new(n));
    }
    assert_eq!(payloads(&old, 1), expected(1..=12));
    writer.kill();
    // Nobody left: a new reader repairs what the writer left, and a writer can start after it.
    let new = Reader::open(dir.path()).unwrap();
    assert_eq!(payloads(&new, 1), expected(1..=12));
    assert!(verify(dir.path(), &mut |_| {}).unwrap().findings.is_empty());
    let mut log = Log::open(dir.path(), small(SEGMENT)).unwrap();
    assert!(!log.recovery().unclean, "the reader has repaired it");
    assert_eq!(tail_of(&mut log, plain(13)), 13);
    for reader in [&old, &new] {
        assert_eq!(payloads(reader, 1), expected(1..=13));
    }
}

#[test]
fn a_killed_writers_segment_says_so_once_it_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::start(dir.path());
    writer.tell("append 1");
    writer.kill();
    let (tell, told) = mpsc::channel();
    let options = Options {
        progress: Some(Progress::new(move |done| tell.send(done).unwrap())),
        ..Options::default()
    };
    let mut log = Log::open(dir.path(), options.clone()).unwrap();
    assert!(log.recovery().unclean);
    let told_of_repair: Vec<f64> = told.try_iter().collect();
    assert!(!told_of_repair.is_empty() && told_of_repair.is_sorted());
    assert!(told_of_repair.iter().all(|done| (0.0..=1.0).contains(done)));
    let again = log
        .append(&batch(vec![keyed(1, &1u64.to_be_bytes())]))
        .unwrap();
    assert_eq!(again.outcomes, [Outcome::Duplicate(Seq::FIRST)]);
    log.seal().unwrap();
    let segments = log.reader().segments().unwrap();
    assert!(segments[0].sealed && segments[0].recovered);
    assert!(!segments[1].recovered);
    log.close().unwrap();
    Log::open(dir.path(), options).unwrap();
    assert_eq!(told.try_iter().count(), 0, "nothing was repaired");
}

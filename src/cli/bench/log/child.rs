//! What runs in processes of its own: a writer to be killed, and readers.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{self, ChildStdout, Command, Stdio};

use clap::ValueEnum;
use wal::{Pace, Reader, Seq};

use super::engine::{Engine as _, Whole};
use super::reading::READ;
use super::{BenchError, Run, failed};
use crate::cli::bench::machine;
use crate::journal::LOG_DIR;

/// Events of a commit of the writer that fills a log.
const FILL_BATCH: usize = 1000;
/// Where the backup goes, inside the data directory.
const BACKUP: &str = "backup";

/// What the process does, over and over until it is killed. It prints a line when it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// Fills the log, prints its resident memory now and at most, and goes on with commits of one event.
    Fill,
    /// Checks the log record by record.
    Verify,
    /// Reads it from the first record to the last.
    Read,
    /// Backs it up, each time from nothing.
    Backup,
    /// Keeps a processor busy and touches nothing: what reading costs beyond that is the log's own.
    Spin,
}

/// Does the task; ends only with an error. `bytes`: of the log that is filled, or of records a second of a backup.
pub(in crate::cli) fn run(task: Task, data_dir: &Path, bytes: u64) -> Result<(), BenchError> {
    std::thread::spawn(end_with_the_parent);
    let dir = data_dir.join(LOG_DIR);
    if task != Task::Fill {
        tell("begun")?;
    }
    match task {
        Task::Fill => fill(data_dir, bytes),
        Task::Verify => loop {
            wal::verify(&dir, &mut |_| {}).map_err(failed("verifying"))?;
        },
        Task::Read => loop {
            read(&dir)?;
        },
        Task::Backup => loop {
            back_up(&dir, &data_dir.join(BACKUP), Pace::new(bytes))?;
        },
        Task::Spin => loop {
            std::hint::spin_loop();
        },
    }
}

/// A parent that was itself killed must not leave this behind: its end of our stdin closes.
fn end_with_the_parent() {
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    process::exit(1);
}

fn tell(line: &str) -> Result<(), BenchError> {
    let mut out = io::stdout().lock();
    let told = writeln!(out, "{line}").and_then(|()| out.flush());
    told.map_err(failed("telling the parent"))
}

fn fill(data_dir: &Path, bytes: u64) -> Result<(), BenchError> {
    let mut log = Whole::open(data_dir, true)?;
    log.fill(bytes, FILL_BATCH)?;
    // One that was full already: a file that nothing was written to since it was opened counts as closed.
    log.append(1)?;
    tell(&format!(
        "{} {}",
        machine::rss_bytes(),
        machine::rss_peak_bytes()
    ))?;
    loop {
        log.append(1)?;
    }
}

fn read(dir: &Path) -> Result<(), BenchError> {
    let reader = Reader::open(dir).map_err(failed("opening the log to read"))?;
    let mut next = Seq::FIRST;
    loop {
        let records = reader.read(next, READ, usize::MAX);
        let records = records.map_err(failed("reading the log"))?;
        let Some(last) = records.last() else {
            return Ok(());
        };
        next = last.header().seq.next();
    }
}

fn back_up(dir: &Path, to: &Path, pace: Pace) -> Result<(), BenchError> {
    match fs::remove_dir_all(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("removing the backup before")(error));
        }
        _ => {}
    }
    let reader = Reader::open(dir).map_err(failed("opening the log to back it up"))?;
    let done = wal::backup(&reader, to, pace, &mut |_| {});
    done.map(drop).map_err(failed("backing up"))
}

/// A process of ours; killed when this is dropped, without a warning.
pub(super) struct Child {
    process: process::Child,
    lines: io::Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this program again. It sees no configuration, so it cannot reach a server.
    pub(super) fn start(
        run: &Run,
        task: Task,
        data_dir: &Path,
        bytes: Option<u64>,
    ) -> Result<Child, BenchError> {
        run.go_on()?;
        let doing = failed::<io::Error>("starting a process");
        let name = task.to_possible_value();
        let mut process = Command::new(std::env::current_exe().map_err(&doing)?)
            .env_clear()
            .args(["--quiet", "bench", "log-child"])
            .arg(name.as_ref().map_or("", |name| name.get_name()))
            .arg(data_dir)
            .arg(bytes.unwrap_or(0).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(&doing)?;
        let Some(out) = process.stdout.take() else {
            return Err(doing(io::ErrorKind::BrokenPipe.into()));
        };
        Ok(Child {
            process,
            lines: BufReader::new(out).lines(),
        })
    }

    /// The next line that it prints.
    pub(super) fn line(&mut self) -> Result<String, BenchError> {
        let line = self.lines.next();
        let line = line.unwrap_or(Err(io::ErrorKind::UnexpectedEof.into()));
        line.map_err(failed("listening to a process"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

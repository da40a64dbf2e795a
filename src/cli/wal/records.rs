//! `wal dump` and `wal tail`: records as lines, read from the files beside whoever writes them.

use std::time::Duration;

use serde::Serialize;
use wal::{ReadError, Record, Seq};

use super::args::{DumpArgs, TailArgs};
use crate::cli::{CommandError, CommandResult, output};
use crate::config::Config;
use crate::event::{Body, Envelope, Event, Timestamp};
use crate::failure::{Exit, chain};
use crate::journal::{JournalError, JournalReader};
use crate::projector::next_seq;

/// Records and bytes that are read at once.
const READ_EVENTS: usize = 500;
const READ_BYTES: usize = 4 << 20;
/// How often `tail --follow` looks for more.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Characters of a message that a line of text shows.
const TEXT_CHARS: usize = 60;

/// A record as JSON.
#[derive(Serialize)]
struct Line {
    seq: u64,
    epoch: u32,
    received_at: Timestamp,
    source_at: Timestamp,
    kind: u8,
    peer_kind: u8,
    peer_id: i64,
    message_id: i64,
    flags: u16,
    codec: u8,
    payload_bytes: usize,
    /// None when the payload cannot be read.
    event: Option<Event>,
    /// Why not.
    error: Option<String>,
}

/// A number that cannot be read, as JSON.
#[derive(Serialize)]
struct Finding {
    seq: u64,
    damaged: String,
}

pub(super) async fn dump(config: &Config, args: &DumpArgs) -> CommandResult {
    let journal = JournalReader::of(config)?;
    let Some(first) = journal.first().await?.map(Seq::get) else {
        return Ok(Exit::Ok);
    };
    let until = args.until.unwrap_or(u64::MAX).min(journal.tail());
    let mut walk = Walk {
        next: args.from.unwrap_or(first),
        left: args.limit.unwrap_or(u64::MAX),
        until,
        skip_damaged: args.skip_damaged,
        damaged: 0,
        journal,
    };
    while walk.print(args.json).await? {}
    match walk.damaged {
        0 => Ok(Exit::Ok),
        damaged => {
            output::say(&format!(
                "{damaged} records are damaged or missing: telegram-gateway verify log"
            ));
            Ok(Exit::Data)
        }
    }
}

pub(super) async fn tail(config: &Config, args: &TailArgs) -> CommandResult {
    let journal = JournalReader::of(config)?;
    let tail = journal.tail();
    let first = journal.first().await?.map_or(tail + 1, Seq::get);
    let mut walk = Walk {
        next: first.max((tail + 1).saturating_sub(args.lines)),
        left: u64::MAX,
        until: tail,
        skip_damaged: false,
        damaged: 0,
        journal,
    };
    if args.follow {
        // From a task of its own: printing blocks while nobody takes what was printed.
        tokio::spawn(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(0);
            }
        });
    }
    loop {
        while walk.print(args.json).await? {}
        if !args.follow {
            return Ok(Exit::Ok);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        walk.until = walk.journal.refresh().await?;
    }
}

/// Where printing is.
struct Walk {
    journal: JournalReader,
    next: u64,
    until: u64,
    left: u64,
    skip_damaged: bool,
    damaged: u64,
}

impl Walk {
    /// Prints some records; false when there are no more.
    async fn print(&mut self, json: bool) -> Result<bool, CommandError> {
        let wanted = (self.until + 1).saturating_sub(self.next).min(self.left);
        let wanted = usize::try_from(wanted)
            .unwrap_or(READ_EVENTS)
            .min(READ_EVENTS);
        if wanted == 0 {
            return Ok(false);
        }
        let from = next_seq(self.next - 1);
        let error = match self.journal.read(from, wanted, READ_BYTES).await {
            Ok(records) if records.is_empty() => return Ok(false),
            Ok(records) => return self.show(&records, json).map(|()| true),
            Err(error) => error,
        };
        let Some(bad) = damaged_at(&error) else {
            return Err(error.into());
        };
        // What lies before it is sound.
        let sound = usize::try_from(bad.saturating_sub(self.next)).unwrap_or(0);
        if sound > 0 {
            let records = self.journal.read(from, sound, READ_BYTES).await?;
            self.show(&records, json)?;
            return Ok(true);
        }
        if !self.skip_damaged {
            return Err(error.into());
        }
        let finding = Finding {
            seq: bad,
            damaged: chain(&error),
        };
        output::result(&finding, json, |it| {
            format!("{:>10} {}", it.seq, output::escape(&it.damaged))
        })?;
        self.damaged += 1;
        self.next = bad + 1;
        Ok(true)
    }

    fn show(&mut self, records: &[Record], json: bool) -> Result<(), CommandError> {
        let mut out = String::new();
        let (mut next, mut left) = (self.until + 1, self.left);
        let wanted = |record: &&Record| record.header().seq.get() <= self.until;
        for record in records.iter().take_while(wanted) {
            let line = line(record);
            out.push_str(&if json { to_json(&line)? } else { words(&line) });
            out.push('\n');
            next = line.seq + 1;
            left = left.saturating_sub(1);
        }
        (self.next, self.left) = (next, left);
        Ok(output::print(&out)?)
    }
}

/// The number that cannot be read, when that is what the error is about.
fn damaged_at(error: &JournalError) -> Option<u64> {
    match error {
        JournalError::Read(
            ReadError::Damaged { seq, .. }
            | ReadError::Misplaced { seq, .. }
            | ReadError::Unreadable { seq, .. }
            | ReadError::Missing { seq, .. },
        ) => Some(seq.get()),
        _ => None,
    }
}

fn line(record: &Record) -> Line {
    let header = record.header();
    let (event, error) = match Envelope::from_record(record) {
        Ok(envelope) => (Some(envelope.event), None),
        Err(error) => (None, Some(chain(&error))),
    };
    Line {
        seq: header.seq.get(),
        epoch: header.epoch,
        received_at: Timestamp::from_micros(header.received_at),
        source_at: Timestamp::from_micros(header.source_at),
        kind: header.kind,
        peer_kind: header.peer_kind,
        peer_id: header.peer_id,
        message_id: header.message_id,
        flags: header.flags,
        codec: header.codec,
        payload_bytes: record.payload().len(),
        event,
        error,
    }
}

fn to_json(line: &Line) -> Result<String, output::OutputError> {
    serde_json::to_string(line).map_err(output::OutputError::Json)
}

fn words(line: &Line) -> String {
    let kind = match &line.event {
        Some(event) => event.body.kind().as_str(),
        None => "unreadable",
    };
    let peer = match line.event.as_ref().and_then(|event| event.peer) {
        Some(peer) => peer.to_string(),
        None => "-".to_owned(),
    };
    let said = match (&line.event, &line.error) {
        (Some(event), _) => content(&event.body),
        (None, error) => error.clone().unwrap_or_default(),
    };
    let mut short: String = said.chars().take(TEXT_CHARS).collect();
    if short.len() < said.len() {
        short.push_str("...");
    }
    format!(
        "{:>10} {} {kind:<12} {peer:>16} {:>8} {:>6} B  {}",
        line.seq,
        line.received_at,
        line.message_id,
        line.payload_bytes,
        output::escape(&short)
    )
}

/// What a person would want to see of an event.
fn content(body: &Body) -> String {
    match body {
        Body::Posted(message) | Body::Edited { message, .. } => message.text.clone(),
        Body::Channel(info) => info.title.clone().unwrap_or_default(),
        Body::SourceState { state, .. } => state.clone(),
        Body::Unknown { what, .. } => what.clone(),
        Body::GapClosed(closed) => closed.outcome.as_str().to_owned(),
        _ => String::new(),
    }
}

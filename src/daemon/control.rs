//! What is asked of the log beside appending: answered here, by whoever holds it.
//!
//! A running daemon answers through its socket; without one, a command opens the log and answers itself. Both come
//! through [`Desk::run`], so the same is decided in the same place.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::floors;
use super::office::Office;
use super::refusal::refused;
use super::stages::{is_elsewhere, lanes};
use crate::config::Config;
use crate::event::Timestamp;
use crate::journal::control::{Answer, Command, Saved, Smaller};
use crate::journal::retention::{self, Floor, Plan, Segment};
use crate::journal::socket::Control;
use crate::journal::{
    Done, Job, Journal, JournalError, JournalReader, JournalWriter, LOG_DIR, sources,
};
use crate::projector::{next_seq, stage};
use crate::relay::Lane;
use crate::status::Status;
use crate::store::ProjectionName;

/// Who holds the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A running daemon, whose projectors show on the board how far they are.
    Daemon,
    /// A command.
    Command,
}

/// Answers commands.
#[derive(Clone)]
pub struct Desk {
    reader: JournalReader,
    writer: JournalWriter,
    status: Status,
    config: Arc<Config>,
    holder: Holder,
    /// Of the live source, where it runs.
    office: Option<Office>,
}

impl Desk {
    /// For an open log.
    pub fn new(journal: &Journal, config: &Config, status: &Status, holder: Holder) -> Desk {
        Desk {
            reader: journal.reader.clone(),
            writer: journal.writer.clone(),
            status: status.clone(),
            config: Arc::new(config.clone()),
            holder,
            office: None,
        }
    }

    /// One that answers for the live source, too.
    pub(super) fn with(self, office: Office) -> Desk {
        let office = Some(office);
        Desk { office, ..self }
    }

    /// What each store still needs, by its own word.
    async fn stores(&self) -> Vec<Floor> {
        let ours = self.reader.identity().log_id;
        let board = |name| match self.holder {
            // One that has not shown itself yet is at the start.
            Holder::Daemon => Some(self.status.seq_of(stage(name))),
            Holder::Command => None,
        };
        // One that says nothing any more has a fault on the board.
        let stages = self.status.stages();
        let told = |name: ProjectionName| {
            let report = stages.get(name.as_str()).filter(|it| it.fault.is_none());
            report
                .filter(|_| is_elsewhere(&self.config, name))
                .map(|it| it.seq)
        };
        let (said, generations) =
            tokio::join!(floors::ask(&self.config), floors::generations(&self.config));
        // A store that cannot be reached from here: its projector, elsewhere, speaks for all of it.
        let is_away = |(name, said): &(ProjectionName, floors::Said)| {
            *name == ProjectionName::Timescale && said.is_err() && told(*name).is_some()
        };
        let hidden = match said.iter().any(is_away) {
            true => Vec::new(),
            false => floors::of_generations(generations, ours),
        };
        let said = said.into_iter();
        said.map(|(name, said)| floors::of_store(name, said, board(name), told(name), ours))
            .chain(hidden)
            .collect()
    }

    fn accounts(&self) -> Answer {
        let (accounts, gaps) = match &self.office {
            Some(office) => (office.accounts(), office.gaps()),
            None => (self.status.accounts(), Vec::new()),
        };
        Answer::Accounts { accounts, gaps }
    }

    /// Whether the configuration wants anything removed, ever.
    pub(super) fn has_policy(&self) -> bool {
        self.config.wal.keep_age.is_some() || self.config.wal.keep_bytes.is_some()
    }

    /// How many segments are sealed.
    pub(super) async fn sealed(&self) -> Result<usize, JournalError> {
        Ok(sealed_count(&self.reader.segments().await?))
    }

    /// Removes what the policy gives up and nobody needs.
    pub(super) async fn retain(&self) -> Result<Plan, JournalError> {
        self.trim(None, false).await.map(|(plan, _)| plan)
    }

    async fn seal(&self) -> Result<Answer, JournalError> {
        let before = sealed_count(&self.reader.segments().await?);
        let done = self.writer.perform(Job::Seal).await?;
        debug_assert!(matches!(done, Done::Sealed));
        let segments = self.reader.segments().await?;
        let sealed: Vec<&wal::SegmentInfo> = segments.iter().filter(|it| it.sealed).collect();
        let segment = if sealed.len() > before {
            sealed.last().map(|info| Segment::from(*info))
        } else {
            None
        };
        Ok(Answer::Sealed { segment })
    }

    /// One segment after the other, so that appends go in between.
    async fn compact(&self, only: Option<u64>) -> Result<Answer, JournalError> {
        let firsts = match only {
            Some(first) => vec![next_seq(first.saturating_sub(1))],
            None => {
                let segments = self.reader.segments().await?.into_iter();
                let here = segments.filter(|it| it.sealed && !it.archived);
                here.map(|it| it.first).collect()
            }
        };
        let mut segments = Vec::with_capacity(firsts.len());
        for first in firsts {
            if let Done::Compacted(done) = self.writer.perform(Job::Compact { first }).await? {
                segments.push(Smaller {
                    first: first.get(),
                    before: done.before,
                    after: done.after,
                });
            }
        }
        Ok(Answer::Compacted { segments })
    }

    /// Looks at every segment beside the writer, then has the damaged ones replaced, one after the other.
    async fn salvage(&self, from: Vec<PathBuf>) -> Result<Answer, JournalError> {
        let dir = self.config.data_dir.join(LOG_DIR);
        let checked = tokio::task::spawn_blocking(move || wal::verify(&dir, &mut |_| {}));
        let checked = checked.await.map_err(|_| JournalError::Closed)?;
        let findings = checked.map_err(JournalError::Open)?.findings;
        let damaged = self.status.log_report().damaged;
        let firsts: BTreeSet<u64> = findings
            .iter()
            .filter_map(damaged_segment)
            .chain(damaged.iter().filter_map(|file| first_of(file)))
            .collect();
        let from = salvage_dirs(&self.config, from);
        let (mut segments, mut given) = (Vec::new(), Vec::new());
        for first in firsts {
            let first = next_seq(first - 1);
            let from = from.clone();
            match self.writer.perform(Job::Salvage { first, from }).await {
                Ok(Done::Salvaged(it, more)) => {
                    let (first, last) = (it.first.get(), it.last.get());
                    self.status.log(|board| board.salvaged(first, last));
                    segments.push(Saved::from(&it));
                    sources::add_up(&mut given, more);
                }
                Ok(_) => {}
                Err(JournalError::Rewrite(wal::RewriteError::NotSealed { .. })) => {
                    return Err(JournalError::ActiveDamaged);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Answer::Salvaged { segments, given })
    }

    async fn trim(
        &self,
        keep_from: Option<u64>,
        only_plan: bool,
    ) -> Result<(Plan, bool), JournalError> {
        let mut segments = self.reader.segments().await?;
        // What is in the archive has gone already.
        segments.retain(|info| !info.archived);
        let asked = match keep_from {
            Some(seq) => seq,
            None => self.policy_from(&segments),
        };
        let plan = self.plan(&segments, asked).await?;
        let done = !only_plan && !plan.go.is_empty();
        if done {
            self.archive(&plan).await?;
            // Exactly what was planned goes, whatever was sealed meanwhile.
            let keep_from = plan.go.last().and_then(|segment| segment.last);
            let keep_from = next_seq(keep_from.unwrap_or(0));
            self.writer.perform(Job::Trim { keep_from }).await?;
            // The reader looks at the folder again: a file that it still holds open would keep its room on the disk.
            self.reader.first().await?;
            tracing::info!(
                segments = plan.go.len(),
                keep_from = keep_from.get(),
                "old segments were removed from the log"
            );
        }
        Ok((plan, done))
    }

    /// Writes the containers of what will go, if an archive is configured, while appends go on: the trim finds them
    /// there, and only unlinks.
    async fn archive(&self, plan: &Plan) -> Result<(), JournalError> {
        let Done::Archiver(Some(archiver)) = self.writer.perform(Job::Archiver).await? else {
            return Ok(());
        };
        let archiver = archiver.at(wal::Pace::new(self.config.wal.copy_bytes_per_second_max));
        // One at a time: a stop waits for one at most.
        for segment in &plan.go {
            let (archiver, first) = (archiver.clone(), next_seq(segment.first - 1));
            let archived = tokio::task::spawn_blocking(move || archiver.archive(first));
            let archived = archived.await.map_err(|_| JournalError::Closed)?;
            archived.map_err(|error| JournalError::Append(error.into()))?;
        }
        Ok(())
    }

    async fn plan(&self, segments: &[wal::SegmentInfo], asked: u64) -> Result<Plan, JournalError> {
        let lanes = lanes(&self.config);
        let names: Vec<&str> = lanes.iter().map(Lane::cursor).collect();
        let (mut needed, idle) = floors::of_cursors(self.reader.cursors().await?, &names);
        let plan = retention::plan(segments, asked, &needed, &idle);
        if plan.go.is_empty() && plan.held.is_empty() {
            // Nothing is due: the stores need not be asked.
            return Ok(plan);
        }
        needed.extend(self.stores().await);
        Ok(retention::plan(segments, asked, &needed, &idle))
    }

    /// The first number that the policy keeps.
    fn policy_from(&self, segments: &[wal::SegmentInfo]) -> u64 {
        let policy = wal::RetentionPolicy {
            age_max: self.config.wal.keep_age,
            bytes_max: self.config.wal.keep_bytes,
        };
        let now = Timestamp::now().micros();
        // Who needs what is the same question for a policy and for a number that was asked for.
        let plan = wal::plan_retention(segments, now, &policy, &[]);
        plan.keep_from().map_or(0, wal::Seq::get)
    }
}

/// The stores that the configuration switches on.
pub fn configured(config: &Config) -> Vec<ProjectionName> {
    [
        (config.sqlite.is_some(), ProjectionName::Sqlite),
        (config.timescale.is_some(), ProjectionName::Timescale),
        (config.redis.is_some(), ProjectionName::Redis),
    ]
    .into_iter()
    .filter_map(|(is, name)| is.then_some(name))
    .collect()
}

/// The segment that a salvage replaces for a finding. That a file is missing is found at the next one.
fn damaged_segment(finding: &wal::Finding) -> Option<u64> {
    match finding.kind {
        wal::FindingKind::SegmentMissing => finding.seq.map(wal::Seq::get),
        _ => first_of(&finding.segment),
    }
}

/// Where a salvage looks for records besides the log: the configured archive, then what was given.
pub fn salvage_dirs(config: &Config, given: Vec<PathBuf>) -> Vec<PathBuf> {
    config
        .wal
        .archive_dir
        .iter()
        .cloned()
        .chain(given)
        .collect()
}

/// The number that the segment of this file name starts with.
pub fn first_of(file: &str) -> Option<u64> {
    let digits = file.strip_prefix("segment-")?.strip_suffix(".redb")?;
    digits.parse().ok().filter(|first| *first > 0)
}

fn sealed_count(segments: &[wal::SegmentInfo]) -> usize {
    let here = segments.iter().filter(|info| !info.archived);
    here.filter(|info| info.sealed).count()
}

impl Control for Desk {
    async fn run(&self, command: Command) -> Result<Answer, JournalError> {
        match command {
            Command::Stat => Ok(Answer::Stat(Box::new(self.status.log_report()))),
            Command::Accounts => Ok(self.accounts()),
            Command::Telegram(ask) => match &self.office {
                Some(office) => office.run(ask).await,
                None => Ok(Answer::Refused(refused::no_mirror())),
            },
            Command::Stages => Ok(Answer::Stages {
                stages: self.status.stages(),
                queues: self.status.queues(),
                drift: self.status.drifts(),
            }),
            Command::Seal => self.seal().await,
            Command::Trim { keep_from, plan } => {
                let (plan, done) = self.trim(keep_from, plan).await?;
                Ok(Answer::Trimmed { plan, done })
            }
            Command::Salvage { from } => self.salvage(from).await,
            Command::Compact { first } => self.compact(first).await,
        }
    }
}

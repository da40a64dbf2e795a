//! `rebuild timescale`: a new generation, loaded beside the one that readers see, compared with it, and shown.
//!
//! Every step can be interrupted. What is not shown yet is nobody's: the same command goes on with it, or makes it anew
//! where it does not belong to this log.

use std::time::Instant;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{GenerationError, chunk_interval, is_ours, refuse, switch};
use crate::cli::args::RebuildArgs;
use crate::cli::confirm::confirm;
use crate::cli::replay::reporter;
use crate::cli::{CommandError, CommandResult, output, stores};
use crate::config::{self, Config};
use crate::failure::Exit;
use crate::journal::JournalReader;
use crate::projector::judge;
use crate::projector::standing::Standing;
use crate::replay::{self, Progress};
use crate::store::timescale::{Generation, Generations, Loader, Stage, Timescale};
use crate::store::{Inspect as _, ProjectionName, Snapshot as _};
use crate::verify::{self, Comparison};

/// What a rebuild did.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Rebuilt {
    generation: i32,
    /// The one that readers saw before.
    replaced: i32,
    /// It went on where one before it had been interrupted.
    resumed: bool,
    chunk_interval_seconds: u64,
    #[serde(flatten)]
    progress: Progress,
    pub(in crate::cli) seconds: Seconds,
    /// None where the one before was empty, or of another log.
    comparison: Option<Comparison>,
}

/// How long the parts took.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Seconds {
    survey: f64,
    load: f64,
    compare: f64,
    switch: f64,
}

impl Seconds {
    /// All but the comparison with the one before.
    pub(in crate::cli) fn work(&self) -> f64 {
        self.survey + self.load + self.switch
    }
}

/// A rebuild under way.
struct Work<'a> {
    section: &'a config::Timescale,
    journal: &'a JournalReader,
    generations: Generations,
    stop: CancellationToken,
    /// The generation that readers see.
    old: Generation,
    standing: Standing,
}

pub(in crate::cli) async fn rebuild(config: &Config, args: &RebuildArgs) -> CommandResult {
    let section = stores::timescale_section(config)?;
    let journal = JournalReader::of(config)?;
    let stop = crate::cli::stop_on_signals()?;
    let done = run(section, &journal, args.yes, stop).await?;
    output::result(&done, args.json, text)?;
    Ok(Exit::Ok)
}

/// From the first step to the switch.
pub(in crate::cli) async fn run(
    section: &config::Timescale,
    journal: &JournalReader,
    yes: bool,
    stop: CancellationToken,
) -> Result<Rebuilt, CommandError> {
    let mut generations = Generations::open(section).await?;
    generations.hold().await?;
    let found = generations.list().await?;
    let old = found.iter().find(|it| it.stage == Stage::Shown).cloned();
    let old = old.ok_or(GenerationError::NoneKept)?;
    let standing = match old.checkpoint {
        Some(checkpoint) => judge(&checkpoint, journal).await?.0,
        None => Standing::Ours,
    };
    let mut work = Work {
        section,
        journal,
        generations,
        stop,
        old,
        standing,
    };
    let mut seconds = Seconds::default();
    let (mut loader, new, resumed) = timed(&mut seconds.survey, work.prepare(&found)).await?;
    let progress = timed(&mut seconds.load, work.load(&mut loader, new.number)).await?;
    let comparison = timed(&mut seconds.compare, work.compare(&mut loader)).await?;
    work.agree(comparison.as_ref(), new.number, yes).await?;
    timed(&mut seconds.switch, work.show(&mut loader, new.number)).await?;
    Ok(Rebuilt {
        generation: new.number,
        replaced: work.old.number,
        resumed,
        chunk_interval_seconds: new.chunk_interval.as_secs(),
        progress,
        seconds,
        comparison,
    })
}

async fn timed<T>(
    seconds: &mut f64,
    part: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let started = Instant::now();
    let done = part.await;
    *seconds = started.elapsed().as_secs_f64();
    done
}

impl Work<'_> {
    /// Finds the generation that an interrupted rebuild left, or makes one; drops what belongs to no log of ours.
    async fn prepare(
        &mut self,
        found: &[Generation],
    ) -> Result<(Loader, Generation, bool), CommandError> {
        let mut left = None;
        for building in found.iter().filter(|it| it.stage == Stage::Building) {
            let ours = match building.checkpoint {
                Some(checkpoint) => judge(&checkpoint, self.journal).await?.0 == Standing::Ours,
                None => false,
            };
            if ours && left.is_none() {
                left = Some(building.clone());
            } else {
                self.generations.remove(building.number).await?;
            }
        }
        let known = left.as_ref().and_then(|it| it.checkpoint);
        let known = known.map_or(0, |checkpoint| checkpoint.seq.get());
        let (section, events) = (self.section.clone(), self.journal.tail());
        if let Some(left) = left {
            let mut loader = Loader::new(section, left.number, events);
            let mut has = |peer, message| loader.has(peer, message);
            replay::survey(self.journal, known, &mut has, &self.stop).await?;
            return Ok((loader, left, true));
        }
        let survey = replay::survey(self.journal, 0, &mut |_, _| {}, &self.stop).await?;
        let new = self.make(&survey).await?;
        let loader = Loader::new(section, new.number, events);
        Ok((loader, new, false))
    }

    async fn make(&mut self, survey: &replay::Survey) -> Result<Generation, CommandError> {
        let width = chunk_interval(self.section, survey);
        if width != self.old.chunk_interval {
            let days = |width: std::time::Duration| width.as_secs_f64() / 86_400.0;
            output::say(&format!(
                "chunks of {} days instead of {}: {} messages on {} days",
                days(width),
                days(self.old.chunk_interval),
                survey.days.values().sum::<u64>(),
                survey.days.len(),
            ));
        }
        let number = self.generations.make(width).await?;
        self.generations.strip_indexes(number).await?;
        if self.section.keep_age.is_some() {
            self.generations.keep_as_shown(number).await?;
        }
        let made = self.generations.list().await?.into_iter();
        let made = made.into_iter().find(|it| it.number == number);
        made.ok_or_else(|| refuse(GenerationError::Unknown(number)))
    }

    /// Applies the whole log, as far as it goes when that is done.
    async fn load(&mut self, loader: &mut Loader, number: i32) -> Result<Progress, CommandError> {
        let mut report = reporter();
        let done = replay::catch_up(self.journal, loader, None, &mut report, &self.stop).await?;
        self.generations.analyze(number).await?;
        // At once, since neither reads what the other writes.
        let mut beside = Generations::open(self.section).await?;
        let counted = loader.count_hours(&mut beside);
        tokio::try_join!(self.generations.make_indexes(number), counted)?;
        Ok(done)
    }

    /// Compares it with the one that is shown, where both are of this log.
    async fn compare(&mut self, new: &mut Loader) -> Result<Option<Comparison>, CommandError> {
        if self.old.checkpoint.is_none() || !is_ours(&self.standing) {
            return Ok(None);
        }
        let mut old = Timescale::generation(self.section.clone(), self.old.number);
        let mut older = old.snapshot().await?;
        // What the daemon applied to the old one meanwhile: the new one must not lack it.
        let until = older.checkpoint().map(|it| it.seq.get());
        replay::catch_up(self.journal, new, until, &mut |_| {}, &self.stop).await?;
        let mut newer = new.snapshot().await?;
        let comparison = verify::generations(self.journal, &mut older, &mut newer).await?;
        Ok(Some(comparison))
    }

    /// A person has to agree where something is lost. A new generation that is wrong is never shown, nor gone on with.
    async fn agree(
        &mut self,
        comparison: Option<&Comparison>,
        number: i32,
        yes: bool,
    ) -> Result<(), CommandError> {
        let wrong = comparison.map_or(0, |it| it.wrong);
        if wrong > 0 {
            for difference in comparison.iter().flat_map(|it| &it.shown) {
                output::say(&crate::cli::verify::line(difference));
            }
            self.generations.remove(number).await?;
            return Err(refuse(GenerationError::Wrong { count: wrong }));
        }
        let lost = comparison.map_or(0, |it| it.only_older);
        let foreign = !is_ours(&self.standing);
        if yes || (lost == 0 && !foreign) {
            return Ok(());
        }
        let name = ProjectionName::Timescale;
        let what = if foreign {
            "all that readers see now: it is not of this log".to_owned()
        } else {
            format!("{lost} rows that readers see now: the log does not have them")
        };
        let explained = format!(
            "The rebuild of {name} would replace {what}.\n\
             They stay in generation {} for {} h.",
            self.old.number,
            self.section.keep_generation.as_secs() / 3600,
        );
        let short = format!("rebuild {name} would lose {what}");
        Ok(confirm(short, &explained, name.as_str())?)
    }

    async fn show(&mut self, loader: &mut Loader, number: i32) -> Result<(), CommandError> {
        let goal = switch::Goal {
            number,
            incomparable: !is_ours(&self.standing),
        };
        let (generations, stop) = (&mut self.generations, &self.stop);
        switch::show(generations, self.journal, loader, goal, stop).await
    }
}

fn text(done: &Rebuilt) -> String {
    let mut text = format!(
        "applied {} events ({} bytes) of {}..={} to generation {} in {:.1} s, shown in place of generation {}",
        done.progress.applied,
        done.progress.bytes,
        done.progress.from,
        done.progress.until,
        done.generation,
        done.seconds.load,
        done.replaced,
    );
    if let Some(it) = &done.comparison {
        let same = if it.differing == 0 {
            "the same".to_owned()
        } else {
            format!(
                "{} rows mended, {} the old one had not yet, {} only the old one had",
                it.mended, it.behind, it.only_older
            )
        };
        text.push_str(&format!("\ncompared {} rows: {same}", it.rows));
        for difference in &it.shown {
            text.push_str("\n  ");
            text.push_str(&crate::cli::verify::line(difference));
        }
    }
    text.push_str("\ntelegram-gateway generation rollback shows the old one again");
    text
}

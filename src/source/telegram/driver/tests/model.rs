//! The driver against the model of the server: pushes are lost, doubled, reordered and cut, calls fail and answers
//! come late, the program is killed at any moment; the log has everything in the end, and its positions were never
//! ahead of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grammers_session::updates::UpdatesLike;
use proptest::prelude::*;

use super::super::*;
use super::support::*;
use super::world::*;

#[derive(Debug, Clone)]
enum Step {
    /// Something happens, and is in the packet that is being made.
    Happen(usize, What),
    /// The packet goes onto the wire, with a number or without.
    Send(bool),
    /// One of the packets on the wire arrives; kept there when it will come again.
    Arrive(usize, bool),
    /// One is lost.
    Lose(usize),
    /// The connection breaks, and what was on the wire is lost.
    Cut,
    /// A call is answered, with so many happenings at most.
    Answer(usize, usize),
    /// A call fails.
    Fail(usize, bool),
    /// Time passes.
    Pass(u64),
    /// The program is killed; so many pages were not yet durable.
    Kill(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![Just(What::Posted), Just(What::Edited), Just(What::Deleted)];
    prop_oneof![
        8 => (0..4_usize, what).prop_map(|(place, what)| Step::Happen(place, what)),
        4 => any::<bool>().prop_map(Step::Send),
        6 => (0..4_usize, any::<bool>()).prop_map(|(which, again)| Step::Arrive(which, again)),
        1 => (0..4_usize).prop_map(Step::Lose),
        1 => Just(Step::Cut),
        4 => (0..5_usize, 1..4_usize).prop_map(|(which, max)| Step::Answer(which, max)),
        1 => (0..5_usize, any::<bool>()).prop_map(|(which, flood)| Step::Fail(which, flood)),
        2 => (0..3_000_u64).prop_map(Step::Pass),
        1 => (0..4_usize).prop_map(Step::Kill),
    ]
}

fn place(which: usize) -> BoxName {
    match which {
        0 => BoxName::Common,
        channel => BoxName::Channel(CHANNELS[(channel - 1) % CHANNELS.len()]),
    }
}

type Packet = (Vec<Happening>, i32);

struct Play {
    desk: Desk,
    world: World,
    packet: Vec<Happening>,
    wire: Vec<Packet>,
    away: Vec<Request>,
    log: Vec<Page>,
}

fn beginning() -> BTreeMap<BoxName, Position> {
    let channels = CHANNELS.map(|id| channel_at(id, START));
    let all = channels.into_iter().chain([account_at(START)]);
    all.map(|position| (position.name(), position)).collect()
}

impl Play {
    fn new() -> Play {
        let positions: Vec<Position> = beginning().into_values().collect();
        Play {
            desk: Desk::new(&positions),
            world: World::new(),
            packet: Vec::new(),
            wire: Vec::new(),
            away: Vec::new(),
            log: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Happen(which, what) => self.packet.push(self.world.happen(place(which), what)),
            Step::Send(numbered) => {
                self.world.seq += i32::from(numbered);
                let seq = if numbered { self.world.seq } else { 0 };
                self.wire.push((std::mem::take(&mut self.packet), seq));
            }
            Step::Arrive(which, again) if which < self.wire.len() => {
                let (happenings, seq) = match again {
                    true => self.wire[which].clone(),
                    false => self.wire.remove(which),
                };
                let updates = happenings.iter().map(Happening::update).collect();
                self.desk.push(numbered(updates, seq, seq));
            }
            Step::Lose(which) if which < self.wire.len() => drop(self.wire.remove(which)),
            Step::Cut => self.cut(),
            Step::Answer(which, max) if which < self.away.len() => {
                let request = self.away.remove(which);
                self.desk.answer(&request, self.world.answer(&request, max));
            }
            Step::Fail(which, flood) if which < self.away.len() => {
                let request = self.away.remove(which);
                let failure = match flood {
                    true => Failure::Wait(Duration::from_secs(30)),
                    false => Failure::Temporary,
                };
                self.desk.fail(&request, failure);
            }
            Step::Pass(ms) => self.desk.pass(Duration::from_millis(ms)),
            Step::Kill(lost) => self.kill(lost),
            Step::Arrive(..) | Step::Lose(_) | Step::Answer(..) | Step::Fail(..) => {}
        }
        self.log.append(&mut self.desk.pages);
        self.away.extend(self.desk.requests());
    }

    fn cut(&mut self) {
        self.packet.clear();
        self.wire.clear();
        self.desk.push(UpdatesLike::ConnectionClosed);
    }

    fn positions(pages: &[Page]) -> BTreeMap<BoxName, Position> {
        let mut positions = beginning();
        for position in pages.iter().flat_map(|page| &page.positions) {
            positions.insert(position.name(), *position);
        }
        positions
    }

    fn kill(&mut self, lost: usize) {
        self.log.truncate(self.log.len().saturating_sub(lost));
        self.packet.clear();
        self.wire.clear();
        self.away.clear();
        let positions = Play::positions(&self.log);
        self.desk.driver = Driver::load(positions.into_values(), 3, self.desk.now);
    }

    /// The connection holds, and every call is answered, until nothing is left to fetch.
    fn drain(&mut self) {
        self.cut();
        for _ in 0..2_000 {
            self.log.append(&mut self.desk.pages);
            self.away.extend(self.desk.requests());
            let Some(request) = self.away.pop() else {
                if self.is_read() {
                    return;
                }
                self.desk.pass_to_deadline();
                continue;
            };
            self.desk.answer(&request, self.world.answer(&request, 3));
        }
        panic!("never read to the end: {:?}", Play::positions(&self.log));
    }

    fn is_read(&self) -> bool {
        let positions = Play::positions(&self.log);
        positions.iter().all(|(name, position)| {
            let (pts, behind) = read_to(position);
            pts == self.world.end(*name) && !behind
        })
    }

    /// No position was ever told before everything up to it.
    fn check(&self) -> Result<(), TestCaseError> {
        let mut told = BTreeSet::new();
        for page in &self.log {
            prop_assert_eq!(&page.gaps, &[]);
            let numbers = page
                .updates
                .iter()
                .filter_map(|seen| number_of(&seen.update));
            told.extend(numbers);
            for position in &page.positions {
                let (pts, _) = read_to(position);
                let mut covered = self
                    .world
                    .all()
                    .filter(|happening| happening.place == position.name() && happening.end <= pts);
                let missing = covered.find(|happening| !told.contains(&happening.number));
                prop_assert!(missing.is_none(), "{position:?} is ahead of {missing:?}");
            }
        }
        let all: BTreeSet<i32> = self.world.all().map(|happening| happening.number).collect();
        prop_assert_eq!(told, all);
        Ok(())
    }
}

fn read_to(position: &Position) -> (i32, bool) {
    match position {
        Position::Common(common) => (common.pts, false),
        Position::Channel { pts, behind, .. } => (*pts, *behind),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn everything_that_happens_is_told_and_no_position_is_ahead(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut play = Play::new();
        for step in steps {
            play.step(step);
        }
        play.drain();
        play.check()?;
    }

    /// Where no call fails or takes long, nothing is told twice.
    #[test]
    fn pushes_in_any_order_are_told_once(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut play = Play::new();
        for step in steps {
            if !matches!(step, Step::Fail(..) | Step::Kill(_) | Step::Pass(_)) {
                play.step(step);
            }
        }
        play.drain();
        play.check()?;
        let mut told = BTreeSet::new();
        for seen in play.log.iter().flat_map(|page| &page.updates) {
            let Some(number) = number_of(&seen.update) else { continue };
            prop_assert!(told.insert(number), "{number} is told twice");
        }
    }
}

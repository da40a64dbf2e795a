//! Long lives, drawn at random. A failing one is printed shrunk, with its seed, which goes into
//! `proptest-regressions/` and is committed with the repair.

use proptest::prelude::*;

use crate::fault::{Cut, FATES, Fate, Machine};

use super::Setup;
use super::check::{check, observe};
use super::life::Life;
use super::op::{OPS, Op, Told};
use super::wreck::recover;

/// What happens in the middle of an operation.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The power goes at one of the syncs, and again at one of the recovery.
    Power(Fate, Option<(prop::sample::Index, Fate)>),
    /// The process dies at one of the syncs; the machine runs on.
    Kill,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    op: Op,
    event: Option<(prop::sample::Index, Event)>,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop::sample::select(FATES.to_vec())
}

fn step() -> impl Strategy<Value = Step> {
    let op = prop_oneof![
        4 => Just(Op::Append),
        1 => Just(Op::Again),
        OPS.len() as u32 => prop::sample::select(OPS.to_vec()),
    ];
    let again = prop::option::of((any::<prop::sample::Index>(), fate()));
    let event = prop_oneof![
        3 => (fate(), again).prop_map(|(fate, again)| Event::Power(fate, again)),
        1 => Just(Event::Kill),
    ];
    let event = prop::option::of((any::<prop::sample::Index>(), event));
    (op, event).prop_map(|(op, event)| Step { op, event })
}

/// Carries the operation out, with what happens in its middle.
fn take(life: &mut Life, step: &Step, how: &str) {
    let asked = Told::asking(life.told.now.clone(), step.op, life.setup());
    life.keep_cuts();
    life.take(step.op)
        .unwrap_or_else(|e| panic!("{how}: {e:?}"));
    let cuts = life.machine.take_cuts();
    let Some((at, event)) = step.event.filter(|_| !cuts.is_empty()) else {
        return;
    };
    let cut = at.get(&cuts);
    let machine = match event {
        Event::Power(fate, None) => cut.restart(fate),
        Event::Power(fate, Some((at, second))) => {
            again(cut, fate, (at, second), life.setup(), &asked)
        }
        Event::Kill => cut.kill(),
    };
    life.log = None;
    *life = Life::after(machine, life.setup(), asked).unwrap_or_else(|e| panic!("{how}: {e:?}"));
    let now = observe(life.log.as_ref().unwrap(), &life.told, how);
    life.told = Told::known(now);
}

/// The machine after a power cut in the recovery from a power cut.
fn again(
    cut: &Cut,
    fate: Fate,
    (at, second): (prop::sample::Index, Fate),
    setup: Setup,
    told: &Told,
) -> Machine {
    let machine = cut.restart(fate);
    machine.keep_cuts();
    drop(recover(&machine, setup, told));
    let cuts = machine.take_cuts();
    at.get(&cuts).restart(second)
}

fn live(steps: &[Step], setup: Setup) {
    let mut life = Life::on(Machine::new(), setup);
    for (n, step) in steps.iter().enumerate() {
        take(&mut life, step, &format!("step {n}"));
    }
    let killed = life.machine.cut().kill();
    for machine in [killed, life.machine.restart(Fate::Lost)] {
        check(&machine, setup, &life.told, "at the end");
    }
}

fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 150;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_acknowledged_is_lost_in_a_long_life(
        steps in prop::collection::vec(step(), 1..30),
        setup in prop::sample::select(vec![Setup::Tiny, Setup::Roomy, Setup::Kept]),
    ) {
        live(&steps, setup);
    }

    /// Apart from the others, whose committed seeds would draw other lives with it.
    #[test]
    fn nothing_acknowledged_is_lost_in_a_long_life_of_a_log_as_it_ships(
        steps in prop::collection::vec(step(), 1..30),
    ) {
        live(&steps, Setup::Shipped);
    }
}

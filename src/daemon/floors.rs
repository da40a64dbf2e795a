//! Who still needs the log: the lanes of the relay by their cursors, the stores by their own word.

use std::time::Duration;

use wal::{LogId, Seq};

use crate::config::Config;
use crate::failure::chain;
use crate::journal::retention::Floor;
use crate::store::redis::Redis;
use crate::store::sqlite::Sqlite;
use crate::store::timescale::{Generation, Generations, Stage, Timescale};
use crate::store::{Checkpoint, Projection, ProjectionName};

/// How long a store may take to say where it is.
const ASK_LIMIT: Duration = Duration::from_secs(3);

/// What a store says of itself: nothing was applied to it, or up to where; or why it does not say.
pub(super) type Said = Result<Option<Checkpoint>, String>;

/// Asks all stores that the configuration switches on, at once.
pub(super) async fn ask(config: &Config) -> Vec<(ProjectionName, Said)> {
    let said = tokio::join!(
        ask_one(config.sqlite.clone().map(Sqlite::new)),
        ask_one(config.timescale.clone().map(Timescale::new)),
        ask_one(config.redis.clone().map(Redis::new)),
    );
    [said.0, said.1, said.2].into_iter().flatten().collect()
}

async fn ask_one<P: Projection>(store: Option<P>) -> Option<(ProjectionName, Said)> {
    let mut store = store?;
    let said = match tokio::time::timeout(ASK_LIMIT, store.checkpoint()).await {
        Ok(said) => said.map_err(|error| chain(&error)),
        Err(_) => Err(silence()),
    };
    Some((store.name(), said))
}

/// What a store needs. It may have been emptied since its projector last showed itself on the board, and a projector
/// may not have come as far as its store: the lower number counts. One that does not say needs everything, unless a
/// projector elsewhere, which asks it too, has just `told` where it is.
pub(super) fn of_store(
    name: ProjectionName,
    said: Said,
    board: Option<u64>,
    told: Option<u64>,
    ours: LogId,
) -> Floor {
    let (seq, unknown) = match said {
        Ok(None) => (0, None),
        Ok(Some(it)) if it.identity.log_id == ours => {
            (it.seq.get().min(board.unwrap_or(u64::MAX)), None)
        }
        Ok(Some(it)) => {
            let other = it.identity.log_id;
            (0, Some(format!("it was fed from another log, {other}")))
        }
        Err(why) => told.map_or((0, Some(why)), |seq| (seq, None)),
    };
    Floor {
        name: format!("store {name}"),
        seq,
        unknown,
    }
}

/// The generations of TimescaleDB, or why that is not known; none where no TimescaleDB is configured.
pub(super) async fn generations(config: &Config) -> Result<Vec<Generation>, String> {
    let Some(timescale) = &config.timescale else {
        return Ok(Vec::new());
    };
    let asked = async { Generations::open(timescale).await?.list().await };
    match tokio::time::timeout(ASK_LIMIT, asked).await {
        Ok(found) => found.map_err(|error| chain(&error)),
        Err(_) => Err(silence()),
    }
}

/// What the generations need that readers do not see: one is being loaded from the log, another may be shown again.
/// While nobody can say whether there are any, they need everything.
pub(super) fn of_generations(found: Result<Vec<Generation>, String>, ours: LogId) -> Vec<Floor> {
    let found = match found {
        Ok(found) => found,
        Err(why) => {
            return vec![Floor {
                name: "store timescale, hidden generations".to_owned(),
                seq: 0,
                unknown: Some(why),
            }];
        }
    };
    let hidden = found.iter().filter(|it| it.stage != Stage::Shown);
    // The log has nothing for one of another log.
    let hidden = hidden.filter(|it| {
        it.checkpoint
            .is_none_or(|checkpoint| checkpoint.identity.log_id == ours)
    });
    hidden
        .map(|it| Floor {
            name: format!(
                "store timescale, generation {} ({})",
                it.number,
                it.stage.as_str()
            ),
            seq: it.checkpoint.map_or(0, |checkpoint| checkpoint.seq.get()),
            unknown: None,
        })
        .collect()
}

fn silence() -> String {
    format!("no answer in {} s", ASK_LIMIT.as_secs())
}

/// What the lanes that are configured need, and the cursors that nobody moves any more. A lane that never ran needs
/// everything.
pub(super) fn of_cursors(cursors: Vec<(String, Seq)>, lanes: &[&str]) -> (Vec<Floor>, Vec<Floor>) {
    let floor = |name: &str, seq| Floor {
        name: format!("cursor {name}"),
        seq,
        unknown: None,
    };
    let at = |name| cursors.iter().find(|(found, _)| found == name);
    let needed = lanes
        .iter()
        .map(|name| floor(name, at(*name).map_or(0, |(_, seq)| seq.get())))
        .collect();
    let idle = cursors
        .iter()
        .filter(|(name, _)| !lanes.contains(&name.as_str()))
        .map(|(name, seq)| floor(name, seq.get()))
        .collect();
    (needed, idle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use wal::Identity;

    fn at(log: u8, seq: u64) -> Checkpoint {
        Checkpoint {
            identity: Identity {
                log_id: LogId([log; 16]),
                epoch: 1,
            },
            seq: Seq::new(seq).expect("from 1"),
            updated_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn a_store_that_was_emptied_beside_the_daemon_needs_everything_again() {
        let floor =
            |said, board| of_store(ProjectionName::Sqlite, said, board, None, LogId([1; 16]));
        assert_eq!(floor(Ok(None), Some(900)).seq, 0, "emptied");
        assert_eq!(
            floor(Ok(Some(at(1, 20))), Some(900)).seq,
            20,
            "being rebuilt"
        );
        assert_eq!(floor(Ok(Some(at(1, 900))), Some(850)).seq, 850);
        assert_eq!(floor(Ok(Some(at(1, 900))), Some(0)).seq, 0, "not yet shown");
        assert_eq!(floor(Ok(Some(at(1, 900))), None).seq, 900, "no daemon");
        let silent = floor(Err("no answer in 3 s".to_owned()), Some(900));
        assert_eq!((silent.seq, silent.unknown.is_some()), (0, true));
        let other = floor(Ok(Some(at(2, 900))), Some(900));
        assert_eq!((other.seq, other.unknown.is_some()), (0, true));
    }

    #[test]
    fn a_store_that_cannot_be_reached_from_here_needs_what_its_projector_tells() {
        let ours = LogId([1; 16]);
        let floor = |said, told| of_store(ProjectionName::Redis, said, Some(700), told, ours);
        let away = || Err("no answer in 3 s".to_owned());
        assert_eq!(floor(away(), Some(700)).seq, 700);
        assert_eq!(floor(away(), None).seq, 0, "nobody tells");
        assert_eq!(floor(Ok(None), Some(700)).seq, 0, "its own word counts");
    }

    #[test]
    fn generations_that_nobody_sees_hold_the_log_too() {
        let generation = |number, stage, checkpoint| Generation {
            number,
            stage,
            made_at: Timestamp::from_micros(0),
            hidden_at: None,
            checkpoint,
            bytes: 0,
            chunk_interval: Duration::ZERO,
        };
        let found = [
            generation(1, Stage::Kept, Some(at(1, 70))),
            generation(2, Stage::Kept, Some(at(2, 5))),
            generation(3, Stage::Shown, Some(at(1, 90))),
            generation(4, Stage::Building, None),
        ];
        let floors = of_generations(Ok(found.to_vec()), LogId([1; 16]));
        let floors: Vec<_> = floors.iter().map(|it| (it.name.as_str(), it.seq)).collect();
        let expected = [
            ("store timescale, generation 1 (kept)", 70),
            ("store timescale, generation 4 (building)", 0),
        ];
        assert_eq!(floors, expected);
    }

    #[test]
    fn generations_that_cannot_be_asked_for_hold_everything() {
        let floors = of_generations(Err(silence()), LogId([1; 16]));
        assert_eq!(floors.len(), 1);
        assert_eq!(floors[0].seq, 0);
        assert_eq!(floors[0].unknown.as_deref(), Some("no answer in 3 s"));
        assert!(of_generations(Ok(Vec::new()), LogId([1; 16])).is_empty());
    }

    #[test]
    fn only_lanes_that_are_configured_hold_back() {
        let seq = |n| Seq::new(n).expect("from 1");
        let cursors = || {
            let both = [("relay.events", 3), ("relay.log", 70)];
            both.map(|(name, n)| (name.to_owned(), seq(n))).to_vec()
        };
        let shown = |floors: &[Floor]| {
            let pairs = floors.iter().map(|it| (it.name.clone(), it.seq));
            pairs.collect::<Vec<_>>()
        };
        let named = |name: &str, seq| vec![(format!("cursor {name}"), seq)];
        let (needed, idle) = of_cursors(cursors(), &["relay.log"]);
        assert_eq!(shown(&needed), named("relay.log", 70));
        assert_eq!(shown(&idle), named("relay.events", 3));
        let (needed, idle) = of_cursors(Vec::new(), &["relay.log"]);
        assert_eq!(shown(&needed), named("relay.log", 0), "it never ran");
        assert!(idle.is_empty());
        let (needed, idle) = of_cursors(cursors(), &[]);
        assert_eq!((needed.len(), idle.len()), (0, 2));
    }
}

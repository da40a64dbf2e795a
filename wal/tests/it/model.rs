//! The log against a plain map: random appends, duplicates, seals, trims, restarts and crashes.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;
use wal::{Batch, Log, Outcome, Reader, Seq, verify};

use crate::common::{fast_dir, keyed, plain, small};

#[derive(Debug, Clone)]
enum Step {
    /// Keys of the records (`None`: without), a bookmark and a cursor.
    Append {
        keys: Vec<Option<u8>>,
        bookmark: Option<(u8, u8)>,
        cursor: Option<(u8, u64)>,
    },
    Seal,
    /// Keep the upper part: from this many records below the tail.
    Trim(u64),
    Close,
    Drop,
    /// Go on with a copy of the files as they are, as if the power had gone.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop_oneof![1 => Just(None), 4 => (0u8..40).prop_map(Some)];
    let append = (
        prop::collection::vec(key, 0..6),
        prop::option::of((0u8..3, any::<u8>())),
        prop::option::of((0u8..3, 0u64..5)),
    );
    prop_oneof![
        8 => append.prop_map(|(keys, bookmark, cursor)| Step::Append { keys, bookmark, cursor }),
        2 => Just(Step::Seal),
        2 => (0u64..12).prop_map(Step::Trim),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
        2 => Just(Step::Crash),
    ]
}

#[derive(Default)]
struct Model {
    records: BTreeMap<u64, Vec<u8>>,
    keys: BTreeMap<Vec<u8>, u64>,
    bookmarks: BTreeMap<String, Vec<u8>>,
    cursors: BTreeMap<String, u64>,
    first: u64,
    tail: u64,
    made: u64,
}

impl Model {
    fn append(&mut self, keys: &[Option<u8>]) -> (Batch, Vec<Outcome>) {
        let (mut batch, mut outcomes) = (Batch::default(), Vec::new());
        for key in keys {
            self.made += 1;
            let record = match key {
                // Keys of different lengths, one a prefix of another.
                Some(k) => keyed(self.made, &vec![*k / 3; 1 + usize::from(*k % 3)]),
                None => plain(self.made),
            };
            let known = record.key.as_ref().and_then(|key| self.keys.get(key));
            outcomes.push(match known {
                Some(seq) => Outcome::Duplicate(Seq::new(*seq).unwrap()),
                None => {
                    self.tail += 1;
                    self.records.insert(self.tail, record.payload.clone());
                    if let Some(key) = &record.key {
                        self.keys.insert(key.clone(), self.tail);
                    }
                    Outcome::Appended(Seq::new(self.tail).unwrap())
                }
            });
            batch.records.push(record);
        }
        (batch, outcomes)
    }
}

struct World {
    dir: TempDir,
    log: Option<Log>,
    model: Model,
}

impl World {
    fn new() -> World {
        let dir = fast_dir();
        let log = Some(open(dir.path()));
        let model = Model {
            first: 1,
            ..Model::default()
        };
        World { dir, log, model }
    }

    fn take(&mut self, step: &Step) {
        let log = self.log.as_mut().unwrap();
        match step {
            Step::Append {
                keys,
                bookmark,
                cursor,
            } => {
                let (mut batch, outcomes) = self.model.append(keys);
                if let Some((name, value)) = bookmark {
                    batch.bookmarks.push((format!("b{name}"), vec![*value]));
                    self.model
                        .bookmarks
                        .insert(format!("b{name}"), vec![*value]);
                }
                // Sometimes backwards, which must change nothing.
                let at = cursor.map(|(name, back)| (name, self.model.tail.saturating_sub(back)));
                if let Some((name, at)) = at.filter(|(_, at)| *at > 0) {
                    batch
                        .cursors
                        .push((format!("c{name}"), Seq::new(at).unwrap()));
                    let stored = self.model.cursors.entry(format!("c{name}")).or_default();
                    *stored = at.max(*stored);
                }
                let done = log.append(&batch).unwrap();
                assert_eq!(done.outcomes, outcomes);
                assert_eq!(done.tail.map_or(0, Seq::get), self.model.tail);
            }
            Step::Seal => log.seal().unwrap(),
            Step::Trim(keep) => {
                let keep_from = (self.model.tail + 1).saturating_sub(*keep).max(1);
                for gone in log.trim(Seq::new(keep_from).unwrap()).unwrap() {
                    let last = gone.last.unwrap().get();
                    assert_eq!(gone.first.get(), self.model.first);
                    assert!(last < keep_from);
                    self.model.first = last + 1;
                }
                self.model.records = self.model.records.split_off(&self.model.first);
            }
            Step::Close => {
                self.log.take().unwrap().close().unwrap();
                self.reopen(false);
            }
            Step::Drop => {
                drop(self.log.take());
                self.reopen(false);
            }
            Step::Crash => {
                let copy = fast_dir();
                for entry in std::fs::read_dir(self.dir.path()).unwrap() {
                    let entry = entry.unwrap();
                    std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
                }
                drop(self.log.take());
                self.dir = copy;
                self.reopen(true);
            }
        }
    }

    fn reopen(&mut self, unclean_allowed: bool) {
        let log = open(self.dir.path());
        // A crash right after opening, before anything was written, leaves clean files.
        assert!(unclean_allowed || !log.recovery().unclean);
        assert_eq!(log.recovery().tail.map_or(0, Seq::get), self.model.tail);
        self.log = Some(log);
    }

    fn compare(&self, reader: &Reader) {
        let model = &self.model;
        assert_eq!(reader.tail().unwrap().map_or(0, Seq::get), model.tail);
        let first = model.records.keys().next().copied();
        assert_eq!(reader.first().unwrap().map(Seq::get), first);
        let from = Seq::new(model.first).unwrap();
        let records = reader.read(from, usize::MAX, usize::MAX).unwrap();
        let found: BTreeMap<u64, Vec<u8>> = records
            .iter()
            .map(|r| (r.header().seq.get(), r.payload().to_vec()))
            .collect();
        assert_eq!(found, model.records);
        let cursors = reader.cursors().unwrap();
        let cursors: BTreeMap<_, _> = cursors.into_iter().map(|(n, s)| (n, s.get())).collect();
        assert_eq!(cursors, model.cursors);
        let bookmarks: BTreeMap<_, _> = reader.bookmarks().unwrap().into_iter().collect();
        assert_eq!(bookmarks, model.bookmarks);
        let segments = reader.segments().unwrap();
        assert_eq!(
            segments.iter().map(|s| s.count).sum::<u64>(),
            model.records.len() as u64
        );
        let bytes: usize = records.iter().map(|r| r.as_bytes().len()).sum();
        assert_eq!(segments.iter().map(|s| s.bytes).sum::<u64>(), bytes as u64);
    }
}

fn open(dir: &Path) -> Log {
    Log::open(dir, small(500)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_map_that_survives(steps in prop::collection::vec(step(), 1..30)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.compare(&world.log.as_ref().unwrap().reader());
        }
        world.compare(&Reader::open(world.dir.path()).unwrap());
        let report = verify(world.dir.path(), &mut |_| {}).unwrap();
        prop_assert!(report.findings.is_empty(), "{:?}", report.findings);
        prop_assert_eq!(report.records, world.model.records.len() as u64);
    }
}

//! Where salvage finds records besides the log's own files: the archive, backups.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wal::{Containers, LogId, Record, RecordSource, Seq};

use crate::event::{Envelope, dedup_key};

/// What a directory of containers gave to a salvage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The directory.
    pub dir: PathBuf,
    /// Records that nothing else had, and that it was the first to have.
    pub records: u64,
}

/// Directories of containers, asked in order. Containers of other logs are left alone.
pub struct Sources {
    dirs: Vec<(Containers, RefCell<Given>)>,
}

impl Sources {
    /// Those in `dirs` of log `log_id`; none of a log that nothing is known of.
    pub fn new(dirs: &[PathBuf], log_id: Option<LogId>) -> Sources {
        let dirs = dirs.iter().filter_map(|dir| {
            let given = Given {
                dir: dir.clone(),
                records: 0,
            };
            Some((Containers::new(dir, log_id?), RefCell::new(given)))
        });
        Sources {
            dirs: dirs.collect(),
        }
    }

    /// What each of them gave so far.
    pub fn given(&self) -> Vec<Given> {
        let all = self.dirs.iter();
        all.map(|(_, given)| given.borrow().clone()).collect()
    }
}

impl RecordSource for Sources {
    fn records(&self, first: Seq, last: Seq, take: &mut dyn FnMut(&Record)) {
        let mut had = BTreeSet::new();
        for (containers, given) in &self.dirs {
            containers.records(first, last, &mut |record| {
                if had.insert(record.header().seq) {
                    given.borrow_mut().records += 1;
                }
                take(record);
            });
        }
    }

    fn keys(&self, first: Seq, last: Seq, take: &mut dyn FnMut(Seq, &[u8])) {
        for (containers, _) in &self.dirs {
            containers.keys(first, last, take);
        }
    }

    fn key_of(&self, record: &Record) -> Option<Vec<u8>> {
        dedup_key(&Envelope::from_record(record).ok()?.event)
    }
}

/// Adds up what the same directories gave to several segments.
pub fn add_up(sum: &mut Vec<Given>, more: Vec<Given>) {
    for given in more {
        match sum.iter_mut().find(|it| it.dir == given.dir) {
            Some(it) => it.records += given.records,
            None => sum.push(given),
        }
    }
}

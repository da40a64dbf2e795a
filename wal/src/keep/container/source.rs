//! A directory of containers, an archive or a backup, as what a salvage may draw on.

use std::path::Path;

use super::{Container, container_name, parse_container_name};
use crate::frame::Record;
use crate::salvage::RecordSource;
use crate::seq::{LogId, Seq};
use crate::storage::{Access, Disk, Storage};

/// The containers of one log in a directory, however many of them can be read.
#[derive(Debug)]
pub struct Containers {
    disk: Disk,
    log_id: LogId,
}

impl Containers {
    /// Those of log `log_id` in `dir`. What is there is looked up when it is asked for.
    pub fn new(dir: &Path, log_id: LogId) -> Containers {
        Containers {
            disk: Disk::new(dir),
            log_id,
        }
    }

    /// Runs `work` on each container with numbers from `first` to `last`.
    fn each(
        &self,
        first: u64,
        last: u64,
        mut work: impl FnMut(&Container<Box<dyn redb::StorageBackend>>),
    ) {
        let names = self.disk.list().unwrap_or_default();
        for start in names.iter().filter_map(|name| parse_container_name(name)) {
            if start > last {
                continue;
            }
            let opened = self.disk.open(&container_name(start), Access::Read);
            let Ok(container) = opened.map_err(Into::into).and_then(Container::open) else {
                continue;
            };
            let manifest = container.manifest();
            if manifest.identity.log_id == self.log_id && manifest.last >= first {
                work(&container);
            }
        }
    }
}

impl RecordSource for Containers {
    fn records(&self, first: Seq, last: Seq, take: &mut dyn FnMut(&Record)) {
        self.each(first.get(), last.get(), |container| {
            // Up to the first damage: what lies after it in this container is left out.
            let mut records = container.records(first.get());
            while let Ok(Some((seq, bytes))) = records.next() {
                if seq > last.get() {
                    break;
                }
                if let Ok(record) = Record::decode(bytes.to_vec()) {
                    take(&record);
                }
            }
        });
    }

    fn keys(&self, first: Seq, last: Seq, take: &mut dyn FnMut(Seq, &[u8])) {
        self.each(first.get(), last.get(), |container| {
            let result = container.each_key(|key, seq| {
                if (first.get()..=last.get()).contains(&seq) {
                    take(Seq::at_least_first(seq), key);
                }
            });
            // Keys before the damage were handed out.
            drop(result);
        });
    }
}

//! The message index: what was seen of each message, so that an edit can be told from a repeat, and a message that
//! comes by its number alone has a chat.
//!
//! It is a projection of the log, kept up by reading the log's events; it says itself how far it has read. So it may
//! lag, be deleted, or lose its newest part in a crash: what is read again brings the same back. What is on its way to
//! the log is kept in memory until it comes back from there.
//!
//! | file | what |
//! |---|---|
//! | `print` | fingerprints, and what an edit changed |
//! | `shelf` | what an event changes in the index |
//! | `stored` | the file |
//! | `live` | what is on its way to the log |

mod live;
mod print;
mod shelf;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition};
use wal::LogId;

use crate::event::{Body, Changed, Envelope, Event, Message, PeerId};
use live::{Arrived, GapKey, Live, Through};
use shelf::{Shelf, apply};
use stored::Stored;

pub use print::Print;
pub use shelf::{At, Facts, OpenGap, SeenPoll, news};

/// The log that the index is of, and how far it has read it.
const META: TableDefinition<'_, &str, u128> = TableDefinition::new("meta");
const LOG: &str = "log";
const COVERED: &str = "covered";
const FORMAT: &str = "format";
/// An index of another format is made anew.
const VERSION: u128 = 1;

const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Why the index cannot be used. Deleting its file is always a cure, if reading the log again is not too dear.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file cannot be opened.
    #[error("cannot open {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The engine cannot read or write it.
    #[error("the message index {path} cannot be used")]
    Engine {
        /// The file.
        path: PathBuf,
        /// What the engine said.
        #[source]
        source: Box<redb::Error>,
    },
}

/// See the module. One for all accounts.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    db: Database,
    live: Mutex<Live>,
}

impl Index {
    /// Opens the index of this log, which reaches to `tail`. A file that is damaged, of another log, or ahead of this
    /// one is made anew.
    pub fn open(path: &Path, log: LogId, tail: u64) -> Result<Index, IndexError> {
        let fail = |source: redb::Error| IndexError::Engine {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let db = match open_file(path)? {
            Ok(db) if fits(&db, log, tail).unwrap_or(false) => db,
            Err(error @ redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(fail(error.into()));
            }
            other => {
                drop(other);
                let io = |source| IndexError::Io {
                    path: path.to_owned(),
                    source,
                };
                std::fs::remove_file(path).map_err(io)?;
                open_file(path)?.map_err(|error| fail(error.into()))?
            }
        };
        prepare(&db, log).map_err(fail)?;
        let live = Mutex::new(Live::new());
        let path = path.to_owned();
        Ok(Index { path, db, live })
    }

    /// The last number of the log that is in the index; 0 for none.
    pub fn covered(&self) -> Result<u64, IndexError> {
        covered(&self.db).map_err(|error| self.fail(error))
    }

    /// Takes in what the log has behind [`covered`](Index::covered), in order. It is durable after the next
    /// [`flush`](Index::flush); until then a crash makes the index read it again.
    pub fn absorb(&self, envelopes: &[Envelope]) -> Result<(), IndexError> {
        self.write(envelopes).map_err(|error| self.fail(error))
    }

    /// Makes durable what was taken in.
    pub fn flush(&self) -> Result<(), IndexError> {
        let flushed = || {
            let mut txn = self.db.begin_write()?;
            txn.set_durability(Durability::Immediate)?;
            txn.set_quick_repair(true);
            txn.commit()?;
            Ok(())
        };
        flushed().map_err(|error| self.fail(error))
    }

    /// Remembers an event that is on its way to the log.
    pub fn record(&self, event: &Event) {
        let mut live = self.live();
        let mut through = Through {
            live: &mut live,
            db: &self.db,
        };
        tell(apply(&mut through, event));
        if let (Body::Edited { message, changed }, Some(peer)) = (&event.body, event.peer) {
            live.note_edit((peer, message.id), event.stamp, *changed);
        }
    }

    /// What an edit changes. `stamp` is the place of the edit in its sequence: when it comes again, it says the same.
    pub fn changed(&self, peer: PeerId, message: &Message, stamp: i64) -> Changed {
        let at = (peer, message.id);
        let mut live = self.live();
        if let Some(changed) = live.edit(at, stamp) {
            return changed;
        }
        let through = Through {
            live: &mut live,
            db: &self.db,
        };
        match tell(through.print(at)) {
            Some(Some(known)) => known.changed(&Print::of(message)),
            _ => print::changed_from_unknown(message),
        }
    }

    /// The fingerprint of a message as the log has it.
    pub fn logged(&self, at: At) -> Option<Print> {
        let read = || stored::print(&self.db.begin_read()?, at);
        tell(read()).flatten()
    }

    /// The peer of a message of a private chat or basic group.
    pub fn place(&self, message_id: i64) -> Option<PeerId> {
        let mut live = self.live();
        let through = Through {
            live: &mut live,
            db: &self.db,
        };
        tell(through.place(message_id)).flatten()
    }

    /// A poll that was seen.
    pub fn poll(&self, poll_id: i64) -> Option<SeenPoll> {
        let mut live = self.live();
        let through = Through {
            live: &mut live,
            db: &self.db,
        };
        tell(through.poll(poll_id)).flatten()
    }

    /// What is known of a chat.
    pub fn facts(&self, peer: PeerId) -> Option<Facts> {
        let mut live = self.live();
        let through = Through {
            live: &mut live,
            db: &self.db,
        };
        tell(through.facts(peer)).flatten()
    }

    /// All chats that something is known of, in ascending order of their marked ids.
    pub fn chats(&self) -> Vec<PeerId> {
        let mut live = self.live();
        let through = Through {
            live: &mut live,
            db: &self.db,
        };
        tell(through.chats()).unwrap_or_default()
    }

    /// Who had this public name first, by what was told so far.
    pub fn named(&self, name: &str) -> Option<PeerId> {
        let mut live = self.live();
        let through = Through {
            live: &mut live,
            db: &self.db,
        };
        tell(through.name(&name.to_lowercase())).flatten()
    }

    /// The gaps that nobody has closed.
    pub fn open_gaps(&self) -> Vec<OpenGap> {
        let mut live = self.live();
        let through = Through {
            live: &mut live,
            db: &self.db,
        };
        tell(through.open_gaps()).unwrap_or_default()
    }

    /// The newest messages of a chat that the log has and that are not deleted, newest first.
    pub fn newest(&self, peer: PeerId, count: usize) -> Result<Vec<i64>, IndexError> {
        let marked = peer.marked();
        let read = || {
            let prints = self.db.begin_read()?.open_table(stored::PRINTS)?;
            let rows = prints.range((marked, i64::MIN)..=(marked, i64::MAX))?;
            let ids = rows.rev().take(count).map(|row| Ok(row?.0.value().1));
            ids.collect::<Result<Vec<i64>, redb::Error>>()
        };
        read().map_err(|error| self.fail(error))
    }

    fn write(&self, envelopes: &[Envelope]) -> Result<(), redb::Error> {
        let Some(last) = envelopes.last() else {
            return Ok(());
        };
        let mut txn = self.db.begin_write()?;
        txn.set_durability(Durability::None)?;
        let mut touched = BTreeSet::new();
        let mut arrived = Vec::new();
        {
            let mut meta = txn.open_table(META)?;
            let covered = covered_in(&meta)?;
            let mut shelf = Stored::open(&txn)?;
            let news = envelopes.iter().filter(|it| it.seq.get() > covered);
            for Envelope { event, .. } in news {
                apply(&mut shelf, event)?;
                touched.extend(Touched::by(event));
            }
            for it in touched {
                arrived.push(match it {
                    Touched::Message(at) => Arrived::Message(at, shelf.print(at)?),
                    Touched::Facts(peer) => Arrived::Facts(peer, shelf.facts(peer)?),
                    Touched::Gap(key) => Arrived::Gap(key, shelf.gap(key)?),
                });
            }
            let covered = covered.max(last.seq.get());
            meta.insert(COVERED, u128::from(covered))?;
        }
        txn.commit()?;
        let mut live = self.live();
        arrived.into_iter().for_each(|it| live.arrived(it));
        Ok(())
    }

    /// Nothing that is done under the lock can leave the index half changed.
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, source: redb::Error) -> IndexError {
        IndexError::Engine {
            path: self.path.clone(),
            source: Box::new(source),
        }
    }
}

/// What an event of the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    Message(At),
    Facts(PeerId),
    Gap(GapKey),
}

impl Touched {
    fn by(event: &Event) -> Option<Touched> {
        match (&event.body, event.peer) {
            (Body::Gap(gap), peer) => Some(Touched::Gap((peer, gap.bounds()))),
            (Body::GapClosed(closed), peer) => Some(Touched::Gap((peer, closed.gap))),
            (Body::Channel(_), Some(peer)) => Some(Touched::Facts(peer)),
            (body, peer) => Some(Touched::Message((peer?, body.message_id()?))),
        }
    }
}

/// A look-up that fails is as good as one that finds nothing: the log must go on. Taking in the log fails too then,
/// and that is told to the operator.
fn tell<T>(result: Result<T, redb::Error>) -> Option<T> {
    result
        .inspect_err(|error| tracing::error!(%error, "the message index cannot be read"))
        .ok()
}

/// The engine's answer, or that the file itself cannot be opened.
fn open_file(path: &Path) -> Result<Result<Database, redb::DatabaseError>, IndexError> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        // It tells who writes where.
        .mode(0o600)
        .open(path);
    let file = file.map_err(|source| IndexError::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    let created = FileBackend::new(file).and_then(|file| builder.create_with_backend(file));
    Ok(created)
}

/// Whether the file is of this log, or new.
fn fits(db: &Database, log: LogId, tail: u64) -> Result<bool, redb::Error> {
    let txn = db.begin_read()?;
    let meta = match txn.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(txn.list_tables()?.count() == 0),
        other => other?,
    };
    let is =
        |name, value| Ok::<_, redb::Error>(meta.get(name)?.is_some_and(|it| it.value() == value));
    Ok(is(LOG, u128::from_le_bytes(log.0))? && is(FORMAT, VERSION)? && covered_in(&meta)? <= tail)
}

/// Makes all tables, so that readers find them.
fn prepare(db: &Database, log: LogId) -> Result<(), redb::Error> {
    let mut txn = db.begin_write()?;
    txn.set_quick_repair(true);
    {
        let mut meta = txn.open_table(META)?;
        meta.insert(LOG, u128::from_le_bytes(log.0))?;
        meta.insert(FORMAT, VERSION)?;
        Stored::open(&txn)?;
    }
    txn.commit()?;
    Ok(())
}

fn covered(db: &Database) -> Result<u64, redb::Error> {
    covered_in(&db.begin_read()?.open_table(META)?)
}

fn covered_in(meta: &impl redb::ReadableTable<&'static str, u128>) -> Result<u64, redb::Error> {
    let covered = meta.get(COVERED)?.map_or(0, |it| it.value());
    Ok(u64::try_from(covered).unwrap_or(u64::MAX))
}

//! The session file: a small database, of which all but the peers is sealed.
//!
//! Every change is on the disk before it counts. After a failure the file is opened anew, because the database takes
//! nothing more once the disk has refused it something.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use grammers_session::types::{DcOption, PeerInfo};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::error::SessionError;
use super::record::{self, Account, PeerKey};
use super::seal::{self, Salt, Seal};
use crate::config::SessionKey;

/// Of the file format; what is sealed is bound to it.
const VERSION: u8 = 1;
const CACHE_BYTES: usize = 1 << 20;

/// `version` and `salt`, in the clear.
const PLAIN: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("plain");
/// Sealed, each for its own name.
const SEALED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sealed");
const PEERS: TableDefinition<'_, PeerKey, &[u8]> = TableDefinition::new("peers");

const ACCOUNT: &str = "account";
const DC: &str = "dc ";

/// An open session file.
pub(super) struct Store {
    path: PathBuf,
    seal: Seal,
    /// None after a failure, until it is opened anew.
    database: Mutex<Option<Database>>,
}

/// What a session file holds beside the peers.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) account: Account,
    pub(super) dcs: BTreeMap<i32, DcOption>,
}

/// Fills a new file.
pub(super) fn create(path: &Path, key: &SessionKey, account: Account) -> Result<(), SessionError> {
    let salt = seal::salt()?;
    let store = Store {
        path: path.to_owned(),
        seal: Seal::new(key, salt)?,
        database: Mutex::new(None),
    };
    store.with(|database| {
        let change = store.begin(database)?;
        {
            let mut plain = change.open_table(PLAIN).map_err(|it| store.failed(it))?;
            let inserted = plain.insert("version", &[VERSION][..]).map(drop);
            inserted.map_err(|it| store.failed(it))?;
            let inserted = plain.insert("salt", &salt[..]).map(drop);
            inserted.map_err(|it| store.failed(it))?;
        }
        change.open_table(PEERS).map_err(|it| store.failed(it))?;
        store.put(&change, ACCOUNT, &account.to_bytes())?;
        store.commit(change)
    })
}

impl Store {
    /// Opens a file that [`create`] filled, and reads it.
    pub(super) fn open(path: &Path, key: &SessionKey) -> Result<(Store, Content), SessionError> {
        let database = database(path)?;
        let salt = plain(path, &database)?;
        let store = Store {
            path: path.to_owned(),
            seal: Seal::new(key, salt)?,
            database: Mutex::new(Some(database)),
        };
        let content = store.content()?;
        Ok((store, content))
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn content(&self) -> Result<Content, SessionError> {
        self.with(|database| {
            let read = database.begin_read().map_err(|it| self.failed(it))?;
            let sealed = read.open_table(SEALED).map_err(|it| self.failed(it))?;
            let account = sealed.get(ACCOUNT).map_err(|it| self.failed(it))?;
            let account = account.ok_or_else(|| self.damaged("it names no account"))?;
            // It is in every file, and so tells whether the key is the right one.
            let account = self.seal.open(VERSION, ACCOUNT, account.value());
            let account = account.ok_or_else(|| SessionError::WrongKey(self.path.clone()))?;
            let account = Account::from_bytes(&account);
            let account = account.ok_or_else(|| self.damaged("the account cannot be read"))?;
            let mut dcs = BTreeMap::new();
            for row in sealed.iter().map_err(|it| self.failed(it))? {
                let (name, bytes) = row.map_err(|it| self.failed(it))?;
                let Some(id) = name.value().strip_prefix(DC) else {
                    continue;
                };
                let dc = id.parse::<i32>().ok().and_then(|id| {
                    let bytes = self.seal.open(VERSION, name.value(), bytes.value())?;
                    record::dc_from_bytes(id, &bytes)
                });
                let dc = dc.ok_or_else(|| self.damaged("a data centre cannot be read"))?;
                dcs.insert(dc.id, dc);
            }
            Ok(Content { account, dcs })
        })
    }

    /// Keeps the account and data centres, all or none.
    pub(super) fn keep(
        &self,
        account: Option<Account>,
        dcs: &[DcOption],
    ) -> Result<(), SessionError> {
        self.with(|database| {
            let change = self.begin(database)?;
            if let Some(account) = account {
                self.put(&change, ACCOUNT, &account.to_bytes())?;
            }
            for dc in dcs {
                self.put(&change, &format!("{DC}{}", dc.id), &record::dc_to_bytes(dc))?;
            }
            self.commit(change)
        })
    }

    /// What is known of a peer.
    pub(super) fn peer(&self, key: PeerKey) -> Result<Option<PeerInfo>, SessionError> {
        self.with(|database| {
            let read = database.begin_read().map_err(|it| self.failed(it))?;
            let peers = read.open_table(PEERS).map_err(|it| self.failed(it))?;
            let found = peers.get(key).map_err(|it| self.failed(it))?;
            let Some(found) = found else {
                return Ok(None);
            };
            let peer = record::peer_from_bytes(key, found.value());
            peer.map(Some)
                .ok_or_else(|| self.damaged("a peer cannot be read"))
        })
    }

    /// Adds what these tell to what is known: what they leave open stays. All or none, and nothing is written when
    /// nothing is new.
    pub(super) fn learn(&self, told: &[PeerInfo]) -> Result<(), SessionError> {
        self.with(|database| {
            let change = self.begin(database)?;
            let mut is_news = false;
            {
                let mut peers = change.open_table(PEERS).map_err(|it| self.failed(it))?;
                for peer in told {
                    let Some(key) = record::peer_key(peer) else {
                        continue;
                    };
                    let known = peers.get(key).map_err(|it| self.failed(it))?;
                    let known = known.map(|it| it.value().to_vec());
                    let mut whole = known
                        .as_deref()
                        .and_then(|it| record::peer_from_bytes(key, it));
                    match &mut whole {
                        Some(whole) => _ = whole.extend_info(peer),
                        None => whole = Some(peer.clone()),
                    }
                    let bytes = whole
                        .as_ref()
                        .map(record::peer_to_bytes)
                        .unwrap_or_default();
                    if known.as_deref() != Some(&bytes[..]) {
                        is_news = true;
                        let inserted = peers.insert(key, &bytes[..]).map(drop);
                        inserted.map_err(|it| self.failed(it))?;
                    }
                }
            }
            if is_news {
                self.commit(change)
            } else {
                change.abort().map_err(|it| self.failed(it))
            }
        })
    }

    /// Runs with the database, opened anew when the last use of it failed.
    fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, SessionError>,
    ) -> Result<T, SessionError> {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match held.take() {
            Some(open) => open,
            None => database(&self.path)?,
        };
        let done = work(&open);
        if !matches!(done, Err(SessionError::Store { .. })) {
            *held = Some(open);
        }
        done
    }

    fn begin(&self, database: &Database) -> Result<WriteTransaction, SessionError> {
        database.begin_write().map_err(|it| self.failed(it))
    }

    fn commit(&self, change: WriteTransaction) -> Result<(), SessionError> {
        change.commit().map_err(|it| self.failed(it))
    }

    fn put(&self, change: &WriteTransaction, name: &str, bytes: &[u8]) -> Result<(), SessionError> {
        let bytes = self.seal.close(VERSION, name, bytes)?;
        let mut sealed = change.open_table(SEALED).map_err(|it| self.failed(it))?;
        let inserted = sealed.insert(name, &bytes[..]).map(drop);
        inserted.map_err(|it| self.failed(it))
    }

    fn failed(&self, error: impl Into<redb::Error>) -> SessionError {
        SessionError::store(&self.path, error)
    }

    fn damaged(&self, what: &'static str) -> SessionError {
        let path = self.path.clone();
        SessionError::Damaged { path, what }
    }
}

/// Opens the database with all its sums checked: a file that was changed is refused instead of trusted.
fn database(path: &Path) -> Result<Database, SessionError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_check_integrity_on_open(true);
    let database = builder.create(path);
    database.map_err(|error| SessionError::store(path, error))
}

fn plain(path: &Path, database: &Database) -> Result<Salt, SessionError> {
    let failed = |error: redb::Error| SessionError::store(path, error);
    let damaged = |what| SessionError::Damaged {
        path: path.to_owned(),
        what,
    };
    let read = database.begin_read().map_err(|it| failed(it.into()))?;
    let plain = read.open_table(PLAIN).map_err(|it| failed(it.into()))?;
    let version = plain.get("version").map_err(|it| failed(it.into()))?;
    if version.is_none_or(|version| version.value() != [VERSION]) {
        return Err(damaged("its version is not one of this program"));
    }
    let salt = plain.get("salt").map_err(|it| failed(it.into()))?;
    let salt = salt.and_then(|salt| salt.value().try_into().ok());
    salt.ok_or_else(|| damaged("it has no salt"))
}

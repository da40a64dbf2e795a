//! The session of an account: the keys of its data centres, who it is, and the access hashes of its peers.
//!
//! Positions are not here: they are in the log, with the events that they cover. What the library sets of them stays
//! in memory. The file is no projection and cannot be made again from the log; what is lost with it is a login.
//!
//! | file | what |
//! |---|---|
//! | `place` | where it is, ours alone, one process at a time |
//! | `store` | the file |
//! | `seal` | what is secret in it, under the operator's key |
//! | `record` | what is kept, as bytes |
//! | `door` | how an account of the daemon comes to its session |
//! | `error` | why not |

mod door;
mod error;
mod place;
mod record;
mod seal;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use futures_util::future::BoxFuture;
use grammers_session::types::{
    ChannelState, DcOption, PeerId, PeerInfo, UpdateState, UpdatesState,
};
use grammers_session::{Session, SessionData};

pub use door::Gate;
pub use error::SessionError;
pub use place::{Claim, Place};
pub use record::{Own, channel_peer};

use crate::config::{DataCentre, SessionKey};
use record::Account;
use store::{Content, Store};

/// The session of an account, open and held.
pub struct FileSession(Arc<Shared>);

struct Shared {
    store: Store,
    /// What the file holds, for those who cannot wait for a disk.
    known: RwLock<Known>,
    /// One change at a time, from what it is made of to what is known afterwards.
    changing: Mutex<()>,
    updates: Mutex<UpdatesState>,
    /// The last field, and so given up last: whoever has the claim next finds the file closed.
    claim: Claim,
}

struct Known {
    account: Account,
    dcs: BTreeMap<i32, DcOption>,
}

impl fmt::Debug for FileSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.0.claim.place().account();
        f.debug_tuple("FileSession").field(&account).finish()
    }
}

impl FileSession {
    /// Opens the session there; none when there is none. With a given data centre: a session for that one, at the
    /// address that is given now.
    pub fn open(
        claim: &Claim,
        key: &SessionKey,
        centre: Option<&DataCentre>,
    ) -> Result<Option<FileSession>, SessionError> {
        if !claim.look()? {
            return Ok(None);
        }
        let (store, content) = Store::open(&claim.place().file(), key)?;
        let Content { account, mut dcs } = content;
        if let Some(centre) = centre {
            let given = account.given.filter(|id| *id == centre.id);
            let given = given.and_then(|id| dcs.get_mut(&id));
            let given = given.filter(|it| it.auth_key.as_ref() == Some(centre.auth_key.expose()));
            let given = given.ok_or_else(|| SessionError::OtherCentre(store.path().to_owned()))?;
            given.ipv4 = centre.address;
        }
        Ok(Some(FileSession(Arc::new(Shared {
            store,
            known: RwLock::new(Known { account, dcs }),
            changing: Mutex::new(()),
            updates: Mutex::new(UpdatesState::default()),
            claim: claim.clone(),
        }))))
    }

    /// Makes a session that nobody has logged in to, in place of whatever was there. The key of a given data centre is
    /// its key; for others one is made when they are first connected to.
    pub fn create(
        claim: &Claim,
        key: &SessionKey,
        centre: Option<&DataCentre>,
    ) -> Result<FileSession, SessionError> {
        let account = Account {
            home: centre.map_or_else(|| SessionData::default().home_dc, |centre| centre.id),
            own: None,
            given: centre.map(|centre| centre.id),
        };
        claim.make(|path| {
            store::create(path, key, account)?;
            if let Some(centre) = centre {
                let (store, _) = Store::open(path, key)?;
                let unused = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0);
                let given = DcOption {
                    id: centre.id,
                    ipv4: centre.address,
                    ipv6: unused,
                    auth_key: Some(*centre.auth_key.expose()),
                };
                store.keep(None, &[given])?;
            }
            Ok(())
        })?;
        let made = FileSession::open(claim, key, centre)?;
        made.ok_or(SessionError::Unfinished)
    }

    /// Who is logged in; none before a login.
    pub fn own(&self) -> Option<Own> {
        self.0.known().account.own
    }

    /// Whether its data centre was given with its key.
    pub fn is_given(&self) -> bool {
        self.0.known().account.given.is_some()
    }

    /// Keeps who is logged in. From now on it is a session that the daemon uses.
    pub async fn logged_in(&self, own: Own) -> Result<(), SessionError> {
        self.change(move |shared| shared.set_account(|account| account.own = Some(own)))
            .await
    }

    /// Work that may wait for the disk, one at a time.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, SessionError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let shared = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let _one_at_a_time = lock(&shared.changing);
            work(&shared)
        });
        done.await.unwrap_or(Err(SessionError::Unfinished))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what holds now, after it is on the disk.
    fn tell(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut known);
    }

    fn set_account(&self, change: impl FnOnce(&mut Account)) -> Result<(), SessionError> {
        let before = self.known().account;
        let mut account = before;
        change(&mut account);
        if account != before {
            self.store.keep(Some(account), &[])?;
            self.tell(|known| known.account = account);
        }
        Ok(())
    }

    fn set_dc(&self, told: DcOption) -> Result<(), SessionError> {
        let before = self.dc(told.id);
        let dc = merged(self.known().account, before.as_ref(), told)?;
        if before.as_ref() != Some(&dc) {
            self.store.keep(None, std::slice::from_ref(&dc))?;
            self.tell(|known| _ = known.dcs.insert(dc.id, dc));
        }
        Ok(())
    }

    /// One that was told, else one that the library knows: those are Telegram's own, of which a given data centre is
    /// none.
    fn dc(&self, id: i32) -> Option<DcOption> {
        let known = self.known();
        match (known.dcs.get(&id), known.account.given) {
            (Some(kept), _) => Some(kept.clone()),
            (None, Some(_)) => None,
            (None, None) => SessionData::default().dc_options.remove(&id),
        }
    }
}

/// A data centre after it was told of: a key is never replaced, and a given centre stays where it is. The library
/// makes another key by itself whenever a server says it does not know this one; taken, it would cost the login.
fn merged(
    account: Account,
    before: Option<&DcOption>,
    mut told: DcOption,
) -> Result<DcOption, SessionError> {
    let Some(before) = before else {
        return Ok(told);
    };
    if account.given == Some(told.id) {
        (told.ipv4, told.ipv6) = (before.ipv4, before.ipv6);
    }
    match (before.auth_key, told.auth_key) {
        (Some(kept), Some(other)) if kept != other => return Err(SessionError::KeyKept(told.id)),
        (Some(kept), _) => told.auth_key = Some(kept),
        (None, _) => {}
    }
    Ok(told)
}

impl Session for FileSession {
    type Error = SessionError;

    fn home_dc_id(&self) -> Result<i32, SessionError> {
        Ok(self.0.known().account.home)
    }

    fn set_home_dc_id(&self, dc_id: i32) -> BoxFuture<'_, Result<(), SessionError>> {
        Box::pin(self.change(move |shared| shared.set_account(|account| account.home = dc_id)))
    }

    fn dc_option(&self, dc_id: i32) -> Result<Option<DcOption>, SessionError> {
        Ok(self.0.dc(dc_id))
    }

    fn set_dc_option(&self, dc_option: &DcOption) -> BoxFuture<'_, Result<(), SessionError>> {
        let told = dc_option.clone();
        Box::pin(self.change(move |shared| shared.set_dc(told)))
    }

    fn peer(&self, peer: PeerId) -> BoxFuture<'_, Result<Option<PeerInfo>, SessionError>> {
        Box::pin(async move {
            let key = if peer == PeerId::self_user() {
                self.own().map(record::own_key)
            } else {
                record::key_of(peer)
            };
            let Some(key) = key else {
                return Ok(None);
            };
            self.change(move |shared| shared.store.peer(key)).await
        })
    }

    fn cache_peer(&self, peer: PeerInfo) -> BoxFuture<'_, Result<(), SessionError>> {
        self.cache_peers(vec![peer])
    }

    fn cache_peers(&self, peers: Vec<PeerInfo>) -> BoxFuture<'_, Result<(), SessionError>> {
        Box::pin(self.change(move |shared| shared.store.learn(&peers)))
    }

    fn updates_state(&self) -> BoxFuture<'_, Result<UpdatesState, SessionError>> {
        Box::pin(async { Ok(lock(&self.0.updates).clone()) })
    }

    fn set_update_state(&self, update: UpdateState) -> BoxFuture<'_, Result<(), SessionError>> {
        Box::pin(async move {
            let mut state = lock(&self.0.updates);
            match update {
                UpdateState::All(all) => *state = all,
                UpdateState::Primary { pts, date, seq } => {
                    (state.pts, state.date, state.seq) = (pts, date, seq);
                }
                UpdateState::Secondary { qts } => state.qts = qts,
                UpdateState::Channel { id, pts } => {
                    state.channels.retain(|channel| channel.id != id);
                    state.channels.push(ChannelState { id, pts });
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;

//! The data centre as a test holds it: started, asked, dropped.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use crate::connection;
use crate::content::{UserSpec, person};
use crate::options::Options;
use crate::shared::Shared;
use crate::wire::seal::Key;
use crate::world::{Account, CallMade, KeyState, World};

/// A data centre that runs until it is dropped. All methods may be called while clients are connected.
pub struct DataCentre {
    pub(crate) shared: Arc<Shared>,
    listeners: Vec<AbortHandle>,
    auth_key: [u8; 256],
    address: SocketAddrV4,
    dc_id: i32,
}

impl DataCentre {
    /// Listens on loopback, with one account (number 0) whose key is [`DataCentre::auth_key`].
    pub async fn start(options: Options) -> io::Result<Self> {
        let dc_id = options.dc_id;
        let mut listeners = BTreeMap::new();
        for id in options.other_dcs.iter().copied().chain([dc_id]) {
            listeners.insert(id, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        }
        let addresses = listeners.iter().map(|(id, listener)| {
            let port = listener.local_addr()?.port();
            Ok((*id, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))
        });
        let addresses = addresses.collect::<io::Result<BTreeMap<_, _>>>()?;
        let address = addresses[&dc_id];
        let shared = Arc::new(Shared::new(World::new(options, addresses)));
        let listeners = listeners.into_iter().map(|(id, listener)| {
            tokio::spawn(listen(Arc::clone(&shared), id, listener)).abort_handle()
        });
        let listeners = listeners.collect();
        let mut centre = Self {
            shared,
            listeners,
            auth_key: [0; 256],
            address,
            dc_id,
        };
        let account = centre.add_account(UserSpec::named("Mirror").username("mirror"));
        centre.auth_key = centre.add_key(Some(account));
        Ok(centre)
    }

    /// Where the data centre of the accounts listens.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Where one of [`Options::other_dcs`] listens.
    pub fn address_of(&self, dc_id: i32) -> Option<SocketAddrV4> {
        self.shared
            .look(|world| world.addresses.get(&dc_id).copied())
    }

    /// The number of the data centre that accounts live in.
    pub fn dc_id(&self) -> i32 {
        self.dc_id
    }

    /// The key of account 0.
    pub fn auth_key(&self) -> [u8; 256] {
        self.auth_key
    }

    /// One more account; its number. All see the same channels.
    pub fn add_account(&self, user: UserSpec) -> usize {
        let user_id = self.add_user(user);
        self.shared.change(|world| {
            world.accounts.push(Account::new(user_id));
            world.accounts.len() - 1
        })
    }

    /// One more key, for an account or for nobody yet.
    pub fn add_key(&self, account: Option<usize>) -> [u8; 256] {
        self.shared.change(|world| {
            let key = Key::numbered(u64::try_from(world.keys.len()).unwrap_or(u64::MAX));
            let data = key.data();
            world.keys.insert(key.id(), KeyState { key, account });
            data
        })
    }

    /// A user, who has no account here; the bare id.
    pub fn add_user(&self, spec: UserSpec) -> i64 {
        self.shared.change(|world| {
            let id = spec.id.unwrap_or_else(|| world.next_peer_id());
            world.users.insert(id, person(spec, id));
            id
        })
    }

    /// The user that an account is.
    pub fn user_of(&self, account: usize) -> i64 {
        self.shared.look(|world| world.accounts[account].user_id)
    }

    /// How often a method has been called.
    pub fn count(&self, method: &str) -> usize {
        self.shared.look(|world| world.calls.count(method))
    }

    /// All calls so far, oldest first.
    pub fn calls(&self) -> Vec<CallMade> {
        self.shared.look(|world| world.calls.made().to_vec())
    }

    /// How many connections have ever been made.
    pub fn connections_made(&self) -> u64 {
        self.shared.look(|world| world.links_made)
    }

    /// How many connections there are of clients that have introduced themselves, and so are sent updates.
    pub fn ready_connections(&self) -> usize {
        self.shared
            .look(|world| world.links.values().filter(|link| link.is_ready).count())
    }

    /// How many packets were thrown away by [`DataCentre::mute`] and [`DataCentre::half_open`].
    pub fn packets_swallowed(&self) -> u64 {
        self.shared.look(|world| world.swallowed)
    }

    /// How many messages of the server the clients have acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.shared.look(|world| world.acknowledged)
    }

    /// Waits until something is so, which is looked at after every change of the world. Wrap it in a time-out.
    pub async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.changes();
        while !is_so(self) {
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }
}

impl Drop for DataCentre {
    fn drop(&mut self) {
        self.listeners.iter().for_each(AbortHandle::abort);
        self.shared.change(|world| world.links.clear());
    }
}

async fn listen(shared: Arc<Shared>, dc_id: i32, listener: TcpListener) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        if !shared.look(|world| world.faults.is_refusing) {
            connections.spawn(connection::serve(Arc::clone(&shared), dc_id, stream));
        }
        while connections.try_join_next().is_some() {}
    }
}

//! The account against servers that do nothing right: the real client over loopback.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::atomic::{AtomicU32, Ordering};

use grammers_session::storages::MemorySession;
use grammers_session::types::DcOption;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::*;
use super::{DEADLINE, Plain, inputs, until};
use crate::status::AccountReport;

/// A session for whatever listens there.
struct Here(SocketAddrV4);

impl Door for Here {
    type Session = MemorySession;

    async fn open(&self) -> Result<Arc<MemorySession>, Closed> {
        let session = MemorySession::default();
        let home = DcOption {
            id: 2,
            ipv4: self.0,
            ipv6: SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0),
            auth_key: Some([7; 256]),
        };
        let set = session.set_dc_option(&home).await;
        let home = session.set_home_dc_id(2).await;
        set.and(home)
            .map_err(|error| Closed::Stuck(error.to_string()))?;
        Ok(Arc::new(session))
    }
}

/// An account that runs beside the test.
pub(super) struct Running {
    status: Status,
    stop: CancellationToken,
    task: JoinHandle<()>,
    batches: mpsc::Receiver<SourceBatch>,
}

pub(super) fn start<D: Door + 'static>(door: D) -> Running {
    let (out, batches) = mpsc::channel(8);
    let (status, stop) = (Status::new(), CancellationToken::new());
    let inputs = inputs(Vec::new(), Box::new(Plain));
    let task = tokio::spawn(run(inputs, door, out, status.clone(), stop.clone()));
    Running {
        status,
        stop,
        task,
        batches,
    }
}

impl Running {
    /// Waits until the board shows it.
    pub(super) async fn until(&self, what: &str, is_so: impl Fn(&AccountReport) -> bool) {
        until(&self.status, what, is_so, || {}).await;
    }

    pub(super) fn accounts(&self) -> Vec<AccountReport> {
        self.status.accounts()
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, self.task).await;
        ended.expect("stops in time").expect("no panic");
    }
}

async fn listen() -> (TcpListener, SocketAddrV4) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    match listener.local_addr().expect("an address") {
        SocketAddr::V4(address) => (listener, address),
        SocketAddr::V6(_) => unreachable!("bound to IPv4"),
    }
}

/// Says to everybody that their key is not known, and counts them.
async fn refuse(listener: TcpListener, connections: Arc<AtomicU32>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        let mut some = [0; 4];
        // Once the client has spoken; whether it stays to listen is its own affair.
        let _ = stream.read_exact(&mut some).await;
        let _ = stream.write_all(&(-404_i32).to_le_bytes()).await;
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_costs_the_client_again_and_again() {
    let (listener, address) = listen().await;
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let account = start(Here(address));
    account.until("made anew", |it| it.rebuilds >= 2).await;
    account.until("seen", |it| it.state == "degraded").await;
    account.end().await;
    silent.abort();
}

#[tokio::test]
async fn without_a_server_the_account_says_so_and_goes_on_trying() {
    let (listener, address) = listen().await;
    drop(listener);
    let account = start(Here(address));
    account
        .until("degraded", |it| {
            let reason = it.reason.as_deref().unwrap_or_default();
            it.state == "degraded" && reason.starts_with("no connection")
        })
        .await;
    let listener = TcpListener::bind(address).await.expect("the port again");
    let came = tokio::time::timeout(DEADLINE, listener.accept()).await;
    came.expect("comes back").expect("a connection");
    account.end().await;
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_is_not_tried_again() {
    let (listener, address) = listen().await;
    let connections = Arc::new(AtomicU32::new(0));
    let refusing = tokio::spawn(refuse(listener, Arc::clone(&connections)));
    let mut account = start(Here(address));
    let told = async {
        loop {
            let batch = account.batches.recv().await.expect("a batch");
            if let Some(event) = batch.events.first() {
                return event.body.clone();
            }
        }
    };
    let told = tokio::time::timeout(DEADLINE, told).await.expect("in time");
    let state = "logged-out".to_owned();
    let detail = Some("account main".to_owned());
    assert_eq!(told, crate::event::Body::SourceState { state, detail });
    account
        .until("ended", |it| it.state == "logged-out" && it.needs_operator)
        .await;
    let before = connections.load(Ordering::Relaxed);

    // The same session once more: known to be dead, nobody is asked.
    let again = Here(address).open().await.expect("a session");
    let (out, _batches) = mpsc::channel(8);
    let mut outlet = Outlet::new(
        inputs(Vec::new(), Box::new(Plain)),
        out,
        account.status.clone(),
        account.stop.clone(),
    );
    let shared = Account {
        api_id: 1,
        pace: Pace {
            ping: Duration::from_millis(200),
            ping_limit: Duration::from_millis(100),
            check: Duration::from_millis(400),
        },
        budget: Arc::new(Mutex::new(Budget::new(60, Instant::now()))),
        files: None,
        status: account.status.clone(),
        stop: account.stop.clone(),
    };
    let revoked = AccountState::LoggedOut("revoked".to_owned());
    let key = key(&*again);
    let mut dead = Some(Dead {
        mark: None,
        key,
        state: revoked.clone(),
    });
    let state = shared
        .lives(&Here(address), again, &mut dead, &mut outlet)
        .await;
    assert_eq!(state, Some(revoked));
    assert_eq!(connections.load(Ordering::Relaxed), before, "no storm");
    account.end().await;
    refusing.abort();
}

#[tokio::test]
async fn without_a_session_the_account_says_what_to_do_and_touches_no_network() {
    struct Shut;
    impl Door for Shut {
        type Session = MemorySession;
        async fn open(&self) -> Result<Arc<MemorySession>, Closed> {
            Err(Closed::NeedsLogin)
        }
    }
    let account = start(Shut);
    account
        .until("waiting for a person", |it| {
            it.state == "needs-login" && it.needs_operator && it.requests.is_empty()
        })
        .await;
    account.end().await;
}

#[tokio::test]
async fn a_login_beside_the_daemon_is_noticed() {
    struct Later(Here, AtomicU32);
    impl Door for Later {
        type Session = MemorySession;
        async fn open(&self) -> Result<Arc<MemorySession>, Closed> {
            match self.1.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Closed::NeedsLogin),
                _ => self.0.open().await,
            }
        }
    }
    let (listener, address) = listen().await;
    let account = start(Later(Here(address), AtomicU32::new(0)));
    let came = tokio::time::timeout(DEADLINE, listener.accept()).await;
    came.expect("goes on by itself").expect("a connection");
    account.end().await;
}

/// The same session in another file, as after a login with a given key.
struct Marked {
    here: Here,
    file: AtomicU32,
    opened: AtomicU32,
}

impl Door for Arc<Marked> {
    type Session = MemorySession;

    async fn open(&self) -> Result<Arc<MemorySession>, Closed> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.here.open().await
    }

    fn mark(&self) -> Option<Mark> {
        Some(Mark {
            number: self.file.load(Ordering::Relaxed).into(),
            made: None,
        })
    }
}

#[tokio::test]
async fn another_login_with_the_same_key_is_taken_up_and_until_then_the_file_is_left_alone() {
    let (listener, address) = listen().await;
    let connections = Arc::new(AtomicU32::new(0));
    let refusing = tokio::spawn(refuse(listener, Arc::clone(&connections)));
    let door = Arc::new(Marked {
        here: Here(address),
        file: AtomicU32::new(1),
        opened: AtomicU32::new(0),
    });
    let account = start(Arc::clone(&door));
    account.until("ended", |it| it.state == "logged-out").await;
    let (opened, before) = (
        door.opened.load(Ordering::Relaxed),
        connections.load(Ordering::Relaxed),
    );
    assert_eq!(opened, 1);
    door.file.store(2, Ordering::Relaxed);
    account
        .until("tried again", |_| {
            connections.load(Ordering::Relaxed) > before
        })
        .await;
    account
        .until("ended again", |it| it.state == "logged-out")
        .await;
    assert_eq!(door.opened.load(Ordering::Relaxed), 2, "once for each file");
    account.end().await;
    refusing.abort();
}

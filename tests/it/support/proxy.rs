//! A TCP proxy before a server, whose line can be cut, held, slowed down, or cut or stuck at a word that the client says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Bytes that pass at once.
const PIECE: usize = 16 * 1024;

/// What becomes of a line at a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is cut, and both sides are told.
    Cut,
    /// Nothing passes any more, until the client is gone.
    Stuck,
}

/// When a line ends at a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The server never hears the word.
    Before,
    /// The server hears it and answers, and the client never hears the answer.
    After,
}

/// How the line is.
#[derive(Debug, Clone, Default)]
struct Rules {
    /// Nothing passes either way, and nobody is told.
    hold: bool,
    bytes_per_second_max: Option<u64>,
    delay: Duration,
    /// The next connection on which the client says this ends.
    end_at: Option<(Vec<u8>, Moment, End)>,
}

struct Shared {
    server: SocketAddr,
    rules: watch::Sender<Rules>,
    /// Connections of an earlier number are cut.
    cuts: watch::Sender<u64>,
    /// Lines that ended at a word.
    words: AtomicU64,
}

/// The proxy; everything ends when it is dropped.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    /// The address of the server, by way of the proxy.
    pub(crate) url: String,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Before the server of this address.
    pub(crate) fn before(url: &str) -> Proxy {
        let mut url = url::Url::parse(url).expect("an address");
        let port = url.port().expect("an address with a port");
        let shared = Arc::new(Shared {
            server: SocketAddr::from(([127, 0, 0, 1], port)),
            rules: watch::Sender::new(Rules::default()),
            cuts: watch::Sender::new(0),
            words: AtomicU64::new(0),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        // Not from within a runtime of the caller: that must not block.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        url.set_port(Some(port)).expect("an address with a port");
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Proxy {
            shared,
            url: url.to_string(),
            runtime: Some(runtime),
        }
    }

    /// Cuts all connections; new ones are made.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets nothing pass on connections old and new, as a line does whose cable was pulled; or lets it pass again.
    pub(crate) fn hold(&self, hold: bool) {
        self.shared.rules.send_modify(|rules| rules.hold = hold);
    }

    /// How much passes in a second, each way.
    pub(crate) fn throttle(&self, bytes_per_second_max: Option<u64>) {
        let rules = &self.shared.rules;
        rules.send_modify(|rules| rules.bytes_per_second_max = bytes_per_second_max);
    }

    /// How long everything takes, each way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.rules.send_modify(|rules| rules.delay = delay);
    }

    /// Cuts the next connection on which the client says this.
    pub(crate) fn cut_at(&self, word: &str, moment: Moment) {
        self.end_at(word, moment, End::Cut);
    }

    /// Has the next connection on which the client says this stuck, as if neither side had anything more to say.
    pub(crate) fn stick_at(&self, word: &str, moment: Moment) {
        self.end_at(word, moment, End::Stuck);
    }

    fn end_at(&self, word: &str, moment: Moment, end: End) {
        let rules = &self.shared.rules;
        rules.send_modify(|rules| rules.end_at = Some((word.as_bytes().to_vec(), moment, end)));
    }

    /// How many lines ended at a word.
    pub(crate) fn words(&self) -> u64 {
        self.shared.words.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a socket");
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(join(client, Arc::clone(&shared)));
    }
}

/// Joins a client with the server until either ends, or until the line is cut.
async fn join(client: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    // A server that is down is seen by the client as a line that ends at once.
    let Ok(server) = TcpStream::connect(shared.server).await else {
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("a socket");
    }
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let (said, word) = watch::channel(None);
    tokio::select! {
        () = ask(from_client, to_server, &shared, &said) => {}
        () = answer(from_server, to_client, &shared, word) => {}
        _ = cuts.changed() => {}
    }
}

/// Passes on what the client says.
async fn ask(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    said: &watch::Sender<Option<End>>,
) {
    let mut piece = vec![0; PIECE];
    loop {
        let Ok(count @ 1..) = from.read(&mut piece).await else {
            return;
        };
        let heard = &piece[..count];
        let mut found = None;
        shared.rules.send_if_modified(|rules| {
            let is_said = |(word, _, _): &mut (Vec<u8>, Moment, End)| {
                heard
                    .windows(word.len())
                    .any(|part| part == word.as_slice())
            };
            found = rules.end_at.take_if(is_said);
            false
        });
        match found {
            Some((_, Moment::Before, end)) => {
                shared.words.fetch_add(1, Ordering::SeqCst);
                if end == End::Stuck {
                    silence(from).await;
                }
                return;
            }
            Some((_, Moment::After, end)) => {
                said.send_replace(Some(end));
                shared.words.fetch_add(1, Ordering::SeqCst);
            }
            None => {}
        }
        if !pass(heard, &mut to, shared).await {
            return;
        }
    }
}

/// Passes on what the server answers, but not the answer to the word.
async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    word: watch::Receiver<Option<End>>,
) {
    let mut piece = vec![0; PIECE];
    loop {
        let Ok(count @ 1..) = from.read(&mut piece).await else {
            return;
        };
        let end = *word.borrow();
        match end {
            Some(End::Cut) => return,
            Some(End::Stuck) => return silence(from).await,
            None if !pass(&piece[..count], &mut to, shared).await => return,
            None => {}
        }
    }
}

/// Hears what is said, and passes nothing on.
async fn silence(mut from: OwnedReadHalf) {
    let mut piece = vec![0; PIECE];
    while let Ok(1..) = from.read(&mut piece).await {}
}

/// Passes a piece on as the rules want it; false when the other side is gone.
async fn pass(piece: &[u8], to: &mut OwnedWriteHalf, shared: &Shared) -> bool {
    let mut rules = shared.rules.subscribe();
    let (delay, limit) = {
        let rules = rules.borrow();
        (rules.delay, rules.bytes_per_second_max)
    };
    tokio::time::sleep(delay).await;
    if let Some(limit) = limit {
        let time = Duration::from_secs_f64(piece.len() as f64 / limit as f64);
        // A limit that is lifted counts at once.
        let lifted = rules.wait_for(|rules| rules.bytes_per_second_max.is_none());
        let _ = tokio::time::timeout(time, lifted).await;
    }
    if rules.wait_for(|rules| !rules.hold).await.is_err() {
        return false;
    }
    to.write_all(piece).await.is_ok()
}

//! The side that holds the log.

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wal::Seq;

use super::wire::{self, REQUEST_BYTES_MAX, Report, Request, Where};
use super::{GREET_LIMIT, RANGE_BYTES_MAX, RANGE_EVENTS_MAX, REQUEST_LIMIT, greet};
use crate::config::Token;
use crate::failure::{Class, Classify, chain};
use crate::journal::{JournalError, JournalReader};
use crate::status::{Stage, Status};

/// Connections at once.
const CONNECTIONS_MAX: usize = 8;
/// How long a connection may be silent: a projector asks every second.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);
/// The fault of a store of which nobody says how it is doing.
const NOBODY: &str = "no projector elsewhere is connected";
/// Wait after a connection could not be taken, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What is answered from.
#[derive(Clone)]
pub struct Edge {
    /// The log.
    pub reader: JournalReader,
    /// The board: what the broker has confirmed, and how far stores elsewhere have come.
    pub status: Status,
    /// The stores that are fed elsewhere.
    pub stores: Vec<Stage>,
    /// What both sides hold.
    pub token: Token,
}

/// Takes the address.
pub async fn bind(listen: SocketAddrV4) -> Result<TcpListener, JournalError> {
    let bound = TcpListener::bind(listen).await;
    bound.map_err(|source| JournalError::Listen {
        address: listen.to_string(),
        source,
    })
}

/// Answers projectors until told to stop. A store that is fed elsewhere has a fault on the board while nobody says how it
/// is doing.
pub async fn serve(listener: TcpListener, edge: Edge, stop: CancellationToken) {
    for store in &edge.stores {
        edge.status.waits(*store, NOBODY.to_owned(), false);
    }
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut visits = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = chain(&error), "a projector cannot be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while visits.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!(%from, "a projector is turned away: {CONNECTIONS_MAX} are connected");
            continue;
        };
        let edge = edge.clone();
        visits.spawn(async move {
            let mut fed = None;
            if let Err(error) = visit(stream, &edge, &mut fed).await {
                tracing::info!(%from, error = chain(&error), "a projector's line broke");
            }
            // One that has connected again meanwhile says so within a second.
            if let Some(store) = fed {
                edge.status.waits(store, NOBODY.to_owned(), false);
            }
            drop(permit);
        });
    }
    visits.shutdown().await;
}

/// One connection from its first byte to its last, and the store that it reported on.
async fn visit(mut stream: TcpStream, edge: &Edge, fed: &mut Option<Stage>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let greeted = greet::welcome(&mut stream, &edge.token, edge.reader.identity());
    if !limited(GREET_LIMIT, greeted).await? {
        tracing::warn!(from = %stream.peer_addr()?, "a projector with another token is refused");
        return Ok(());
    }
    loop {
        let request = super::receive(&mut stream, REQUEST_BYTES_MAX);
        let Some(request) = limited(SILENCE_LIMIT, request).await? else {
            return Ok(());
        };
        let answered = async {
            let answer = answer(edge, &request, fed).await;
            super::send(&mut stream, &answer).await
        };
        limited(REQUEST_LIMIT, answered).await?;
    }
}

async fn limited<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(limit, step).await {
        Ok(done) => done,
        Err(_) => Err(super::too_slow()),
    }
}

async fn answer(edge: &Edge, request: &[u8], fed: &mut Option<Stage>) -> Vec<u8> {
    let answered = match Request::decode(request) {
        Some(Request::Where { report }) => {
            if let Some(report) = report {
                let Some(store) = note(edge, &report) else {
                    let text = format!(
                        "this daemon feeds {0} itself: [{0}] has no feed = \"elsewhere\" here",
                        report.store
                    );
                    return wire::encode_error(Class::Operator, false, &text);
                };
                *fed = Some(store);
            }
            where_is(edge).await
        }
        Some(Request::Holes) => {
            let holes = edge.reader.holes().await;
            holes.map(|holes| wire::encode_holes(holes.iter()))
        }
        Some(Request::Range {
            from,
            until,
            events_max,
            bytes_max,
        }) => {
            let (events_max, bytes_max) = (events_max as usize, bytes_max as usize);
            if events_max > RANGE_EVENTS_MAX || bytes_max > RANGE_BYTES_MAX {
                let text = format!(
                    "at most {RANGE_EVENTS_MAX} events and {RANGE_BYTES_MAX} bytes are sent at once"
                );
                return wire::encode_error(Class::Bug, false, &text);
            }
            range(edge, from, until, events_max, bytes_max).await
        }
        None => return wire::encode_error(Class::Bug, false, "no request of this version"),
    };
    answered.unwrap_or_else(|error| {
        wire::encode_error(error.class(), error.is_trimmed(), &chain(&error))
    })
}

/// Puts what a projector elsewhere says on the board, as if it were here. Returns whose mark it is; none for a store that
/// is fed here.
fn note(edge: &Edge, report: &Report) -> Option<Stage> {
    let mut stores = edge.stores.iter();
    let store = *stores.find(|it| it.as_str() == report.store)?;
    edge.status.starts_at(store, report.seq);
    match &report.fault {
        Some((text, needs_person)) => edge.status.waits(store, text.clone(), *needs_person),
        None => edge.status.fault(store, None),
    }
    Some(store)
}

async fn range(
    edge: &Edge,
    from: Seq,
    until: u64,
    events_max: usize,
    bytes_max: usize,
) -> Result<Vec<u8>, JournalError> {
    let until = until.min(edge.reader.tail());
    if from.get() > until {
        return Ok(wire::encode_records(&[]));
    }
    let records = edge.reader.range(from, until, events_max, bytes_max).await;
    records.map(|records| wire::encode_records(&records))
}

async fn where_is(edge: &Edge) -> Result<Vec<u8>, JournalError> {
    let first = edge.reader.first().await?;
    Ok(wire::encode_where(Where {
        first: first.map_or(0, Seq::get),
        tail: edge.reader.tail(),
        confirmed: edge.status.seq_of(Stage::Confirmed),
    }))
}

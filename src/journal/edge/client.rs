//! The side that asks.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use wal::{Identity, Record, Seq};

use super::greet::{self, Found};
use super::wire::{self, ANSWER_BYTES_MAX, Report, Request, Said, Where};
use super::{EdgeError, GREET_LIMIT, RANGE_EVENTS_MAX, REQUEST_LIMIT};
use crate::config;
use crate::journal::{Holes, JournalError, Ranges};

/// Bytes of records asked for at once: little enough for a slow line to bring within the limit of a request.
const ASKED_BYTES_MAX: usize = 1024 * 1024;

/// A log on another machine. Cheap to clone; all clones share one line, which is made again when it broke.
#[derive(Clone)]
pub struct Remote(Arc<Inner>);

struct Inner {
    config: config::Edge,
    identity: Identity,
    tail: watch::Sender<u64>,
    /// One question at a time. None while there is no line in a known state.
    line: Mutex<Option<TcpStream>>,
}

impl Remote {
    /// Connects, and learns which log it is.
    pub async fn connect(config: config::Edge) -> Result<Remote, EdgeError> {
        let (stream, identity) = open(&config).await?;
        let remote = Remote(Arc::new(Inner {
            config,
            identity,
            tail: watch::Sender::new(0),
            line: Mutex::new(Some(stream)),
        }));
        remote.where_is(None).await?;
        Ok(remote)
    }

    /// Says how a store is doing, and looks up the durable tail. Returns the last number that the broker has confirmed.
    pub async fn report(&self, report: Report) -> Result<u64, EdgeError> {
        Ok(self.where_is(Some(report)).await?.confirmed)
    }

    async fn where_is(&self, report: Option<Report>) -> Result<Where, EdgeError> {
        let at = self
            .ask(&Request::Where { report }, wire::decode_where)
            .await?;
        // Two answers may be heard in another order than they were given.
        self.0.tail.send_if_modified(|tail| {
            let is_news = at.tail > *tail;
            *tail = at.tail.max(*tail);
            is_news
        });
        Ok(at)
    }

    /// Sends a request and takes the answer apart. A line is used again only after a whole answer.
    async fn ask<T>(
        &self,
        request: &Request,
        decode: impl FnOnce(&[u8]) -> Said<T>,
    ) -> Result<T, EdgeError> {
        let config = &self.0.config;
        let mut line = self.0.line.lock().await;
        let mut stream = match line.take() {
            Some(stream) => stream,
            None => {
                let (stream, identity) = open(config).await?;
                if identity != self.0.identity {
                    return Err(EdgeError::Changed {
                        address: config.address.to_string(),
                    });
                }
                stream
            }
        };
        let exchanged = async {
            super::send(&mut stream, &request.encode()).await?;
            let answer = super::receive(&mut stream, ANSWER_BYTES_MAX).await?;
            let answer = answer.ok_or(io::ErrorKind::UnexpectedEof)?;
            decode(&answer).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "no answer to the question")
            })
        };
        let exchanged = tokio::time::timeout(REQUEST_LIMIT, exchanged).await;
        let said = exchanged.unwrap_or_else(|_| Err(super::too_slow()));
        let said = said.map_err(|source| away(config, source))?;
        *line = Some(stream);
        said
    }
}

fn away(config: &config::Edge, source: io::Error) -> EdgeError {
    EdgeError::Away {
        address: config.address.to_string(),
        source,
    }
}

async fn open(config: &config::Edge) -> Result<(TcpStream, Identity), EdgeError> {
    let opened = async {
        let mut stream = TcpStream::connect(config.address).await?;
        stream.set_nodelay(true)?;
        let found = greet::greet(&mut stream, &config.token).await?;
        Ok((stream, found))
    };
    let opened = tokio::time::timeout(GREET_LIMIT, opened).await;
    let opened = opened.unwrap_or_else(|_| Err(super::too_slow()));
    let (stream, found) = opened.map_err(|source| away(config, source))?;
    let address = config.address.to_string();
    match found {
        Found::Edge(identity) => Ok((stream, identity)),
        Found::OtherToken => Err(EdgeError::Token { address }),
        Found::Stranger => Err(EdgeError::Stranger { address }),
    }
}

impl Ranges for Remote {
    fn identity(&self) -> Identity {
        self.0.identity
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.tail.subscribe()
    }

    async fn refresh(&self) -> Result<u64, JournalError> {
        Ok(self.where_is(None).await?.tail)
    }

    async fn first(&self) -> Result<Option<Seq>, JournalError> {
        Ok(Seq::new(self.where_is(None).await?.first))
    }

    async fn holes(&self) -> Result<Holes, JournalError> {
        let holes = self.ask(&Request::Holes, wire::decode_holes).await?;
        Ok(Holes::new(holes))
    }

    async fn range(
        &self,
        from: Seq,
        until: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, JournalError> {
        let narrow = |count: usize, max: usize| u32::try_from(count.min(max)).unwrap_or(u32::MAX);
        let request = Request::Range {
            from,
            until,
            events_max: narrow(records_max, RANGE_EVENTS_MAX),
            bytes_max: narrow(bytes_max, ASKED_BYTES_MAX),
        };
        let decode = |answer: &[u8]| wire::decode_records(answer, from, until);
        Ok(self.ask(&request, decode).await?)
    }
}

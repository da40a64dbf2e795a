//! One connection's life: read, publish, move the cursor.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wal::{Identity, Record, Seq};

use super::{Due, Lane, Options, Pace, Trouble, Window, lane, save};
use crate::backoff::Backoff;
use crate::broker::{BrokerError, Outcome, Publisher};
use crate::journal::{JournalError, JournalReader, JournalWriter};
use crate::status::Status;

/// The cursor is saved this often at most; a crash in between costs duplicates.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How often a blocked connection is looked at again.
const BLOCKED_POLL: Duration = Duration::from_millis(200);
/// What the board says then.
const BLOCKED: &str = "RabbitMQ lets nobody publish: it is short of memory or disk; should that not end: docs/rabbitmq.md";
/// A connection on which nothing is confirmed for so long is given up, unless the broker blocks us.
const CONFIRM_LIMIT: Duration = Duration::from_secs(60);
/// How long a stop waits for the confirms of what is in flight.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// Bytes read from the log at once for the events lane, whose messages are single records.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// A lane with its cursor; sessions come and go.
pub(super) struct Relay<'a> {
    journal: &'a JournalReader,
    writer: &'a JournalWriter,
    options: &'a Options,
    status: &'a Status,
    identity: Identity,
    tail: watch::Receiver<u64>,
    /// With the times of receipt of what each publication carries.
    window: Window<Vec<i64>>,
    pace: Pace,
    saved: u64,
    saved_at: Instant,
}

/// What only lives as long as the connection.
struct Session<'r, 'a> {
    relay: &'r mut Relay<'a>,
    publisher: Publisher,
    backoff: &'r mut Backoff,
    sent_at: Instant,
    confirmed_at: Instant,
    retry_at: Option<Instant>,
}

impl<'a> Relay<'a> {
    pub(super) fn new(
        journal: &'a JournalReader,
        writer: &'a JournalWriter,
        options: &'a Options,
        status: &'a Status,
        cursor: u64,
    ) -> Relay<'a> {
        Relay {
            journal,
            writer,
            options,
            status,
            identity: journal.identity(),
            tail: journal.subscribe(),
            window: Window::new(cursor, options.lane.window(options.window)),
            pace: Pace::new(
                options.lane.records_per_message(options.frame_events_max),
                options.events_per_second_max,
            ),
            saved: cursor,
            saved_at: Instant::now(),
        }
    }

    /// Connects and publishes until stopped (Ok) or until something fails.
    pub(super) async fn session(
        &mut self,
        stop: &CancellationToken,
        backoff: &mut Backoff,
    ) -> Result<(), Trouble> {
        self.window.forget();
        let name = format!("telegram-gateway {}", self.options.lane);
        let topology = self.options.lane.topology();
        let opened = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            opened = Publisher::open(&self.options.url, &name, &topology) => opened,
        };
        let (publisher, missing) = opened?;
        if !missing.is_empty() {
            tracing::warn!(lane = %self.options.lane, missing = missing.join(", "), "made what the broker did not have");
        }
        let now = Instant::now();
        let mut session = Session {
            relay: self,
            publisher,
            backoff,
            sent_at: now,
            confirmed_at: now,
            retry_at: None,
        };
        // Tells receivers at once if something that was confirmed never reached them.
        session.mark();
        let result = session.publish(stop).await;
        if result.is_ok() {
            session.settle().await;
        }
        let publisher = session.publisher;
        self.save().await;
        publisher.close().await;
        result
    }

    async fn save(&mut self) {
        let upto = self.window.prefix();
        if upto != self.saved {
            save(self.writer, self.options.lane.cursor(), upto).await;
            self.saved = upto;
        }
        self.saved_at = Instant::now();
    }
}

impl Session<'_, '_> {
    async fn publish(&mut self, stop: &CancellationToken) -> Result<(), Trouble> {
        loop {
            while let Some(outcome) = self.publisher.outcome_now() {
                self.take(outcome?)?;
            }
            let now = Instant::now();
            if self.relay.window.prefix() != self.relay.saved
                && now >= self.relay.saved_at + SAVE_INTERVAL
            {
                self.relay.save().await;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            if self.send(now).await? {
                continue;
            }
            self.wait(now, stop).await?;
        }
    }

    /// Publishes what is due; whether there was anything.
    async fn send(&mut self, now: Instant) -> Result<bool, Trouble> {
        if self.publisher.blocked() || self.relay.window.room() == 0 {
            return Ok(false);
        }
        if let Some(again) = self.relay.window.again() {
            if self.retry_at.is_some_and(|at| now < at) {
                return Ok(false);
            }
            let from = Seq::new(again.first).unwrap_or(Seq::FIRST);
            let records = self
                .relay
                .journal
                .range(from, again.last, usize::MAX, usize::MAX)
                .await?;
            self.retry_at = None;
            self.relay.window.sent_again(again.name);
            // It fitted one message when it was first published.
            self.put(again.name, &records, usize::MAX);
            return Ok(true);
        }
        let waiting = self
            .relay
            .tail
            .borrow()
            .saturating_sub(self.relay.window.last());
        if self.relay.pace.due(now, waiting) == Due::Now {
            let sent = self.send_new().await?;
            self.sent_at = Instant::now();
            self.relay.pace.sent(self.sent_at, sent as u64);
            return Ok(true);
        }
        if now >= self.sent_at + self.relay.options.marker_interval {
            self.mark();
            return Ok(true);
        }
        Ok(false)
    }

    /// Publishes what is new; returns how many events that were.
    async fn send_new(&mut self) -> Result<usize, Trouble> {
        let tail = *self.relay.tail.borrow();
        let mut sent = 0;
        let (from, options) = (self.relay.window.last() + 1, self.relay.options);
        match &options.lane {
            Lane::Log(_) => {
                let records = self
                    .read(from, options.frame_events_max, options.frame_bytes_max)
                    .await?;
                if records.is_empty() {
                    self.skip(tail);
                }
                let mut rest = &records[..];
                // What was read is one frame, or a few more when a record is larger than one.
                while !rest.is_empty() && self.relay.window.room() > 0 {
                    let count = self.put_new(rest);
                    sent += count;
                    rest = &rest[count.max(1)..];
                }
            }
            Lane::Events => {
                let room = self.relay.window.room().min(options.frame_events_max);
                let records = self.read(from, room, READ_BYTES_MAX).await?;
                if records.is_empty() {
                    self.skip(tail);
                }
                for record in &records {
                    sent += self.put_new(std::slice::from_ref(record));
                }
            }
        }
        Ok(sent)
    }

    /// Up to here the log has no record: a hole at its end.
    fn skip(&mut self, upto: u64) {
        let passed = self.relay.window.skip(upto, Vec::new());
        self.passed(passed);
    }

    async fn read(
        &mut self,
        from: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<Record>, Trouble> {
        let from = Seq::new(from).unwrap_or(Seq::FIRST);
        let records = self.relay.journal.read(from, count, bytes).await?;
        Ok(records)
    }

    fn put_new(&mut self, records: &[Record]) -> usize {
        let bytes_max = self.relay.options.frame_bytes_max;
        let (publication, count) = self.publication(records, bytes_max);
        let sent = &records[..count];
        let upto = sent
            .last()
            .map_or(self.relay.window.last(), |it| it.header().seq.get());
        let received = sent.iter().map(|it| it.header().received_at).collect();
        let name = self.relay.window.sent(upto, received);
        self.publisher.publish(name, publication);
        count
    }

    fn put(&mut self, name: u64, records: &[Record], bytes_max: usize) {
        let (publication, _) = self.publication(records, bytes_max);
        self.publisher.publish(name, publication);
    }

    fn publication(
        &self,
        records: &[Record],
        bytes_max: usize,
    ) -> (crate::broker::Publication, usize) {
        let identity = self.relay.identity;
        match (&self.relay.options.lane, records) {
            (Lane::Events, [record, ..]) => (lane::event(identity, record), 1),
            _ => {
                let (tail, confirmed) = (*self.relay.tail.borrow(), self.relay.window.prefix());
                lane::frame(identity, records, bytes_max, tail, confirmed)
            }
        }
    }

    fn mark(&mut self) {
        self.sent_at = Instant::now();
        if matches!(self.relay.options.lane, Lane::Log(_)) {
            let (tail, confirmed) = (*self.relay.tail.borrow(), self.relay.window.prefix());
            let name = self.relay.window.sent(self.relay.window.last(), Vec::new());
            let marker = lane::marker(self.relay.identity, tail, confirmed);
            self.publisher.publish(name, marker);
        }
    }

    fn take(&mut self, (name, outcome): (u64, Outcome)) -> Result<(), Trouble> {
        self.confirmed_at = Instant::now();
        let passed = match outcome {
            Outcome::Confirmed => {
                self.backoff.reset();
                self.relay.window.confirmed(name)
            }
            Outcome::Refused => {
                let passed = self.relay.window.refused(name);
                if self.retry_at.is_none() && self.relay.window.again().is_some() {
                    self.retry_at = Some(self.confirmed_at + self.backoff.wait(fastrand::f64()));
                }
                passed
            }
            Outcome::Returned(what) => {
                // The queues are gone. They are looked for when the next session begins.
                if let Some(first) = lane::first_of(&what) {
                    self.relay.window.lost(first);
                }
                return Err(BrokerError::Returned { what }.into());
            }
        };
        self.passed(passed);
        Ok(())
    }

    fn passed(&self, passed: Vec<Vec<i64>>) {
        if let Some(stage) = self.relay.options.stage {
            let received = passed.concat().into_iter();
            self.relay
                .status
                .passed(stage, self.relay.window.prefix(), received);
        }
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, now: Instant, stop: &CancellationToken) -> Result<(), Trouble> {
        let options = self.relay.options;
        let blocked = self.publisher.blocked();
        let waiting = self
            .relay
            .tail
            .borrow_and_update()
            .saturating_sub(self.relay.window.last());
        let mut until = now + options.marker_interval;
        let mut earlier = |at: Instant| until = until.min(at);
        if self.relay.window.room() > 0 && !blocked {
            earlier(self.sent_at + options.marker_interval);
            // What was refused leaves before anything newer.
            match self.retry_at {
                Some(at) => earlier(at),
                None => match self.relay.pace.due(now, waiting) {
                    Due::Now => return Ok(()),
                    Due::At(at) => earlier(at),
                    Due::Never => {}
                },
            }
        }
        if self.relay.window.prefix() != self.relay.saved {
            earlier(self.relay.saved_at + SAVE_INTERVAL);
        }
        if blocked {
            if let Some(stage) = options.stage {
                self.relay.status.waits(stage, BLOCKED.to_owned(), false);
            }
            earlier(now + BLOCKED_POLL);
            self.confirmed_at = now;
        } else if self.publisher.in_flight() > 0 {
            if now >= self.confirmed_at + CONFIRM_LIMIT {
                return Err(Trouble::Broker(BrokerError::TimedOut {
                    doing: "waiting for a confirm".to_owned(),
                    limit: CONFIRM_LIMIT,
                }));
            }
            earlier(self.confirmed_at + CONFIRM_LIMIT);
        } else {
            self.confirmed_at = now;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            outcome = self.publisher.outcome() => self.take(outcome?)?,
            changed = self.relay.tail.changed() => {
                changed.map_err(|_| Trouble::Journal(JournalError::Closed))?;
            }
            () = tokio::time::sleep_until(until.into()) => {}
        }
        Ok(())
    }

    /// Waits a while for the confirms of what is in flight, so that a restart repeats nothing.
    async fn settle(&mut self) {
        let deadline = tokio::time::sleep(STOP_LIMIT);
        tokio::pin!(deadline);
        while self.publisher.in_flight() > 0 {
            let outcome = tokio::select! {
                () = &mut deadline => return,
                outcome = self.publisher.outcome() => outcome,
            };
            let taken = outcome
                .map_err(Trouble::Broker)
                .and_then(|outcome| self.take(outcome));
            if taken.is_err() {
                return;
            }
        }
    }
}

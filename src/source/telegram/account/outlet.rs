//! What outlives a connection: the positions of what was handed over, what the log was told, and the way out.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::backfill::{Backfill, Job};
use super::super::clock::{Change, Clock};
use super::super::driver::{BoxName, Page, Position};
use super::heard::{self, Heard};
use super::names::Names;
use super::orders::Wish;
use super::standing::Told;
use super::unit::End;
use super::watch::Watch;
use super::{Inputs, Meaning};
use crate::event::{Body, Event, Origin, PeerId, PeerKind};
use crate::source::SourceBatch;
use crate::status::{AccountBoard, AccountState, Status};

/// The way out of an account.
pub(super) struct Outlet {
    account: String,
    meaning: Box<dyn Meaning>,
    positions: BTreeMap<BoxName, Position>,
    pub(super) backfill: Backfill,
    pub(super) watch: Watch,
    pub(super) orders: mpsc::Receiver<Wish>,
    pub(super) names: Names,
    heard: Heard,
    clock: Clock,
    out: mpsc::Sender<SourceBatch>,
    shown: Option<AccountState>,
    told: Told,
    status: Status,
    stop: CancellationToken,
}

impl Outlet {
    pub(super) fn new(
        inputs: Inputs,
        out: mpsc::Sender<SourceBatch>,
        status: Status,
        stop: CancellationToken,
    ) -> Outlet {
        let positions = inputs.positions.into_iter();
        let names = Names::new(inputs.watch.names.iter().cloned(), Instant::now());
        Outlet {
            account: inputs.name,
            meaning: inputs.meaning,
            positions: positions.map(|it| (it.name(), it)).collect(),
            backfill: Backfill::load(inputs.jobs),
            watch: inputs.watch,
            orders: inputs.orders,
            names,
            heard: Heard::default(),
            clock: Clock::default(),
            out,
            shown: None,
            told: Told::default(),
            status,
            stop,
        }
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// Where the next life begins: behind the last page that was handed over. Pages are appended in order, so none of
    /// them can be missing in the log while a later one is there.
    pub(super) fn positions(&self) -> Vec<Position> {
        self.positions.values().copied().collect()
    }

    /// The channels that have a position.
    pub(super) fn channels(&self) -> Vec<i64> {
        let names = self.positions.keys();
        names
            .filter_map(|name| match name {
                BoxName::Common => None,
                BoxName::Channel(id) => Some(*id),
            })
            .collect()
    }

    pub(super) fn position(&self, channel: i64) -> Option<Position> {
        self.positions.get(&BoxName::Channel(channel)).copied()
    }

    /// The channels that are compared with what Telegram has, in ascending order: those that are mirrored, and not known
    /// to be behind anyway.
    pub(super) fn watched(&self) -> Vec<i64> {
        let positions = self.positions.values();
        let channels = positions.filter_map(|position| match position {
            Position::Channel { id, behind, .. } => (!behind).then_some(*id),
            Position::Common(_) => None,
        });
        channels.filter(|id| self.follows(*id)).collect()
    }

    /// The user that the account is.
    pub(super) fn own(&mut self, user: i64) {
        self.meaning.own(user);
    }

    pub(super) fn follows(&self, channel: i64) -> bool {
        self.meaning.follows(channel)
    }

    /// The newest messages that the log has of a channel.
    pub(super) fn newest(&self, channel: i64, count: usize) -> Vec<i64> {
        self.meaning.newest(channel, count)
    }

    /// The hot channels that are known, and whether those are all.
    pub(super) fn hot(&self) -> (Vec<i64>, bool) {
        let wanted = &self.watch.hot;
        let known = wanted.iter().filter_map(|hot| match hot.parse::<PeerId>() {
            Ok(peer) => (peer.kind() == PeerKind::Channel).then(|| peer.bare()),
            Err(_) => self.meaning.named(hot.trim_start_matches('@')),
        });
        let known: Vec<i64> = known.filter(|id| self.follows(*id)).collect();
        let is_complete = known.len() == wanted.len();
        (known, is_complete)
    }

    /// The configured names that no channel is known by, as they are now, on the board.
    pub(super) fn show_names(&mut self) {
        let meaning = &*self.meaning;
        self.names.forget(|name| meaning.named(name).is_some());
        let unresolved = self.names.report();
        self.board(|board| board.unresolved = unresolved);
    }

    /// What is still to be fetched, on the board.
    pub(super) fn show_past(&self) {
        self.board(|board| {
            for channel in self.backfill.channels() {
                let stretches = self.backfill.waiting(channel);
                let found = stretches.first().map_or(0, |stretch| stretch.found);
                board.filled(channel, stretches, found, None);
            }
        });
    }

    /// The channel that is known by a public name.
    pub(super) fn named(&self, name: &str) -> Option<i64> {
        self.meaning.named(name)
    }

    pub(super) fn board(&self, change: impl FnOnce(&mut AccountBoard)) {
        self.status.account(&self.account, change);
    }

    /// By how many seconds Telegram's clock is ahead of this machine's: told when it matters.
    pub(super) fn clock(&mut self, skew: i64) {
        let Some(change) = self.clock.measured(skew) else {
            return;
        };
        let account = &*self.account;
        let off = match change {
            Change::Off(seconds) => Some(seconds),
            Change::Right => None,
        };
        self.board(|board| board.clock_skew_seconds = off);
        match off {
            Some(seconds) => tracing::warn!(
                account,
                seconds_behind_telegram = seconds,
                "the clock of this machine is wrong: set it, or Telegram will take no more messages of it"
            ),
            None => tracing::info!(account, "the clock of this machine is right again"),
        }
    }

    /// One page, one batch, with what is left of the job that it is a part of.
    pub(super) async fn hand_over(&mut self, page: Page, job: Option<Job>) -> ControlFlow<End> {
        let (updates, unknown) = (page.updates.len() as u64, page.undecodable.len() as u64);
        let positions = page.positions.clone();
        let (first, gaps) = (page.first.clone(), page.gaps.clone());
        let mut words = heard::words(&page);
        let mut batch = self.meaning.page(page);
        // Only now it is known who came along.
        let (meaning, depth) = (&*self.meaning, self.watch.first_sight);
        let found = self
            .backfill
            .found(&first, &gaps, depth, |id| meaning.follows(id));
        words.retain(|word| meaning.follows(word.channel));
        let news: Vec<_> = found.iter().map(|it| (it.channel, it.report())).collect();
        let jobs: Vec<Job> = found.into_iter().chain(job).collect();
        let bookmarks = jobs.iter().map(|job| job.bookmark(&self.account));
        batch.bookmarks.extend(bookmarks);
        let heard = &mut self.heard;
        self.status.account(&self.account, |board| {
            board.updates += updates;
            board.unknown += unknown;
            heard.note(&words, board);
            for (channel, stretches) in news {
                board.filled(channel, stretches, 0, None);
            }
        });
        self.send(batch).await?;
        jobs.into_iter().for_each(|job| self.backfill.apply(job));
        let positions = positions.into_iter().map(|it| (it.name(), it));
        self.positions.extend(positions);
        ControlFlow::Continue(())
    }

    /// Shows a state, and logs it if it says whether the mirror hears anything.
    pub(super) async fn show(&mut self, state: AccountState) -> ControlFlow<End> {
        if self.shown.as_ref() == Some(&state) {
            return ControlFlow::Continue(());
        }
        self.shown = Some(state.clone());
        self.board(|board| board.state = state.clone());
        let (name, reason) = (state.as_str(), state.reason());
        match state.needs_operator() {
            true => tracing::error!(account = self.account, state = name, reason, "account"),
            false => tracing::info!(account = self.account, state = name, reason, "account"),
        }
        let Some(state) = self.told.news(&state) else {
            return ControlFlow::Continue(());
        };
        let event = Event {
            peer: None,
            origin: Origin::Live,
            stamp: 0,
            body: Body::SourceState {
                state: state.to_owned(),
                detail: Some(format!("account {}", self.account)),
            },
            raw: None,
        };
        let batch = SourceBatch {
            events: vec![event],
            ..SourceBatch::default()
        };
        self.send(batch).await
    }

    async fn send(&mut self, batch: SourceBatch) -> ControlFlow<End> {
        for part in batch.parts() {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return ControlFlow::Break(End::Stopped),
                sent = self.out.send(part) => match sent {
                    Ok(()) => {}
                    // Nobody takes anything any more.
                    Err(_) => return ControlFlow::Break(End::Stopped),
                },
            }
        }
        ControlFlow::Continue(())
    }
}

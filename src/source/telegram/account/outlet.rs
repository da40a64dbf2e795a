//! What outlives a connection: the positions of what was handed over, what the log was told, and the way out.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::driver::{BoxName, Page, Position};
use super::Meaning;
use super::standing::Told;
use super::unit::End;
use crate::event::{Body, Event, Origin};
use crate::source::SourceBatch;
use crate::status::{AccountBoard, AccountState, Status};

/// The way out of an account.
pub(super) struct Outlet {
    account: String,
    meaning: Box<dyn Meaning>,
    positions: BTreeMap<BoxName, Position>,
    out: mpsc::Sender<SourceBatch>,
    shown: Option<AccountState>,
    told: Told,
    status: Status,
    stop: CancellationToken,
}

impl Outlet {
    pub(super) fn new(
        account: &str,
        meaning: Box<dyn Meaning>,
        positions: impl IntoIterator<Item = Position>,
        out: mpsc::Sender<SourceBatch>,
        status: &Status,
        stop: &CancellationToken,
    ) -> Outlet {
        let positions = positions.into_iter();
        Outlet {
            account: account.to_owned(),
            meaning,
            positions: positions.map(|it| (it.name(), it)).collect(),
            out,
            shown: None,
            told: Told::default(),
            status: status.clone(),
            stop: stop.clone(),
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

    pub(super) fn board(&self, change: impl FnOnce(&mut AccountBoard)) {
        self.status.account(&self.account, change);
    }

    /// One page, one batch.
    pub(super) async fn hand_over(&mut self, page: Page) -> ControlFlow<End> {
        let (updates, unknown) = (page.updates.len() as u64, page.undecodable.len() as u64);
        let positions = page.positions.clone();
        let batch = self.meaning.page(page);
        self.board(|board| {
            board.updates += updates;
            board.unknown += unknown;
        });
        self.send(batch).await?;
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
        if batch.events.is_empty() && batch.bookmarks.is_empty() {
            return ControlFlow::Continue(());
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => ControlFlow::Break(End::Stopped),
            sent = self.out.send(batch) => match sent {
                Ok(()) => ControlFlow::Continue(()),
                // Nobody takes anything any more.
                Err(_) => ControlFlow::Break(End::Stopped),
            },
        }
    }
}

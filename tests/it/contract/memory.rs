//! The models, as projections in memory: what the suite says of real stores it must say of them too.

use std::sync::{Arc, Mutex, MutexGuard};

use telegram_gateway::store::public::Fold;
use telegram_gateway::store::redis::Model;
use telegram_gateway::store::rows::Rows;
use telegram_gateway::store::{
    Batch, Checkpoint, Entry, Projection, ProjectionError, ProjectionName, Scope,
};

use super::{Place, Seen};
use crate::support::stores::{PublicRows, shown};

/// No store has this name; errors alone tell it.
const NAME: ProjectionName = ProjectionName::Sqlite;

/// A pure function of events that takes them batch by batch.
pub(crate) trait Taking: Clone + Send {
    type View: PartialEq + std::fmt::Debug;
    fn take(&mut self, entries: &[Entry]);
    fn view(&self) -> Self::View;
}

impl Taking for Fold {
    type View = PublicRows;

    fn take(&mut self, entries: &[Entry]) {
        self.merge(Rows::of(entries));
    }

    fn view(&self) -> PublicRows {
        shown(self)
    }
}

impl Taking for Model {
    type View = telegram_gateway::store::redis::Cache;

    fn take(&mut self, entries: &[Entry]) {
        self.merge(entries);
    }

    fn view(&self) -> Self::View {
        self.cache().clone()
    }
}

/// What is kept, in memory that outlives whoever opens it.
#[derive(Clone)]
pub(crate) struct Memory<T> {
    empty: T,
    kept: Arc<Mutex<(T, Option<Checkpoint>)>>,
}

impl Memory<Fold> {
    pub(super) fn rows() -> Memory<Fold> {
        Memory::of(Fold::default())
    }
}

impl Memory<Model> {
    pub(super) fn windows(window: usize) -> Memory<Model> {
        Memory::of(Model::new(window))
    }
}

impl<T: Taking> Memory<T> {
    fn of(empty: T) -> Memory<T> {
        Memory {
            kept: Arc::new(Mutex::new((empty.clone(), None))),
            empty,
        }
    }

    fn kept(&self) -> MutexGuard<'_, (T, Option<Checkpoint>)> {
        self.kept.lock().expect("nobody panicked with it")
    }
}

impl<T: Taking> Place for Memory<T> {
    type Store = Memory<T>;
    type View = T::View;

    fn open(&self) -> Memory<T> {
        self.clone()
    }

    async fn seen(&self, store: &mut Memory<T>) -> Seen<T::View> {
        let kept = store.kept();
        Seen {
            checkpoint: kept.1,
            view: kept.0.view(),
            scope: Scope::default(),
        }
    }

    fn expected(&self, entries: &[Entry], _scope: Scope) -> T::View {
        let mut all = self.empty.clone();
        all.take(entries);
        all.view()
    }
}

impl<T: Taking> Projection for Memory<T> {
    fn name(&self) -> ProjectionName {
        NAME
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, ProjectionError> {
        Ok(self.kept().1)
    }

    async fn apply(&mut self, batch: &Batch) -> Result<(), ProjectionError> {
        // A process may be gone before, and after.
        tokio::task::yield_now().await;
        self.apply_at_once(batch)?;
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn clear(&mut self) -> Result<(), ProjectionError> {
        *self.kept() = (self.empty.clone(), None);
        Ok(())
    }
}

impl<T: Taking> Memory<T> {
    fn apply_at_once(&self, batch: &Batch) -> Result<(), ProjectionError> {
        let mut kept = self.kept();
        let (kept, stored) = &mut *kept;
        if let Some(end) = batch.checkpoint {
            let (ours, theirs) = (end.identity, stored.map(|it| it.identity));
            if theirs.is_some_and(|it| it.log_id != ours.log_id || it.epoch > ours.epoch) {
                return Err(ProjectionError::OtherLog {
                    projection: NAME,
                    found: format!("{theirs:?}"),
                    ours: format!("{ours:?}"),
                });
            }
            let found = stored.map_or(0, |it| it.seq.get());
            if found < batch.after {
                return Err(ProjectionError::CheckpointMoved {
                    projection: NAME,
                    found,
                    after: batch.after,
                });
            }
            if stored.is_none_or(|it| (it.identity.epoch, it.seq) < (ours.epoch, end.seq)) {
                *stored = Some(end);
            }
        }
        kept.take(&batch.entries);
        Ok(())
    }
}

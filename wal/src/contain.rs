//! The engine panics on some damaged pages instead of answering with an error. A damaged file
//! must not take the process along that serves all the sound ones.

use std::any::Any;
use std::cell::Cell;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{Database, WriteTransaction};

use crate::error::{At, DiskError};

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Whether a panic of this thread at this moment would be caught by the log and become an error:
/// a panic hook need not show it, since the error says what happened.
pub fn is_contained() -> bool {
    DEPTH.with(Cell::get) > 0
}

fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let done = catch_unwind(AssertUnwindSafe(work));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    done
}

/// Runs `work` on `file`; a panic becomes [`DiskError::Panicked`]. Unwind safety: whatever was
/// half done is a snapshot that is dropped, or a writer that its caller poisons.
pub(crate) fn contained<T, E: From<At>>(
    file: &str,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    caught(work).unwrap_or_else(|panic| Err(At::new(file, panicked(&*panic)).into()))
}

fn tried<T>(work: impl FnOnce() -> Result<T, DiskError>) -> Result<T, DiskError> {
    caught(work).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> DiskError {
    let message = text(panic);
    DiskError::Panicked { message }
}

/// A database open for writing. The engine notes on closing which pages are free, and panics if
/// damage made it believe what cannot be; here that is an error, and nothing when it is dropped.
pub(crate) struct Held(Option<Database>);

impl Held {
    pub(crate) fn new(db: Database) -> Held {
        Held(Some(db))
    }

    /// Does `work` in one transaction and commits it. A panic over a damaged page is an error, and
    /// nothing is committed; the transaction ends apart from it, since that may panic again.
    pub(crate) fn write(
        &self,
        work: impl FnOnce(&mut WriteTransaction) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        let mut txn = tried(|| Ok(self.begin_write()?))?;
        let done = tried(|| work(&mut txn));
        if done.is_ok() {
            return tried(|| Ok(txn.commit()?));
        }
        drop(caught(|| drop(txn)));
        done
    }

    pub(crate) fn close(mut self) -> Result<(), DiskError> {
        let Some(db) = self.0.take() else {
            return Ok(());
        };
        tried(|| Ok(db.close()?))
    }
}

impl Deref for Held {
    type Target = Database;

    fn deref(&self) -> &Database {
        match &self.0 {
            Some(db) => db,
            None => unreachable!("only closing takes it, and takes all of this with it"),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let db = self.0.take();
        // The file stays unclean, and the next open repairs it or says what is wrong.
        drop(caught(|| drop(db)));
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => String::new(),
    }
}

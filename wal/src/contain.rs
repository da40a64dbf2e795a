//! The engine panics on some damaged pages instead of answering with an error. A damaged file
//! must not take the process along that serves all the sound ones.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{At, DiskError};

/// Runs `work` on `file`; a panic becomes [`DiskError::Panicked`]. Unwind safety: whatever was
/// half done is a snapshot that is dropped, or a writer that its caller poisons.
pub(crate) fn contained<T, E: From<At>>(
    file: &str,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = text(&*panic);
        Err(At::new(file, DiskError::Panicked { message }).into())
    })
}

fn text(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => String::new(),
    }
}

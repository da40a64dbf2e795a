//! The one writer: opening, appending, dedup keys, rolling to the next segment, work beside the
//! appends, fences, older layouts.

pub(crate) mod ahead;
pub(crate) mod append;
pub(crate) mod batch;
pub(crate) mod dedup;
pub(crate) mod fence;
pub(crate) mod keeper;
pub(crate) mod key_index;
pub(crate) mod log;
pub(crate) mod open;
pub(crate) mod roll;
pub(crate) mod seal;
pub(crate) mod upgrade;

//! Checking a log, and making good what is damaged: verification, carving, salvage, rewriting, compaction.

pub(crate) mod carve;
pub(crate) mod compact;
pub(crate) mod rewrite;
pub(crate) mod salvage;
pub(crate) mod verify;

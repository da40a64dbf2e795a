//! The files of a log's directory: segments, the catalog, the redo file, the lock, and the storage below them.

pub(crate) mod catalog;
pub(crate) mod chain;
pub(crate) mod guarded;
pub(crate) mod info;
pub(crate) mod live;
pub(crate) mod lock;
pub(crate) mod overlay;
pub(crate) mod paced;
pub(crate) mod plan;
pub(crate) mod prepared;
pub(crate) mod redo;
pub(crate) mod segment;
pub(crate) mod storage;
pub(crate) mod sum;
pub(crate) mod tables;

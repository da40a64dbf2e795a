//! What is kept and where: containers, the archive, retention, backup and restore.

pub(crate) mod archive;
pub(crate) mod backup;
pub(crate) mod container;
pub(crate) mod pace;
pub(crate) mod restore;
pub(crate) mod retain;
pub(crate) mod retention;

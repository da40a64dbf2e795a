//! Readers, in the writer's process and in others.

pub(crate) mod files;
pub(crate) mod part;
pub(crate) mod reader;

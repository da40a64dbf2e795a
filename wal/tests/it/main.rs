//! Tests of the log through its public surface, one binary, one module per promise.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod archive;
mod archive_check;
mod backup;
mod basic;
mod beside;
mod common;
mod compact;
mod damage;
mod degraded;
mod findings;
mod follow;
mod format;
mod holes;
mod model;
mod ruin;
mod salvage;
mod wreck;

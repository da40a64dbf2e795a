//! telegram-gateway: a crash-safe mirror of Telegram channels.
//!
//! What flows where, top to bottom; `ARCHITECTURE.md` says why.
//!
//! ```text
//! source > ingest > journal > relay > broker > projector > store
//!                      \--------------------------^
//! ```

pub mod broker;
pub mod ingest;
pub mod journal;
pub mod projector;
pub mod relay;
pub mod source;
pub mod store;

pub mod replay;
pub mod verify;

pub mod cli;
pub mod daemon;

pub mod backoff;
pub mod config;
pub mod event;
pub mod failure;
pub mod shutdown;
pub mod status;
pub mod telemetry;

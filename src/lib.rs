//! telegram-gateway: a crash-safe mirror of Telegram channels.

pub mod backoff;
pub mod broker;
pub mod config;
pub mod event;
pub mod failure;
pub mod ingest;
pub mod journal;
pub mod projector;
pub mod relay;
pub mod replay;
pub mod source;
pub mod status;
pub mod store;

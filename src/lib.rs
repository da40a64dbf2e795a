//! telegram-gateway: a crash-safe mirror of Telegram channels.

pub mod cli;
pub mod config;
pub mod event;
pub mod failure;
pub mod shutdown;
pub mod source;
pub mod store;
pub mod telemetry;

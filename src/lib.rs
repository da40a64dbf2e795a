//! telegram-gateway: a crash-safe mirror of Telegram channels.

pub mod config;
pub mod event;
pub mod failure;
pub mod source;
pub mod store;

//! telegram-gateway: a crash-safe mirror of Telegram channels.

pub mod event;
pub mod failure;
pub mod store;

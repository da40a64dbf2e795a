//! Downloads without a network.

mod downloads;
mod listing;
mod support;

//! Integration tests, one module for each promise.

mod golden;
mod import;

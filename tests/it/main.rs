//! Integration tests, one module for each promise.

mod import;

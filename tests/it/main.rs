//! The integration tests, one module for each promise.

mod store_sql;
mod support;

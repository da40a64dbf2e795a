//! The real client library against the data centre.

mod files;
mod login;
mod requests;
mod support;

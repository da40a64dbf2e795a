//! The real client library against the data centre.

mod differences;
mod faults;
mod files;
mod library;
mod login;
mod pushes;
mod requests;
mod support;

//! The stores' part of the board that says whether they are what the log says: what a slice of each showed.

use serde::{Deserialize, Serialize};

/// What the looks at slices of a store have shown since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DriftBoard {
    /// Slices that were compared.
    pub slices: u64,
    /// When the last one was, in seconds since the epoch.
    pub checked_at: i64,
    /// Its number, from 0.
    pub slice: u64,
    /// How many slices there are.
    pub of: u64,
    /// Rows of it that were compared.
    pub rows: u64,
    /// Rows that differ, in the slice where any were found; it is looked at again first until it is clean.
    pub differences: u64,
    /// The first of them, in words.
    pub shown: Vec<String>,
    /// Why the last look came to nothing.
    pub fault: Option<String>,
}

//! The live source: Telegram itself.
//!
//! | file | what |
//! |---|---|
//! | `driver` | decides what is asked, in which order updates count, and what is missing |

pub mod driver;

//! The live source: Telegram itself.
//!
//! | file | what |
//! |---|---|
//! | `link` | the client library as one piece, with time limits; the socket is always emptied |
//! | `watchdog` | is anyone there? |
//! | `budget` | which request may be sent when: waits that Telegram asked for, places, tokens |
//! | `driver` | decides what is asked, in which order updates count, and what is missing |
//! | `rpc_failure` | what a refused call means |

pub mod budget;
pub mod driver;
pub mod link;
pub mod rpc_failure;
pub mod watchdog;

//! The live source: Telegram itself.
//!
//! | file | what |
//! |---|---|
//! | `driver` | decides what is asked, in which order updates count, and what is missing |
//! | `account` | one account for ever: connects, hands pages over, begins again |
//! | `link` | the client library as one piece, with time limits; the socket is always emptied |
//! | `watchdog` | is anyone there? |
//! | `hearing` | does the server still push? |
//! | `budget` | which request may be sent when: waits that Telegram asked for, places, tokens |

pub mod account;
pub mod budget;
pub mod driver;
pub mod hearing;
pub mod link;
pub mod watchdog;

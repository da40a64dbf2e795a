//! Units and words that several keys of the table share.

use super::keys::Kind::{self, Choice};

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;
pub(super) const GIB: u64 = 1024 * MIB;
pub(super) const SECOND: u64 = 1000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

pub(super) const TLS: &[&str] = &["required", "off"];
pub(super) const ABOUT_TLS: &str = "`required`: TLS with a checked certificate for every host but loopback. `off`: plaintext, even \
     across a network.";

pub(super) const ABOUT_HISTORY: &str = "Views, forwards, reactions and polls over time: one row in `counter_samples` for each message and \
     interval of this length, with the last value of each that came in it. It begins where it is switched on or given \
     another length, and what there was goes; `rebuild` makes it for the whole log.";

pub(super) const FEED: Kind = Choice(&["here", "elsewhere"]);
pub(super) const ABOUT_FEED: &str = "`elsewhere`: the daemon feeds the queue and keeps what is needed of the log, and \
     `telegram-gateway project` on another machine feeds the store. Needs `[rabbitmq]` and `[serve]`.";
pub(super) const ABOUT_TOKEN: &str = "File of a secret that both machines hold, as 32 random bytes in base64. Mode 600 or 400; \
     relative to the folder of this file.";
pub(super) const ABOUT_LISTEN: &str = "IPv4 address and port, as `127.0.0.1:4007`.";
pub(super) const ABOUT_REMOTE: &str =
    "Listen on an address that is not loopback. The line is not encrypted: only inside a tunnel.";
pub(super) const ABOUT_EDGE: &str =
    "IPv4 address and port of the daemon that holds the log, or of this end of the tunnel.";

//! A Telegram data centre on loopback, for tests: the real client connects to it, and a test scripts what happens in its
//! world and what goes wrong.
//!
//! ```
//! # use datacentre::{ChannelSpec, DataCentre, Options};
//! # async fn example() -> std::io::Result<()> {
//! let dc = DataCentre::start(Options::default()).await?;
//! let channel = dc.add_channel(ChannelSpec::broadcast("Signals").username("signals"));
//! // A client that is given `dc.address()`, `dc.dc_id()` and `dc.auth_key()` sees this as an update.
//! let id = dc.post(channel, "BUY");
//! dc.edit(channel, id, "BUY NOW");
//! # Ok(())
//! # }
//! ```
//!
//! # What it imitates
//!
//! - The `full` transport and MTProto 2.0 sealing, containers, compression, acknowledgements, pings, salts,
//!   `new_session_created`, `bad_server_salt`, `bad_msg_notification`, and errors of the transport.
//! - Boxes of updates as Telegram counts them: one common box and one of qts per account, one box per channel that all
//!   accounts share. Differences of them: empty, sliced, final, too long.
//! - Pushes as `updates`, `updatesCombined`, `updateShort` and the short messages, with and without seq.
//! - Histories, dialogs, names, access hashes that differ between accounts, groups that become supergroups.
//! - Logins by phone, password (the whole SRP check), bot token and QR code; the end of a login.
//! - Files in parts, in several data centres, with references that expire.
//! - Every call is counted, with its time: see [`DataCentre::count`] and [`DataCentre::calls`].
//! - Faults: see [`Rule`], [`Reaction`], [`Delivery`] and the methods of [`DataCentre`].
//!
//! # What it does not imitate
//!
//! - The exchange of keys (RSA and Diffie-Hellman) beyond its first answer, which tells the time: the keys of Telegram are compiled into the client. A client has to be
//!   given a key of this data centre. A key that is not known is refused with -404, as Telegram does.
//! - Obfuscated and other transports, HTTP, proxies, CDNs, temporary keys, secret chats, calls.
//! - Limits that are Telegram's secret: waits come when a test asks for them.
//! - Resending. An answer that is lost with its connection is gone, and a repeated message id is answered again.
//! - Methods that write, as sending a message does: what happens is up to the test.
//! - Secrets: keys, hashes, tokens and codes are made from numbers, and are as easy to guess as that.
//!
//! # Where things are
//!
//! | file | what |
//! |---|---|
//! | `centre` | starting, asking, waiting |
//! | `script/` `entrance` `trouble` | what a test says: what happens, who may log in, what goes wrong |
//! | `world/` | all state, under one lock: boxes, peers, salts, the clock, who is connected |
//! | `content/` | messages, media, channels and users in few words |
//! | `connection` `incoming` `wire/` | TCP, MTProto, and what is done with a packet before it is a call |
//! | `faults` `options` | rules for calls, and how the data centre behaves when nothing is wrong |
//! | `rpc/` `srp` | the methods, a file for each area |

#![warn(missing_docs)]

mod centre;
mod connection;
mod content;
mod entrance;
mod faults;
mod incoming;
mod options;
mod rpc;
mod script;
mod shared;
mod srp;
mod trouble;
mod wire;
mod world;

pub use centre::DataCentre;
pub use content::{
    ChannelSpec, Document, Draft, Photo, PollSpec, Preview, UserSpec, channel_peer, group_peer,
    user_peer,
};
pub use faults::{Reaction, RpcError, Rule};
pub use options::{Limits, Options};
pub use world::{Attach, CallMade, Delivery, Order, Style};

//! What goes over TCP: the `full` transport, MTProto 2.0 sealing seen from the server, message ids and containers.

pub(crate) mod frame;
pub(crate) mod message;
pub(crate) mod seal;

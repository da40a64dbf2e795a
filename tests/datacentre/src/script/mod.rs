//! What happens in the world, as a test tells it. Peers and messages that are named have to exist.

mod channel;
mod private;

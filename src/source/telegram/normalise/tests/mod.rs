//! Updates made by hand, and updates that nobody made.

mod chats;
mod content;
mod happenings;
mod random;
mod rich;
mod support;

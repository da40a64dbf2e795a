//! The account from outside: the real client against servers that do nothing right (`servers`), and one connection's
//! life with answers by script (`script`, `life`).

mod life;
mod script;
mod servers;

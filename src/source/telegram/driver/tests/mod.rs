//! Tests of the driver: the ways in which others lose updates (`losses`, `gaps`), calls and their time (`calls`),
//! any input at all (`hostile`), and a model of the server (`model`, `world`).

mod calls;
mod gaps;
mod hostile;
mod losses;
mod model;
mod support;
mod world;

//! What tests share.
#![allow(dead_code)] // each module uses its part

pub(crate) mod blessed;
pub(crate) mod chance;
pub(crate) mod events;
pub(crate) mod gateway;
pub(crate) mod house;
pub(crate) mod payloads;
pub(crate) mod proxy;
pub(crate) mod rabbitmq;
pub(crate) mod receipts;
pub(crate) mod replica;
pub(crate) mod services;
pub(crate) mod shim;
pub(crate) mod stores;

//! One binary for all tests that look at the house from outside; modules are named by what they promise.

mod backup;
mod broker;
mod broker_load;
mod cli;
mod crash;
mod documents;
mod faults;
mod fence;
mod full_disk;
mod generations;
mod golden;
mod import;
mod message_schema;
mod pipeline;
mod shutdown;
mod store_redis;
mod store_sql;
mod support;
mod telegram;
mod tidy;
mod wal_care;
mod wal_commands;

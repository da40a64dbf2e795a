//! Every section.

use super::keys::{Section, section};

/// Every section in the order they are shown. Top-level keys come before them.
pub(super) const SECTIONS: &[Section] = &[
    section("wal", false, "The log."),
    section(
        "relay",
        false,
        "From the log to the broker and the projections.",
    ),
    section(
        "telegram",
        true,
        "The accounts that are mirrored. Where `api_id` and `api_hash` come from: `docs/first-login.md`.",
    ),
    section(
        "telegram.dc",
        true,
        "A given data centre in place of Telegram's own, for test servers: `login`, or the first `run`, makes a session \
         with this key, without key exchange. Its address never changes. Also written \
         `dc = { id = 1, address = \"127.0.0.1:4430\", auth_key_file = \"dc.key\" }` in `[telegram]`.",
    ),
    section(
        "telegram.media",
        false,
        "Downloads of files, which are off. They wait for the text, never the other way round: `docs/media.md`.",
    ),
    section("rabbitmq", true, "The broker."),
    section("timescale", true, "The TimescaleDB projection."),
    section("redis", true, "The Redis projection."),
    section(
        "sqlite",
        true,
        "The embedded projection: on when `[timescale]` is absent, or when its path is written.",
    ),
    section(
        "serve",
        true,
        "The log for projectors on other machines: `docs/elsewhere.md`.",
    ),
    section(
        "edge",
        true,
        "The machine that holds the log, for `telegram-gateway project` on another one: `docs/elsewhere.md`.",
    ),
];

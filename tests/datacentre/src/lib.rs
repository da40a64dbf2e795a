//! A Telegram data centre on loopback, for tests.

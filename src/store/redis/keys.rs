//! The keys: all that the cache projection writes, and nothing else under the prefix.
//!
//! | key | type | what |
//! |---|---|---|
//! | `<prefix>:{1}:msg:<peer>` | hash | the messages of a peer, two fields for each, see below |
//! | `<prefix>:{1}:recent:<peer>` | sorted set | the newest message ids of a peer; score and member are the id |
//! | `<prefix>:{1}:seen:<peer>` | sorted set | `<id>:<edit stamp>` of each content seen, score the id; as far back as `recent` |
//! | `<prefix>:{1}:channels` | set | the peers whose name is known |
//! | `<prefix>:{1}:channel:<peer>` | hash | `kind`, `title`, `username`, `updated_at`, each with its `_seq` |
//! | `<prefix>:{1}:quarantine` | sorted set | the newest records that could not be applied; JSON, score the seq |
//! | `<prefix>:{1}:checkpoint` | hash | `log_id`, `epoch`, `seq`, `updated_at`, `checked_at`; without TTL, as no other key |
//! | `<prefix>:{1}:filling:<seq>` | hash | the same of a filling from the newest events back, while there is one |
//! | `<prefix>:{1}:seat` | hash | `holder`: which projector feeds it, where that is done elsewhere; a few seconds |
//! | `<prefix>:{1}:next:...` | | all of this once more, while another cache is built to take its place |
//!
//! A message has these fields in its peer's hash, `HMGET ...:msg:<peer> 7 7:state` reads one. Each is there only once it
//! was told; the highest rank or seq wins, so any order of events gives the same:
//!
//! | field | what |
//! |---|---|
//! | `<id>` | JSON: `rank`, `first_seq`, `received_at`, then the content columns by their names in SQL |
//! | `<id>:state` | what came without content: a line for each part, its name, its seq and its value |
//!
//! `checked_at` of the checkpoint is a moment up to which all that was received is in: the receipt of its event, or, where
//! none came after that, when the log was last found to have nothing more; milliseconds since the Unix epoch. It is at most
//! `redis.check_interval` old while the projector is level with the log, so a reader can tell how old what it reads is.
//!
//! The content of the highest `rank` wins. `received_at` is when the message reached the gateway first, and belongs to
//! `first_seq`, the lowest. The parts of the state are `deleted_at` (the tombstone; stays when a post comes later),
//! `pinned`, `views`, `forwards`, `reactions` and `poll`; the last two are JSON on one line.
//!
//! A reader shows a part of the state instead of the content's if its seq is higher than `rank`, or if the content has
//! none. An id without content is not in the cache: ask the store. Of each peer only the newest ids are kept; a message
//! that falls out of the window takes its fields and its flags along. All messages of a peer are in one hash, so a few
//! commands write a batch of them, and a tombstone never expires or is evicted before its message. The hash tag keeps
//! all keys in one slot of a cluster, which a script needs.

use wal::Seq;

/// The names under one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    base: String,
}

impl Keys {
    /// Names under a prefix.
    pub fn new(prefix: &str) -> Keys {
        Keys {
            base: format!("{prefix}:{{1}}:"),
        }
    }

    /// What every key begins with.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> String {
        format!("{}checkpoint", self.base)
    }

    /// Which projector feeds it.
    pub fn seat(&self) -> String {
        format!("{}seat", self.base)
    }

    /// The names of the cache that is to take its place.
    pub fn next(&self) -> Keys {
        Keys {
            base: format!("{}next:", self.base),
        }
    }

    /// How far a filling has come that ends with this number.
    pub fn filling(&self, end: Seq) -> String {
        format!("{}filling:{end}", self.base)
    }

    /// The set of known channels.
    pub fn channels(&self) -> String {
        format!("{}channels", self.base)
    }

    /// A channel.
    pub fn channel(&self, peer: i64) -> String {
        format!("{}channel:{peer}", self.base)
    }

    /// The messages of a peer.
    pub fn messages(&self, peer: i64) -> String {
        format!("{}msg:{peer}", self.base)
    }

    /// The newest ids of a peer.
    pub fn recent(&self, peer: i64) -> String {
        format!("{}recent:{peer}", self.base)
    }

    /// The contents seen of a peer.
    pub fn seen(&self, peer: i64) -> String {
        format!("{}seen:{peer}", self.base)
    }

    /// The records that could not be applied.
    pub fn quarantine(&self) -> String {
        format!("{}quarantine", self.base)
    }

    /// A pattern for SCAN that all keys match, and no key of another prefix.
    pub fn pattern(&self, what: &str) -> String {
        let mut pattern = String::with_capacity(self.base.len() + 8);
        for char in self.base.chars() {
            if matches!(char, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                pattern.push('\\');
            }
            pattern.push(char);
        }
        pattern + what + "*"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_under_the_prefix_and_in_one_slot() {
        let keys = Keys::new("tgw");
        assert_eq!(keys.messages(-100), "tgw:{1}:msg:-100");
        for key in [
            keys.checkpoint(),
            keys.channels(),
            keys.channel(1),
            keys.recent(1),
            keys.seen(1),
            keys.quarantine(),
            keys.seat(),
            keys.filling(Seq::FIRST),
            keys.next().checkpoint(),
        ] {
            assert!(key.starts_with("tgw:{1}:"), "{key}");
        }
    }

    #[test]
    fn a_pattern_takes_the_prefix_literally() {
        assert_eq!(
            Keys::new("a*b?[c]").pattern("recent:"),
            "a\\*b\\?\\[c\\]:{1}:recent:*"
        );
    }
}

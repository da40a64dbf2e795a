//! The keys: all that the cache projection writes, and nothing else under the prefix.
//!
//! | key | type | what |
//! |---|---|---|
//! | `<prefix>:{1}:msg:<peer>:<id>` | hash | one message, see below |
//! | `<prefix>:{1}:recent:<peer>` | sorted set | the newest message ids of a peer; score and member are the id |
//! | `<prefix>:{1}:seen:<peer>` | sorted set | `<id>:<edit stamp>` of each content seen, score the id; as far back as `recent` |
//! | `<prefix>:{1}:channels` | set | the peers whose name is known |
//! | `<prefix>:{1}:channel:<peer>` | hash | `kind`, `title`, `username`, `updated_at`, each with its `_seq` |
//! | `<prefix>:{1}:quarantine` | sorted set | the newest records that could not be applied; JSON, score the seq |
//! | `<prefix>:{1}:checkpoint` | hash | `log_id`, `epoch`, `seq`, `updated_at`; the only key without TTL |
//!
//! A message's hash has these groups of fields. Each is there only once it was told; the one with the highest rank or
//! seq wins, so any order of events gives the same hash:
//!
//! | field | guarded by | what |
//! |---|---|---|
//! | `content` | `rank`, highest wins | JSON of the content columns, by their names in SQL |
//! | `received_at` | `first_seq`, lowest wins | when the message reached the gateway first |
//! | `deleted_at` | `deleted_seq` | the tombstone; stays when a post comes later |
//! | `pinned`, `views`, `forwards`, `reactions`, `poll` | `<field>_seq` | what came without content; reactions and poll are JSON |
//!
//! A reader shows a state field instead of the content's if its seq is higher than `rank`, or if the content has
//! none. A hash without `content` is not in the cache: ask the store. Of each peer only the newest ids are kept; a
//! message that falls out of the window takes its hash and its flags along. The hash tag keeps all keys in one slot
//! of a cluster, which a script needs.

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

    /// The set of known channels.
    pub fn channels(&self) -> String {
        format!("{}channels", self.base)
    }

    /// A channel.
    pub fn channel(&self, peer: i64) -> String {
        format!("{}channel:{peer}", self.base)
    }

    /// A message.
    pub fn message(&self, peer: i64, id: i64) -> String {
        format!("{}msg:{peer}:{id}", self.base)
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
        assert_eq!(keys.message(-100, 7), "tgw:{1}:msg:-100:7");
        for key in [
            keys.checkpoint(),
            keys.channels(),
            keys.channel(1),
            keys.recent(1),
            keys.seen(1),
            keys.quarantine(),
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

//! Follows quotes, backslashes and brackets to where a JSON value ends, across the edges of any window.

/// Deepest nesting that is followed. Below the 128 of serde_json, so that a value found here can always be parsed.
const DEPTH_MAX: u32 = 100;

#[derive(Clone, Copy)]
pub(super) enum Step {
    /// All bytes were used, the value goes on.
    More(usize),
    /// The value ends after this many bytes.
    Done(usize),
    /// The byte after this many cannot stand there.
    Bad(usize, &'static str),
}

/// Where in a value the scanner is; survives the edge of the window.
#[derive(Default)]
pub(super) struct Nesting {
    depth: u32,
    /// One bit per level: set for an object.
    objects: u128,
    string: bool,
    escaped: bool,
}

impl Nesting {
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Step {
        let mut at = 0;
        while at < bytes.len() {
            if self.escaped {
                self.escaped = false;
                at += 1;
                continue;
            }
            if self.string {
                at += string_stop(&bytes[at..]);
                match bytes.get(at) {
                    Some(b'"') => {
                        self.string = false;
                        at += 1;
                        if self.depth == 0 {
                            return Step::Done(at);
                        }
                    }
                    Some(_) => {
                        self.escaped = true;
                        at += 1;
                    }
                    None => {}
                }
                continue;
            }
            match bytes[at] {
                b'"' => self.string = true,
                open @ (b'{' | b'[') => {
                    if self.depth == DEPTH_MAX {
                        return Step::Bad(at, "nested deeper than 100 levels");
                    }
                    let bit = 1 << self.depth;
                    self.objects = (self.objects & !bit) | if open == b'{' { bit } else { 0 };
                    self.depth += 1;
                }
                b'}' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r' if self.depth == 0 => {
                    return Step::Done(at);
                }
                close @ (b'}' | b']') => {
                    self.depth -= 1;
                    if (self.objects >> self.depth) & 1 != u128::from(close == b'}') {
                        return Step::Bad(at, "brackets do not match");
                    }
                    if self.depth == 0 {
                        return Step::Done(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Step::More(at)
    }
}

/// Bytes before the first quote or backslash.
fn string_stop(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let found = has_byte(word, b'"') | has_byte(word, b'\\');
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    at + rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\'))
        .unwrap_or(rest.len())
}

/// The classic zero-byte test on `word ^ byte...byte`: the lowest set bit marks the first match (higher ones may lie).
fn has_byte(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = word ^ (LOW * u64::from(byte));
    zero.wrapping_sub(LOW) & !zero & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn string_stop_is_the_naive_search(bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), any::<u8>()], 0..60)) {
            let naive = bytes.iter().position(|b| matches!(b, b'"' | b'\\')).unwrap_or(bytes.len());
            prop_assert_eq!(string_stop(&bytes), naive);
        }
    }
}

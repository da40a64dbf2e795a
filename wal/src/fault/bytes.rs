//! The contents of a file, in pieces that disks share until one of them changes: the tests copy
//! machines by the hundred thousand, and change little in each.

use std::sync::Arc;

/// A page of the engine.
const PIECE: usize = 4096;

/// Bytes behind the length are zero.
#[derive(Default, Clone)]
pub(super) struct Bytes {
    len: usize,
    pieces: Vec<Arc<[u8; PIECE]>>,
}

impl Bytes {
    pub(super) fn of(bytes: &[u8]) -> Bytes {
        let mut made = Bytes::default();
        made.write(0, bytes);
        made
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// False, and nothing read, where it would go past the end.
    pub(super) fn read(&self, at: usize, out: &mut [u8]) -> bool {
        let end = at.checked_add(out.len());
        if end.is_none_or(|end| end > self.len) {
            return false;
        }
        for (piece, here, part) in parts(at, out.len()) {
            let from = here..here + part.len();
            out[part].copy_from_slice(&self.pieces[piece][from]);
        }
        true
    }

    /// Makes it longer where the data goes past the end.
    pub(super) fn write(&mut self, at: usize, data: &[u8]) {
        self.resize(self.len.max(at + data.len()));
        for (piece, here, part) in parts(at, data.len()) {
            let to = here..here + part.len();
            Arc::make_mut(&mut self.pieces[piece])[to].copy_from_slice(&data[part]);
        }
    }

    pub(super) fn resize(&mut self, len: usize) {
        let count = len.div_ceil(PIECE);
        if count > self.pieces.len() {
            self.pieces.resize(count, Arc::new([0; PIECE]));
        } else {
            self.pieces.truncate(count);
        }
        let end = len % PIECE;
        if len < self.len && end > 0 {
            Arc::make_mut(&mut self.pieces[count - 1])[end..].fill(0);
        }
        self.len = len;
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(0, &mut bytes);
        bytes
    }

    pub(super) fn crc32(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for (piece, here, part) in parts(0, self.len) {
            hasher.update(&self.pieces[piece][here..here + part.len()]);
        }
        hasher.finalize()
    }
}

/// A stretch of bytes by pieces: the number of each, where in it, and which part of the stretch.
fn parts(at: usize, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let (piece, here) = ((at + done) / PIECE, (at + done) % PIECE);
        let part = done..len.min(done + PIECE - here);
        done = part.end;
        (!part.is_empty()).then_some((piece, here, part))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_what_a_vector_would_be(
            steps in prop::collection::vec((any::<bool>(), 0..3 * PIECE, 0..2 * PIECE), 0..12)
        ) {
            let (mut bytes, mut vector) = (Bytes::default(), Vec::new());
            for (n, (writes, at, len)) in (1..).zip(steps) {
                let before = (bytes.clone(), vector.clone());
                if writes {
                    let data = vec![n; len];
                    bytes.write(at, &data);
                    vector.resize(vector.len().max(at + len), 0);
                    vector[at..at + len].copy_from_slice(&data);
                } else {
                    bytes.resize(at);
                    vector.resize(at, 0);
                }
                prop_assert_eq!(before.0.to_vec(), before.1);
                prop_assert_eq!(bytes.to_vec(), &vector[..]);
                prop_assert_eq!(bytes.crc32(), crc32fast::hash(&vector));
                let mut out = vec![0; len];
                prop_assert_eq!(bytes.read(at, &mut out), at + len <= vector.len());
                if at + len <= vector.len() {
                    prop_assert_eq!(&out[..], &vector[at..at + len]);
                }
            }
        }
    }
}

//! The file of the next segment, made before it is needed: blocks that were written once. A sync
//! of an append then finds no new block to note down, which takes longer than the data itself.
//!
//! It has the name of a temporary file and holds zeroes, so a leftover is worth nothing and is
//! removed by the next open. A segment that is made in it ignores the blocks that it does not
//! need yet ([`crate::guarded`]).

use std::io;

use crate::storage::{Access, Storage};

/// Its name in the log's directory.
pub(crate) const PREPARED: &str = "next.tmp";
/// What is written between two syncs: an append may have to wait for one of them.
const CHUNK: u64 = 1 << 20;
/// What is written at once. A larger write makes the system keep the blocks in larger pieces, and
/// every small write to a large piece takes it longer.
const WRITE: u64 = 64 << 10;

/// Writes the blocks from `from` up to `to`, durably.
pub(crate) fn extend(storage: &dyn Storage, from: u64, to: u64) -> io::Result<()> {
    let access = if from == 0 {
        Access::Create
    } else {
        Access::Write
    };
    let file = storage.open(PREPARED, access)?;
    let zeroes = vec![0; WRITE as usize];
    for chunk in (from..to).step_by(CHUNK as usize) {
        let end = to.min(chunk + CHUNK);
        for at in (chunk..end).step_by(WRITE as usize) {
            file.write(at, &zeroes[..WRITE.min(end - at) as usize])?;
        }
        file.sync_data()?;
    }
    file.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_zeroes_up_to_its_length() {
        let machine = crate::fault::Machine::new();
        extend(&machine, 0, CHUNK + 5).unwrap();
        extend(&machine, CHUNK + 5, CHUNK + 9).unwrap();
        assert_eq!(machine.file(PREPARED), Some(vec![0; CHUNK as usize + 9]));
    }
}

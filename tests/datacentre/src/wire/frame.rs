//! The `full` transport: length, sequence, payload, CRC-32, each four bytes little-endian.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Around a payload: length, sequence and checksum.
const OVERHEAD: usize = 12;

/// What a client may send in one frame; Telegram closes the connection at about a megabyte.
const FRAME_MAX: usize = 2 << 20;

/// Reads the frames of one connection.
#[derive(Default)]
pub(crate) struct FrameReader {
    sequence: u32,
}

impl FrameReader {
    /// The payload of the next frame. Not cancel-safe.
    pub(crate) async fn read(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Vec<u8>> {
        let length = from.read_u32_le().await?;
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        if !(OVERHEAD..=FRAME_MAX).contains(&whole) {
            return Err(damaged("a frame of an impossible length"));
        }
        let mut rest = vec![0; whole - 4];
        from.read_exact(&mut rest).await?;
        let payload_end = rest.len() - 4;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&length.to_le_bytes());
        crc.update(&rest[..payload_end]);
        if crc.finalize().to_le_bytes() != rest[payload_end..] {
            return Err(damaged("a frame with a wrong checksum"));
        }
        if self.sequence.to_le_bytes() != rest[..4] {
            return Err(damaged("a frame out of sequence"));
        }
        self.sequence += 1;
        rest.truncate(payload_end);
        rest.drain(..4);
        Ok(rest)
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Writes the frames of one connection.
#[derive(Default)]
pub(crate) struct FrameWriter {
    sequence: u32,
}

impl FrameWriter {
    pub(crate) fn frame(&mut self, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + OVERHEAD).unwrap_or(u32::MAX);
        let mut frame = Vec::with_capacity(payload.len() + OVERHEAD);
        frame.extend(length.to_le_bytes());
        frame.extend(self.sequence.to_le_bytes());
        frame.extend(payload);
        frame.extend(crc32fast::hash(&frame).to_le_bytes());
        self.sequence += 1;
        frame
    }
}

/// What the transport says instead of a frame: the error as a negative number, as in -404 for an unknown key.
pub(crate) fn transport_error(code: u16) -> Vec<u8> {
    (-i32::from(code)).to_le_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_framed_is_read() {
        let mut writer = FrameWriter::default();
        let bytes = [writer.frame(&[1; 8]), writer.frame(&[])].concat();
        let (mut from, mut reader) = (bytes.as_slice(), FrameReader::default());
        assert_eq!(reader.read(&mut from).await.expect("the first"), [1; 8]);
        assert!(reader.read(&mut from).await.expect("the second").is_empty());
    }

    #[tokio::test]
    async fn every_flipped_bit_is_found() {
        let sound = FrameWriter::default().frame(&[7; 4]);
        for at in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            let read = FrameReader::default().read(&mut bytes.as_slice()).await;
            assert!(read.is_err(), "bit {at}");
        }
    }
}

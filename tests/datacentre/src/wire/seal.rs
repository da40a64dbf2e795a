//! MTProto 2.0 from the server's side. The client library has the other side only, and the two differ in an offset.

use grammers_crypto::aes::{ige_decrypt, ige_encrypt};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The first eight bytes of a sealed packet: which key it was sealed with.
pub(crate) type KeyId = [u8; 8];

const FROM_CLIENT: usize = 0;
const FROM_SERVER: usize = 8;
const HEADER: usize = 8 + 16;
/// Salt, session, message id, sequence and length.
const ENVELOPE: usize = 32;

/// An authorisation key, shared by one client and the data centre.
#[derive(Clone)]
pub(crate) struct Key {
    data: [u8; 256],
    id: KeyId,
}

/// A packet of a client, opened.
pub(crate) struct Opened {
    pub(crate) salt: i64,
    pub(crate) session: i64,
    pub(crate) msg_id: i64,
    pub(crate) body: Vec<u8>,
}

/// The key that a packet claims to be sealed with; none when it is shorter than that.
pub(crate) fn key_id_of(packet: &[u8]) -> Option<KeyId> {
    packet.first_chunk().copied()
}

impl Key {
    pub(crate) fn new(data: [u8; 256]) -> Self {
        let digest = Sha1::digest(data);
        let mut id = [0; 8];
        id.copy_from_slice(&digest[12..20]);
        Self { data, id }
    }

    /// A key that no other call in this process returns for the same `number`.
    pub(crate) fn numbered(number: u64) -> Self {
        let mut data = [0; 256];
        for (part, chunk) in data.chunks_mut(32).enumerate() {
            let mut hash = Sha256::new();
            hash.update(number.to_le_bytes());
            hash.update([u8::try_from(part).unwrap_or(u8::MAX)]);
            chunk.copy_from_slice(&hash.finalize());
        }
        Self::new(data)
    }

    pub(crate) fn data(&self) -> [u8; 256] {
        self.data
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// Opens a packet of a client; none when it was not sealed with this key or is damaged.
    pub(crate) fn open(&self, packet: &[u8]) -> Option<Opened> {
        let (header, sealed) = packet.split_at_checked(HEADER)?;
        if header[..8] != self.id || sealed.len() % 16 != 0 || sealed.len() < ENVELOPE {
            return None;
        }
        let message_key: [u8; 16] = header[8..].try_into().ok()?;
        let mut plain = sealed.to_vec();
        let (key, iv) = self.derive(&message_key, FROM_CLIENT);
        ige_decrypt(&mut plain, &key, &iv);
        if self.message_key(&plain, FROM_CLIENT) != message_key {
            return None;
        }
        let long = |at: usize| Some(i64::from_le_bytes(*plain.get(at..)?.first_chunk()?));
        let length = u32::from_le_bytes(*plain.get(28..)?.first_chunk()?);
        let end = ENVELOPE.checked_add(usize::try_from(length).ok()?)?;
        Some(Opened {
            salt: long(0)?,
            session: long(8)?,
            msg_id: long(16)?,
            body: plain.get(ENVELOPE..end)?.to_vec(),
        })
    }

    /// Seals a message (id, sequence, length, body) for the client.
    pub(crate) fn seal(&self, salt: i64, session: i64, message: &[u8]) -> Vec<u8> {
        self.seal_as(FROM_SERVER, salt, session, message)
    }

    fn seal_as(&self, side: usize, salt: i64, session: i64, message: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(message.len() + 48);
        plain.extend(salt.to_le_bytes());
        plain.extend(session.to_le_bytes());
        plain.extend(message);
        // From 12 bytes on, to a whole number of blocks. Random in the wild; nothing here hangs on it.
        let padding = 16 + (16 - plain.len() % 16) % 16;
        plain.resize(plain.len() + padding, 0);
        let message_key = self.message_key(&plain, side);
        let (key, iv) = self.derive(&message_key, side);
        ige_encrypt(&mut plain, &key, &iv);
        let mut packet = Vec::with_capacity(plain.len() + HEADER);
        packet.extend(self.id);
        packet.extend(message_key);
        packet.extend(plain);
        packet
    }

    fn message_key(&self, plain: &[u8], side: usize) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(&self.data[88 + side..120 + side]);
        hash.update(plain);
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize()[8..24]);
        key
    }

    fn derive(&self, message_key: &[u8; 16], side: usize) -> ([u8; 32], [u8; 32]) {
        let a = Sha256::new()
            .chain_update(message_key)
            .chain_update(&self.data[side..side + 36])
            .finalize();
        let b = Sha256::new()
            .chain_update(&self.data[40 + side..76 + side])
            .chain_update(message_key)
            .finalize();
        let (mut key, mut iv) = ([0; 32], [0; 32]);
        key[..8].copy_from_slice(&a[..8]);
        key[8..24].copy_from_slice(&b[8..24]);
        key[24..].copy_from_slice(&a[24..]);
        iv[..8].copy_from_slice(&b[..8]);
        iv[8..24].copy_from_slice(&a[8..24]);
        iv[24..].copy_from_slice(&b[24..]);
        (key, iv)
    }
}

#[cfg(test)]
mod tests {
    use grammers_crypto::{AuthKey, DequeBuffer, decrypt_data_v2, encrypt_data_v2};

    use super::*;

    fn message() -> Vec<u8> {
        [
            7_i64.to_le_bytes().as_slice(),
            &1_i32.to_le_bytes(),
            &4_i32.to_le_bytes(),
            b"abcd",
        ]
        .concat()
    }

    #[test]
    fn the_client_opens_what_the_server_seals() {
        let key = Key::numbered(1);
        let mut packet = key.seal(3, 4, &message());
        let client = AuthKey::from_bytes(key.data());
        let plain = decrypt_data_v2(&mut packet, &client).expect("the client's side");
        assert_eq!(plain[16..36], message());
    }

    #[test]
    fn the_server_opens_what_the_client_seals() {
        let key = Key::numbered(2);
        let mut buffer = DequeBuffer::with_capacity(64, 64);
        buffer.extend([3_i64.to_le_bytes(), 4_i64.to_le_bytes()].concat());
        buffer.extend(message());
        encrypt_data_v2(&mut buffer, &AuthKey::from_bytes(key.data()));
        let opened = key.open(buffer.as_ref()).expect("the server's side");
        assert_eq!((opened.salt, opened.session, opened.msg_id), (3, 4, 7));
        assert_eq!(opened.body, b"abcd");
        let damaged: Vec<u8> = buffer.as_ref().iter().map(|byte| byte ^ 1).collect();
        assert!(key.open(&damaged).is_none());
    }
}

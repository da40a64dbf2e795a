//! What is secret in a session file is sealed: XChaCha20-Poly1305 under the operator's key, bound to its place.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::error::SessionError;
use crate::config::SessionKey;

/// Random bytes of each file. They salt a passphrase, and bind what is sealed to this file.
pub(super) type Salt = [u8; 16];

const NONCE_BYTES: usize = 24;
/// What a passphrase costs whoever guesses: part of the file format, never changed without another version.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// Seals and opens. Prints nothing of its key.
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
    salt: Salt,
}

/// Random bytes for a new file.
pub(super) fn salt() -> Result<Salt, SessionError> {
    Salt::try_generate().map_err(|error| SessionError::Crypto(error.to_string()))
}

impl Seal {
    /// Under the operator's key. Slow when that is a passphrase.
    pub(super) fn new(key: &SessionKey, salt: Salt) -> Result<Seal, SessionError> {
        let crypto = |error: argon2::Error| SessionError::Crypto(error.to_string());
        let mut bytes = Zeroizing::new([0; 32]);
        match key {
            SessionKey::Raw(raw) => bytes.copy_from_slice(&raw[..]),
            SessionKey::Passphrase(text) => {
                let params = Params::new(MEMORY_KIB, PASSES, 1, Some(bytes.len()));
                let argon =
                    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(crypto)?);
                let text = text.expose().as_bytes();
                let made = argon.hash_password_into(text, &salt, &mut bytes[..]);
                made.map_err(crypto)?;
            }
        }
        Ok(Seal {
            cipher: XChaCha20Poly1305::new((&*bytes).into()),
            salt,
        })
    }

    /// Seals what stands in that place of that version of the file.
    pub(super) fn close(
        &self,
        version: u8,
        place: &str,
        plain: &[u8],
    ) -> Result<Vec<u8>, SessionError> {
        let nonce =
            XNonce::try_generate().map_err(|error| SessionError::Crypto(error.to_string()))?;
        let aad = self.bound_to(version, place);
        let payload = Payload {
            msg: plain,
            aad: &aad,
        };
        let sealed = self.cipher.encrypt(&nonce, payload);
        let sealed = sealed.map_err(|error| SessionError::Crypto(error.to_string()))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for that place; none for anything else.
    pub(super) fn open(
        &self,
        version: u8,
        place: &str,
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let aad = self.bound_to(version, place);
        let payload = Payload {
            msg: sealed,
            aad: &aad,
        };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        Some(Zeroizing::new(plain))
    }

    fn bound_to(&self, version: u8, place: &str) -> Vec<u8> {
        [&[version], &self.salt[..], place.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Secret;

    fn raw(byte: u8) -> SessionKey {
        SessionKey::Raw(Zeroizing::new([byte; 32]))
    }

    fn passphrase(text: &str) -> SessionKey {
        SessionKey::Passphrase(Secret::new(text.to_owned()))
    }

    #[test]
    fn only_the_same_key_place_file_and_version_open_it() {
        let seal = Seal::new(&raw(1), [7; 16]).expect("a seal");
        let sealed = seal.close(1, "dc 2", b"secret").expect("sealed");
        let opened = |key: u8, salt: u8, version: u8, place: &str| {
            let seal = Seal::new(&raw(key), [salt; 16]).expect("a seal");
            seal.open(version, place, &sealed)
                .map(|plain| plain.to_vec())
        };
        assert_eq!(opened(1, 7, 1, "dc 2"), Some(b"secret".to_vec()));
        assert_eq!(opened(2, 7, 1, "dc 2"), None);
        assert_eq!(opened(1, 8, 1, "dc 2"), None);
        assert_eq!(opened(1, 7, 2, "dc 2"), None);
        assert_eq!(opened(1, 7, 1, "dc 4"), None);
        let again = seal.close(1, "dc 2", b"secret").expect("sealed");
        assert_ne!(sealed, again, "a nonce of its own");
    }

    #[test]
    fn a_passphrase_makes_the_same_key_in_the_same_file_alone() {
        let seal = |text: &str, salt: u8| Seal::new(&passphrase(text), [salt; 16]).expect("a seal");
        let sealed = seal("correct horse", 1)
            .close(1, "dc 2", b"secret")
            .expect("sealed");
        assert!(seal("correct horse", 1).open(1, "dc 2", &sealed).is_some());
        assert!(seal("correct horse", 2).open(1, "dc 2", &sealed).is_none());
        assert!(seal("battery staple", 1).open(1, "dc 2", &sealed).is_none());
    }

    proptest! {
        #[test]
        fn a_change_anywhere_is_seen(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
            cut in any::<prop::sample::Index>(),
        ) {
            let seal = Seal::new(&raw(1), [7; 16]).expect("a seal");
            let sealed = seal.close(1, "dc 2", &plain).expect("sealed");
            let opened = seal.open(1, "dc 2", &sealed).expect("opens");
            prop_assert_eq!(&opened[..], &plain[..]);
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(seal.open(1, "dc 2", &changed).is_none());
            prop_assert!(seal.open(1, "dc 2", &sealed[..cut.index(sealed.len())]).is_none());
        }
    }
}

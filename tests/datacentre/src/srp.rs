//! The server's side of the password check (SRP): it knows a verifier, and the password itself never travels.
//!
//! Secrets here are made from numbers, so that a test runs the same way twice.

use num_bigint::BigUint;
use sha2::{Digest, Sha256, Sha512};

const ROUNDS: u32 = 100_000;
pub(crate) const G: u8 = 3;
/// The safe prime that Telegram uses itself; clients check that it is one.
const P: &[u8] = b"c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f\
48198a0aa7c14058229493d22530f4dbfa336f6e0ac925139543aed44cce7c37\
20fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64\
2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4\
a4a695811051907e162753b56b0f6b410dba74d8a84b2a14b3144e0ef1284754\
fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4\
e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f\
0d8115f635b105ee2e4e15d04b2454bf6f4fadf034b10403119cd8e3b92fcc5b";

fn prime() -> BigUint {
    BigUint::parse_bytes(P, 16).expect("hexadecimal digits")
}

/// The prime as it is sent.
pub(crate) fn prime_bytes() -> [u8; 256] {
    padded(&prime())
}

/// What the server keeps of a password.
pub(crate) struct Verifier {
    pub(crate) salt1: Vec<u8>,
    pub(crate) salt2: Vec<u8>,
    v: BigUint,
}

/// One question for a password.
pub(crate) struct Challenge {
    secret: BigUint,
    pub(crate) g_b: [u8; 256],
}

impl Verifier {
    pub(crate) fn new(password: &str) -> Self {
        let (salt1, salt2) = (b"first salt".to_vec(), b"second salt".to_vec());
        let x = BigUint::from_bytes_be(&password_hash(password.as_bytes(), &salt1, &salt2));
        let v = BigUint::from(G).modpow(&x, &prime());
        Self { salt1, salt2, v }
    }

    /// A question that differs for every number.
    pub(crate) fn challenge(&self, number: i64) -> Challenge {
        let p = prime();
        let secret = stretched(number);
        let k = hash(&[&prime_bytes(), &padded(&BigUint::from(G))]);
        let k_v = BigUint::from_bytes_be(&k) * &self.v % &p;
        let g_b = (k_v + BigUint::from(G).modpow(&secret, &p)) % &p;
        Challenge {
            secret,
            g_b: padded(&g_b),
        }
    }

    /// Whether an answer shows that the client knows the password; none when its number `a` is not one that a client
    /// may choose.
    pub(crate) fn accepts(&self, challenge: &Challenge, a: &[u8], m1: &[u8]) -> Option<bool> {
        let p = prime();
        let g_a = BigUint::from_bytes_be(a);
        if g_a <= BigUint::from(1_u8) || g_a >= &p - 1_u8 {
            return None;
        }
        let a = padded(&g_a);
        let u = BigUint::from_bytes_be(&hash(&[&a, &challenge.g_b]));
        let base = g_a * self.v.modpow(&u, &p) % &p;
        let shared = hash(&[&padded(&base.modpow(&challenge.secret, &p))]);
        let (h_p, h_g) = (hash(&[&prime_bytes()]), hash(&[&padded(&BigUint::from(G))]));
        let both: Vec<u8> = h_p.iter().zip(h_g).map(|(p, g)| p ^ g).collect();
        let salts = [hash(&[&self.salt1]), hash(&[&self.salt2])];
        let expected = hash(&[&both, &salts[0], &salts[1], &a, &challenge.g_b, &shared]);
        Some(expected == m1)
    }
}

/// Numbers that look as random as those of Telegram: 256 bytes, below the prime.
fn stretched(number: i64) -> BigUint {
    let parts = (1_u8..=8).map(|part| hash(&[&number.to_le_bytes(), &[part]]));
    BigUint::from_bytes_be(&parts.flatten().collect::<Vec<_>>()) % prime()
}

/// What a client is offered to make its own secret from.
pub(crate) fn secure_random(number: i64) -> Vec<u8> {
    padded(&stretched(!number)).to_vec()
}

fn password_hash(password: &[u8], salt1: &[u8], salt2: &[u8]) -> [u8; 32] {
    let inner = hash(&[salt1, password, salt1]);
    let inner = hash(&[salt2, &inner, salt2]);
    let mut stretched = [0; 64];
    pbkdf2::pbkdf2_hmac::<Sha512>(&inner, salt1, ROUNDS, &mut stretched);
    hash(&[salt2, &stretched, salt2])
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn padded(number: &BigUint) -> [u8; 256] {
    let bytes = number.to_bytes_be();
    let mut padded = [0; 256];
    padded[256 - bytes.len()..].copy_from_slice(&bytes);
    padded
}

#[cfg(test)]
mod tests {
    use grammers_crypto::two_factor_auth::calculate_2fa;

    use super::*;

    #[test]
    fn only_the_right_password_is_accepted() {
        let verifier = Verifier::new("open sesame");
        let challenge = verifier.challenge(4);
        let answer = |password: &str| {
            calculate_2fa(
                &verifier.salt1,
                &verifier.salt2,
                &prime_bytes(),
                &i32::from(G),
                challenge.g_b.to_vec(),
                secure_random(4),
                password,
            )
        };
        let (m1, a) = answer("open sesame");
        assert_eq!(verifier.accepts(&challenge, &a, &m1), Some(true));
        let other = verifier.challenge(5);
        assert_eq!(verifier.accepts(&other, &a, &m1), Some(false));
        let (m1, a) = answer("open barley");
        assert_eq!(verifier.accepts(&challenge, &a, &m1), Some(false));
        // A client that offers nought would otherwise know what both share.
        assert_eq!(verifier.accepts(&challenge, &[0; 256], &m1), None);
        assert_eq!(verifier.accepts(&challenge, &prime_bytes(), &m1), None);
    }
}

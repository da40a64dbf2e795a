//! Who may log in how, and who is about to.

use std::collections::{BTreeMap, HashMap};

use crate::srp::{Challenge, Verifier};
use crate::wire::seal::KeyId;

/// A phone number, and the code that is sent to it.
pub(crate) struct Phone {
    /// None when nobody has signed up with it.
    pub(crate) account: Option<usize>,
    pub(crate) code: String,
}

/// A password that an account asks for beside the code.
pub(crate) struct Password {
    pub(crate) verifier: Verifier,
    pub(crate) hint: String,
}

/// A token that a client shows as a QR code, and who has scanned it.
pub(crate) struct QrToken {
    pub(crate) key: KeyId,
    /// A date.
    pub(crate) expires: i32,
    pub(crate) scanned_by: Option<usize>,
    /// The data centre that the client is sent to.
    pub(crate) moved_to: Option<i32>,
}

/// A question for a password that was not answered yet.
pub(crate) struct Asked {
    pub(crate) key: KeyId,
    pub(crate) account: usize,
    pub(crate) challenge: Challenge,
}

#[derive(Default)]
pub(crate) struct Logins {
    pub(crate) phones: BTreeMap<String, Phone>,
    pub(crate) bots: BTreeMap<String, usize>,
    pub(crate) passwords: BTreeMap<usize, Password>,
    /// Which number the hash of a sent code is for.
    pub(crate) sent: BTreeMap<String, String>,
    /// Keys that have shown a code, and owe the password of an account.
    pub(crate) half_way: HashMap<KeyId, usize>,
    pub(crate) asked: BTreeMap<i64, Asked>,
    pub(crate) tokens: BTreeMap<Vec<u8>, QrToken>,
    /// Logins on their way to another data centre: by number, the bytes that prove it, and the account.
    pub(crate) exported: BTreeMap<i64, (Vec<u8>, usize)>,
    numbers: i64,
}

impl Logins {
    /// A number that was not given before.
    pub(crate) fn number(&mut self) -> i64 {
        self.numbers += 1;
        self.numbers
    }
}

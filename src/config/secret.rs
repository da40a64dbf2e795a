//! Values that never show themselves.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text: shown as stars, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// The text itself; for handing to a client library and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What seals the session files: shown as stars, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub enum SessionKey {
    /// The key itself.
    Raw(Zeroizing<[u8; 32]>),
    /// What the key is made of.
    Passphrase(Secret),
}

/// Bytes of a passphrase, fewest and most.
const PASSPHRASE_BYTES: std::ops::RangeInclusive<usize> = 8..=1024;

impl SessionKey {
    /// 32 bytes that nobody types are the key itself; text is a passphrase. None for anything else. `text` is the same
    /// without the newline that a file ends with.
    pub(super) fn of(bytes: &[u8], text: Option<&str>) -> Option<SessionKey> {
        let is_typed = bytes
            .iter()
            .all(|b| b.is_ascii_graphic() || *b == b' ' || b.is_ascii_whitespace());
        if let Ok(raw) = <[u8; 32]>::try_from(bytes)
            && !is_typed
        {
            return Some(SessionKey::Raw(Zeroizing::new(raw)));
        }
        let text = text.filter(|text| PASSPHRASE_BYTES.contains(&text.len()))?;
        Some(SessionKey::Passphrase(Secret::new(text.to_owned())))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The authorization key of a data centre: shown as stars, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthKey(Zeroizing<[u8; 256]>);

impl AuthKey {
    /// Wraps the bytes of a key.
    pub fn new(bytes: [u8; 256]) -> AuthKey {
        AuthKey(Zeroizing::new(bytes))
    }

    /// The key itself; for the session and nothing else.
    pub fn expose(&self) -> &[u8; 256] {
        &self.0
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What two machines of one gateway know each other by: shown as stars, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<Vec<u8>>);

/// Bytes of a token, fewest and most.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 32..=1024;

impl Token {
    /// Wraps the bytes of a token.
    pub fn new(bytes: Vec<u8>) -> Token {
        Token(Zeroizing::new(bytes))
    }

    /// The content of a file without the white space at its end; none where that is no token.
    pub(super) fn of(bytes: &[u8]) -> Option<Token> {
        let bytes = bytes.trim_ascii_end();
        TOKEN_BYTES
            .contains(&bytes.len())
            .then(|| Token::new(bytes.to_vec()))
    }

    /// The token itself; for the handshake and nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A server's address, with the password in it. Shown without the password, whatever way it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendUrl {
    secret: Secret,
    shown: String,
}

impl BackendUrl {
    /// Parses an address; the error does not repeat the text.
    pub fn parse(text: &str) -> Result<BackendUrl, url::ParseError> {
        let mut shown = url::Url::parse(text)?;
        if shown.cannot_be_a_base() {
            // `redis:user:password@host`: no part of it is known to be the password, so none could be masked.
            return Err(url::ParseError::EmptyHost);
        }
        if shown.password().is_some() {
            // Fails only for addresses that cannot carry a password, which then have none to hide.
            let _ = shown.set_password(Some("***"));
        }
        shown.set_query(None);
        shown.set_fragment(None);
        Ok(BackendUrl {
            secret: Secret::new(text.to_owned()),
            shown: shown.to_string(),
        })
    }

    /// The whole address; for handing to a client library and nothing else.
    pub fn expose(&self) -> &str {
        self.secret.expose()
    }

    /// Whether a password is written in it.
    pub fn has_password(&self) -> bool {
        let Some(url) = self.parts() else {
            return false;
        };
        url.password().is_some_and(|password| !password.is_empty())
            || url
                .query_pairs()
                .any(|(name, _)| matches!(&*name, "password" | "pass" | "sslpassword"))
    }

    /// The scheme, in lower case.
    pub(super) fn scheme(&self) -> &str {
        self.shown.split(':').next().unwrap_or_default()
    }

    /// The parts of the whole address. Some, always: `parse` has seen the same text.
    pub(super) fn parts(&self) -> Option<url::Url> {
        url::Url::parse(self.expose()).ok()
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_key_is_raw_or_a_passphrase() {
        let kind = |bytes: &[u8], text: Option<&str>| match SessionKey::of(bytes, text) {
            Some(SessionKey::Raw(_)) => "raw",
            Some(SessionKey::Passphrase(_)) => "passphrase",
            None => "none",
        };
        assert_eq!(kind(&[7; 32], Some("\u{7}")), "raw");
        let mut ends_like_a_line = [0xfe; 32];
        ends_like_a_line[31] = b'\n';
        assert_eq!(kind(&ends_like_a_line, None), "raw");
        let hex = "0123456789abcdef0123456789abcdef";
        assert_eq!(kind(hex.as_bytes(), Some(hex)), "passphrase");
        assert_eq!(
            kind(b"correct horse\n", Some("correct horse")),
            "passphrase"
        );
        assert_eq!(kind(b"short\n", Some("short")), "none");
        assert_eq!(kind(&[0xfe; 31], None), "none");
        let long = "x".repeat(2000);
        assert_eq!(kind(long.as_bytes(), Some(&long)), "none");
        let shown = format!("{:?}", SessionKey::of(hex.as_bytes(), Some(hex)));
        assert_eq!(shown, "Some(***)");
        assert_eq!(format!("{:?}", AuthKey::new([1; 256])), "***");
    }

    #[test]
    fn a_token_is_long_enough_and_not_shown() {
        assert_eq!(Token::of(&[b'x'; 31]), None);
        assert_eq!(Token::of(&[b'x'; 1025]), None);
        let line = [&[b'x'; 32][..], b"\n"].concat();
        assert_eq!(Token::of(&line), Some(Token::new(vec![b'x'; 32])));
        assert_eq!(format!("{:?}", Token::of(&line)), "Some(***)");
    }

    #[test]
    fn no_way_of_printing_shows_a_secret() {
        for text in [
            "amqp://tgw:canary@host/v",
            "amqp://tgw:can%61ry@host/v",
            "postgres://host/db?user=tgw&password=canary",
            "redis://:canary@host/0#canary",
            "redis+unix:///run/redis.sock?pass=canary",
        ] {
            let url = BackendUrl::parse(text).expect("an address");
            let shown = format!("{url} {url:?} {url:#?} {:?}", Secret::new("canary".into()));
            assert!(!shown.contains("canary"), "{shown}");
            assert!(!shown.contains("can%61ry"), "{shown}");
            assert!(url.has_password());
            assert_eq!(url.expose(), text);
        }
        assert!(BackendUrl::parse("redis:tgw:canary@host").is_err());
    }
}

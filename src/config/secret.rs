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

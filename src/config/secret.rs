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
        if shown.password().is_some() {
            // Fails only for addresses that cannot carry a password, which then have none to hide.
            let _ = shown.set_password(Some("***"));
        }
        shown.set_query(None);
        Ok(BackendUrl {
            secret: Secret::new(text.to_owned()),
            shown: shown.to_string(),
        })
    }

    /// The whole address; for handing to a client library and nothing else.
    pub fn expose(&self) -> &str {
        self.secret.expose()
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

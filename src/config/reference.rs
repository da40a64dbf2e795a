//! Secrets that are written somewhere else: in a file, a variable, or a credential of the service manager.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::keys::Kind;
use super::problem::on_one_line;
use super::value::Wrong;

/// Largest secret or credential, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    File,
    Env,
    Credential,
}

impl Place {
    #[cfg(test)]
    pub(super) const NAMES: [&'static str; 3] = ["file", "env", "credential"];

    pub(super) fn from_name(name: &str) -> Option<Place> {
        match name {
            "file" => Some(Place::File),
            "env" => Some(Place::Env),
            "credential" => Some(Place::Credential),
            _ => None,
        }
    }
}

impl Kind {
    /// Where a key is whose own value is nothing but the place.
    pub(super) fn place(self) -> Option<Place> {
        matches!(self, Kind::AuthKeyFile | Kind::TokenFile).then_some(Place::File)
    }
}

/// How the environment is looked into: the real one, or a test's.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A secret as it is kept.
#[derive(PartialEq)]
pub(super) struct Fetched {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Where it came from, in words.
    pub(super) from: String,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.from)
    }
}

impl Fetched {
    /// The secret as text, without the newline that editors and `echo` end a file with.
    pub(super) fn text(&self) -> Result<&str, Wrong> {
        let text = std::str::from_utf8(&self.bytes).map_err(|_| {
            Wrong::new(
                format!("the {} is not text", self.from),
                "write the secret as UTF-8 text",
            )
        })?;
        Ok(text.trim_end_matches(['\r', '\n']))
    }
}

/// Fetches a secret. A relative file starts at `base`.
pub(super) fn fetch(
    place: Place,
    name: &str,
    base: &Path,
    environment: Environment<'_>,
) -> Result<Fetched, Wrong> {
    if name.trim().is_empty() {
        return Err(Wrong::new(
            "the reference to a secret is empty",
            "name a file, a variable or a credential",
        ));
    }
    if name.contains("://") {
        // Not repeated: it is the secret itself.
        return Err(Wrong::new(
            "the reference to a secret is an address",
            "write the address in quotes instead of the braces, or name where it is",
        ));
    }
    match place {
        Place::File => {
            let path = base.join(name);
            read(&path, true, format!("secret file {}", on_one_line(&path)))
        }
        Place::Env => {
            let from = format!("secret in variable {}", name.escape_default());
            match environment(name) {
                Some(text) => filled(Zeroizing::new(text.into_bytes()), from),
                None => Err(Wrong::new(
                    format!("variable {name:?} is not set"),
                    format!("set it, or give the service an EnvironmentFile= with {name}=..."),
                )),
            }
        }
        Place::Credential => credential(name, environment),
    }
}

fn credential(name: &str, environment: Environment<'_>) -> Result<Fetched, Wrong> {
    if name.contains('/') || name == "." || name == ".." {
        return Err(Wrong::new(
            format!("credential {name:?} is a path"),
            "write the name alone; for a path use { file = \"...\" }",
        ));
    }
    let Some(folder) = environment("CREDENTIALS_DIRECTORY") else {
        return Err(Wrong::new(
            format!("there is no credential {name:?}: CREDENTIALS_DIRECTORY is not set"),
            format!(
                "add LoadCredential={name}:/path to the systemd unit, or use {{ file = \"...\" }}"
            ),
        ));
    };
    // The service manager guards that folder itself, with access lists that the mode bits do not tell.
    let from = format!("credential {}", name.escape_default());
    read(&PathBuf::from(folder).join(name), false, from)
}

fn read(path: &Path, private: bool, from: String) -> Result<Fetched, Wrong> {
    let shown = on_one_line(path);
    let unreadable = |error: std::io::Error| {
        let remedy = "check the path and the owner of the file and its folders";
        Wrong::new(
            format!("cannot read the secret file {shown}: {error}"),
            remedy,
        )
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        let what = format!("the secret file {shown} is not a file");
        return Err(Wrong::new(what, "name a regular file"));
    }
    if let Some(mode) = exposed(&metadata, 0o077).filter(|_| private) {
        return Err(Wrong::new(
            format!("the secret file {shown} is open to other users (mode {mode:04o})"),
            format!("run: chmod 600 {shown}"),
        ));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let read = file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(unreadable)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        let what = format!("the secret file {shown} is larger than 64 KiB");
        return Err(Wrong::new(what, "write the secret alone into it"));
    }
    filled(bytes, from)
}

fn filled(bytes: Zeroizing<Vec<u8>>, from: String) -> Result<Fetched, Wrong> {
    if bytes.trim_ascii().is_empty() {
        return Err(Wrong::new(
            format!("the {from} is empty"),
            "write the secret into it",
        ));
    }
    Ok(Fetched { bytes, from })
}

/// The permission bits of a file when any of `mask` is set.
#[cfg(unix)]
pub(super) fn exposed(metadata: &Metadata, mask: u32) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o7777;
    (mode & mask != 0).then_some(mode)
}

/// Other systems have no permission bits to check.
#[cfg(not(unix))]
pub(super) fn exposed(_metadata: &Metadata, _mask: u32) -> Option<u32> {
    None
}

//! Why files cannot be kept.

use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Class, Classify, io_class};

/// Why files cannot be kept, or what is known of them not be read.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// A file or folder.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was done.
        doing: &'static str,
        /// With which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The list of files.
    #[error("the list of files {} cannot be used", path.display())]
    Catalog {
        /// The list.
        path: PathBuf,
        /// What the engine said.
        #[source]
        source: sqlx::Error,
    },
    /// The list of files is of a later version.
    #[error("the list of files {} was made by a newer version of this program", .0.display())]
    Newer(PathBuf),
}

impl MediaError {
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> MediaError {
        let path = path.to_owned();
        MediaError::Io {
            doing,
            path,
            source,
        }
    }

    pub(super) fn catalog(path: &Path, source: sqlx::Error) -> MediaError {
        let path = path.to_owned();
        MediaError::Catalog { path, source }
    }
}

impl Classify for MediaError {
    fn class(&self) -> Class {
        match self {
            MediaError::Io { source, .. } => io_class(source),
            MediaError::Catalog { .. } | MediaError::Newer(_) => Class::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            MediaError::Io { .. } => None,
            MediaError::Catalog { path, .. } => Some(format!(
                "if it is damaged, move {} away: the files are listed again from the log, and fetched again",
                path.display()
            )),
            MediaError::Newer(_) => Some("run the newest version".to_owned()),
        }
    }
}

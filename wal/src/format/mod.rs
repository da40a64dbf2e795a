//! Bytes and nothing else: records, blocks of them, manifests, holes. No file is touched here.

pub(crate) mod block;
pub(crate) mod frame;
pub(crate) mod hole;
pub(crate) mod manifest;

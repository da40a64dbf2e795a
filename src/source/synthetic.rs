//! stub
use super::*;
#[allow(missing_docs)]
pub struct Options {
    pub seed: u64,
    pub rate: f64,
    pub events: Option<u64>,
    pub base: Timestamp,
}
impl Default for Options {
    fn default() -> Self {
        Options {
            seed: 1,
            rate: 0.0,
            events: None,
            base: Timestamp::from_seconds(0),
        }
    }
}
#[allow(missing_docs)]
pub const BOOKMARK: &str = "synthetic";
#[allow(missing_docs)]
pub struct Synthetic;
impl Synthetic {
    #[allow(missing_docs)]
    pub fn new(_: Options) -> Self {
        Synthetic
    }
    #[allow(missing_docs)]
    pub fn resume(_: Options, _: Option<&[u8]>) -> Self {
        Synthetic
    }
}
impl Source for Synthetic {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        Ok(None)
    }
}

//! stub
use super::*;
#[allow(missing_docs)]
pub struct Script;
impl Script {
    #[allow(missing_docs)]
    pub fn bookmark_name(_: &std::path::Path) -> String {
        String::new()
    }
    #[allow(missing_docs)]
    pub fn open(_: &std::path::Path, _: Option<&[u8]>) -> Result<Self, SourceError> {
        Ok(Script)
    }
}
impl Source for Script {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        Ok(None)
    }
}

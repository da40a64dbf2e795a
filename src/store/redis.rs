//! stub
use super::*;
use crate::config;
#[allow(missing_docs)]
pub struct Redis;
impl Redis {
    #[allow(missing_docs)]
    pub fn new(_: config::Redis) -> Redis {
        Redis
    }
}
impl Projection for Redis {
    fn name(&self) -> ProjectionName {
        ProjectionName::Redis
    }
    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, ProjectionError> {
        Ok(None)
    }
    async fn apply(&mut self, _: &Batch) -> Result<(), ProjectionError> {
        Ok(())
    }
    async fn clear(&mut self) -> Result<(), ProjectionError> {
        Ok(())
    }
}

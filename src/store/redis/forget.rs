//! Taking a peer out of the cache, for `verify --repair`.

use super::Redis;
use crate::store::ProjectionError;

impl Redis {
    /// Removes all that is kept of a peer. Until it is applied again a reader takes it as a miss and asks the store.
    pub async fn forget_peer(&mut self, peer: i64) -> Result<(), ProjectionError> {
        let mut connection = self.connection().await?;
        let mut block = ::redis::pipe();
        block.atomic();
        block
            .cmd("UNLINK")
            .arg(self.keys.messages(peer))
            .arg(self.keys.recent(peer))
            .arg(self.keys.seen(peer))
            .arg(self.keys.channel(peer))
            .ignore();
        block
            .cmd("SREM")
            .arg(self.keys.channels())
            .arg(peer)
            .ignore();
        let gone = block.query_async(&mut connection).await;
        self.done::<()>("removing a peer", gone)
    }
}

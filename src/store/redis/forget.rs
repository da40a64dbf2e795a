//! Taking things out of the cache, for `verify --repair`.

use super::{KEYS_PER_COMMAND, Redis};
use crate::store::ProjectionError;
use crate::store::mend::Subject;

impl Redis {
    /// Removes all that is kept of a message, or the name of a channel. Until it is applied again a reader takes it as a
    /// miss and asks the store.
    pub async fn take_out(&mut self, subjects: &[Subject]) -> Result<(), ProjectionError> {
        let mut connection = self.connection().await?;
        for subjects in subjects.chunks(KEYS_PER_COMMAND) {
            let mut block = ::redis::pipe();
            block.atomic();
            for subject in subjects {
                let (peer, id) = (subject.peer_id, subject.message_id);
                if !subject.is_message() {
                    block.cmd("UNLINK").arg(self.keys.channel(peer)).ignore();
                    block.cmd("SREM").arg(self.keys.channels()).arg(peer);
                    continue;
                }
                let messages = self.keys.messages(peer);
                block
                    .cmd("HDEL")
                    .arg(messages)
                    .arg(id)
                    .arg(format!("{id}:state"));
                for set in [self.keys.recent(peer), self.keys.seen(peer)] {
                    block.cmd("ZREMRANGEBYSCORE").arg(set).arg(id).arg(id);
                }
            }
            let gone = block.query_async(&mut connection).await;
            self.done::<Vec<::redis::Value>>("removing what differs", gone)?;
        }
        Ok(())
    }
}

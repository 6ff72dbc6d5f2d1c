//! The length of the slots that the ledger and the rollups count in. It is kept in Redis: whoever
//! counts in another length than what is stored was counted in would be wrong without a sign.

use redis::RedisResult;

use super::{Store, StoreError, failed, keys};
use crate::domain::Slots;

impl Store {
    /// The length of slots, in seconds, in which what is stored was counted, if anything was.
    async fn stored_slot_seconds(&self) -> Result<Option<u64>, StoreError> {
        let stored: RedisResult<Option<u64>> =
            redis::cmd("GET").arg(keys::SLOT).query_async(&mut self.connection.clone()).await;
        stored.map_err(failed("read the length of slots"))
    }

    /// This store, counting in the length that is stored; in its own where none is.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn in_stored_slots(mut self) -> Result<Self, StoreError> {
        let stored = self.stored_slot_seconds().await?;
        let stored =
            stored.and_then(|seconds| Slots::new(std::time::Duration::from_secs(seconds)).ok());
        self.slots = stored.unwrap_or(self.slots);
        Ok(self)
    }

    /// Makes this store's length of slots the stored one. Where it was another, all that counts
    /// slots is counted anew first, in the background: whoever comes after a process that was
    /// killed at it begins again. What has been trimmed stays as it was counted.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn settle_slots(&self) -> Result<(), StoreError> {
        let (own, stored) = (self.slots.length().as_secs(), self.stored_slot_seconds().await?);
        if stored == Some(own) {
            return Ok(());
        }
        let Some(stored) = stored else { return self.note_slots().await };
        tracing::warn!(stored, own, "slots had another length: counting all of them anew");
        let store = self.clone();
        tokio::spawn(async move {
            let _until_done = store.rebuilding.lock().await;
            let counted = match store.rebuild_all(|_| ()).await {
                Ok(()) => store.note_slots().await,
                failed => failed,
            };
            if let Err(error) = counted {
                tracing::warn!(%error, "slots are left to the next worker that starts");
            }
        });
        Ok(())
    }

    async fn note_slots(&self) -> Result<(), StoreError> {
        let set: RedisResult<()> = redis::cmd("SET")
            .arg(keys::SLOT)
            .arg(self.slots.length().as_secs())
            .query_async(&mut self.connection.clone())
            .await;
        set.map_err(failed("note the length of slots"))
    }
}

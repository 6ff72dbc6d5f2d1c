//! Trims old samples away; their rollups stay.

use std::sync::LazyLock;

use redis::{RedisResult, Script};

use super::{
    Store, StoreError, failed, keys,
    rollups::{Frame, TRIM, align_down},
    samples::PIECE,
    span::Span,
};
use crate::domain::UnixTime;

static MARK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("nodes.lua"), include_str!("trim_mark.lua")))
});

impl Store {
    /// Takes away the samples before a unix second, rounded down to whole buckets, but for the
    /// newest one, and gives how many they were. Their rollups, of every level, are made anew
    /// first: from then on they answer for them, and nothing is left to check them against. It
    /// goes a day at a time, so Redis is never held up for long. Interrupted, it is completed by
    /// the next call.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn trim(&self, before: i64) -> Result<u64, StoreError> {
        // The newest sample is the last price there is, and where the next gap begins.
        let Some((_, newest)) = self.first_and_last().await? else { return Ok(0) };
        let before = align_down(before.min(newest).max(UnixTime::MIN.second()), TRIM);
        let old = Span::before_second(before);
        if self.extent(&old).await?.is_none() {
            return Ok(0);
        }
        let mut connection = self.connection.clone();
        let frame: RedisResult<Option<String>> = redis::cmd("HGET")
            .arg(keys::ROLLUPS)
            .arg(Frame::FIELD)
            .query_async(&mut connection)
            .await;
        let frame = Frame::of(frame.map_err(failed("read what is trimmed"))?.as_deref());
        // Not from the first sample: those before it may have been deleted by hand.
        self.rebuild(frame.trimmed.max(UnixTime::MIN.second()), before, |_| ()).await?;
        let mark: RedisResult<()> =
            MARK.key(keys::ROLLUPS).arg(before).invoke_async(&mut connection).await;
        mark.map_err(failed("note what is trimmed"))?;
        let mut trimmed = 0;
        while let Some((first, _)) = self.extent(&old).await? {
            // A score may be anything, put there by hand.
            let first = first.max(UnixTime::MIN.second());
            let until = (first + PIECE).min(before);
            // First, so that none is left over if this is killed between the two.
            self.forget_provenance(first, until).await?;
            let (since, until) = Span::before_second(until).bounds();
            let gone: RedisResult<u64> = redis::cmd("ZREMRANGEBYSCORE")
                .arg(keys::PRICES)
                .arg(since)
                .arg(until)
                .query_async(&mut connection)
                .await;
            trimmed += gone.map_err(failed("trim samples"))?;
        }
        Ok(trimmed)
    }
}

//! The public hash of a promotion.

use std::time::Duration;

use super::{Streams, StreamsError, reply};
use crate::domain::{Counts, SummaryId};
use crate::keys;

/// What the public hash holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SummaryFields {
    /// Targets in all.
    pub total: u64,
    /// How far it is.
    pub counts: Counts,
    /// When the last payout was completed, `yyyyMMddHHmmss`.
    pub last_completed_at: Option<String>,
    /// What is left of its time to live; nothing while the promotion runs.
    pub ttl: Option<Duration>,
}

impl Streams {
    /// Writes the public hash with absolute figures, and its time to live (or that it has none), in one transaction.
    /// Without a `last_completed_at` that field stays as it is. Repeating is harmless, and so are replicas that race.
    ///
    /// # Errors
    /// Any; [`StreamsError::is_oom`] when the hash is refused under memory pressure: then the row in MySQL goes on alone.
    pub async fn write_summary(
        &self,
        summary: SummaryId,
        total: u64,
        counts: Counts,
        last_completed_at: Option<&str>,
        ttl: Option<Duration>,
    ) -> Result<(), StreamsError> {
        let key = keys::summary(summary);
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("HSET").arg(&key).arg("total_count").arg(total);
        pipeline.arg("published_count").arg(counts.published).arg("success_count").arg(counts.success);
        pipeline.arg("fail_count").arg(counts.fail).arg("retry_success_count").arg(counts.retry_success);
        if let Some(at) = last_completed_at {
            pipeline.arg("last_completed_at").arg(at);
        }
        match ttl {
            Some(ttl) => pipeline.cmd("EXPIRE").arg(&key).arg(ttl.as_secs().clamp(1, 1 << 40)),
            None => pipeline.cmd("PERSIST").arg(&key),
        };
        self.link.transaction(&pipeline).await
    }

    /// Reads the public hash; `None` when there is none.
    ///
    /// # Errors
    /// When Redis does not answer, or the hash is not what it should be.
    pub async fn read_summary(&self, summary: SummaryId) -> Result<Option<SummaryFields>, StreamsError> {
        let key = keys::summary(summary);
        let mut pipeline = redis::pipe();
        pipeline.cmd("HGETALL").arg(&key).cmd("PTTL").arg(&key);
        let mut values = self.link.pipeline(&pipeline).await?.into_iter();
        let (Some(hash), Some(ttl)) = (values.next(), values.next()) else {
            return Err(StreamsError::unexpected("nothing"));
        };
        let mut fields =
            SummaryFields { ttl: reply::number(ttl).ok().map(Duration::from_millis), ..SummaryFields::default() };
        let mut found = false;
        for (name, value) in reply::pairs(hash)? {
            found = true;
            match name.as_str() {
                "total_count" => fields.total = reply::counter(value)?,
                "published_count" => fields.counts.published = reply::counter(value)?,
                "success_count" => fields.counts.success = reply::counter(value)?,
                "fail_count" => fields.counts.fail = reply::counter(value)?,
                "retry_success_count" => fields.counts.retry_success = reply::counter(value)?,
                "last_completed_at" => fields.last_completed_at = reply::optional_text(value)?,
                _ => {}
            }
        }
        Ok(found.then_some(fields))
    }
}

//! How old entries are: by their records, because their ids tell targets and not times.

use redis::{Pipeline, Value};

use super::{Streams, StreamsError};
use crate::domain::{EntryId, Partition};
use crate::keys;
use crate::record::Record;

impl Streams {
    /// When entries were published, in milliseconds since the Unix epoch; nothing for an entry that is gone or cannot be
    /// read.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn published_at(&self, entries: &[(Partition, EntryId)]) -> Result<Vec<Option<i64>>, StreamsError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(entries.len());
        for (partition, id) in entries {
            let id = id.to_string();
            pipeline.cmd("XRANGE").arg(keys::targets(*partition)).arg(&id).arg(&id);
        }
        let values = self.link.pipeline(&pipeline).await?;
        let published_at = |value: Value| {
            let mut entries: Vec<(String, (String, Vec<u8>))> = redis::from_redis_value(value).ok()?;
            let (_, (_, body)) = entries.pop()?;
            Record::decode(&body).ok().map(|record| record.published_at_ms)
        };
        Ok(values.into_iter().map(published_at).collect())
    }
}

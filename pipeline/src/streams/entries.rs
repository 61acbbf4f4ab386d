//! What is on a stream, entry by entry: for audits.

use redis::RedisWrite;

use super::{Streams, StreamsError, reply};
use crate::domain::{EntryId, Partition};
use crate::keys;

impl Streams {
    /// One page of a partition's stream with the entries' records, by ascending id: those behind `after`. Nothing where
    /// there is no stream. Costs some 0.5 µs of the Redis thread an entry; for audits, never for a stage.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn entries(
        &self,
        partition: Partition,
        after: Option<EntryId>,
        count: usize,
    ) -> Result<Vec<(EntryId, Option<Vec<u8>>)>, StreamsError> {
        let mut command = redis::cmd("XRANGE");
        command.arg(keys::targets(partition));
        match after {
            Some(after) => command.write_arg_fmt(format_args!("({after}")),
            None => command.write_arg(b"-"),
        }
        command.arg("+").arg("COUNT").arg(count);
        reply::array(self.link.query(command).await?)?.into_iter().map(reply::entry).collect()
    }
}

//! Publishing: targets onto the streams of their partitions.

use redis::Value;

use super::{Streams, StreamsError, reply, script};
use crate::domain::{EntryId, Partition, TargetId};
use crate::keys;

/// A batch for one partition.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Where to.
    pub partition: Partition,
    /// First part of the last id that the dispatcher knows; 0 for an empty or missing stream.
    pub expected: u64,
    /// Most entries that may be outstanding, this batch included; 0 is no limit. Entries that wait for a person do not
    /// count.
    pub window: u64,
    /// Targets with their records, ascending, all behind `expected`. An empty batch makes the stream and its group.
    pub entries: Vec<(TargetId, Vec<u8>)>,
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Published {
    /// It is on the stream.
    Done,
    /// Nothing was written: the last id is another one. Continue behind it, forward or backward.
    Last {
        /// First part of the real last id.
        first: u64,
        /// The real last id; [`EntryId::ZERO`] for a missing stream.
        last: EntryId,
        /// Entries on the stream.
        len: u64,
    },
    /// Nothing was written: too much is outstanding. A batch of `window − outstanding` would fit.
    Full {
        /// Entries on the stream without those that wait for a person.
        outstanding: u64,
    },
}

impl Streams {
    /// Publishes a batch to each partition, in one round trip. Each has its own result; a batch that the server refused
    /// does not keep the others from being published. Repeating is harmless: what was published gives
    /// [`Published::Last`].
    ///
    /// # Errors
    /// When no answers came: any of the batches may have been published.
    pub async fn publish(&self, batches: &[Publish]) -> Result<Vec<Result<Published, StreamsError>>, StreamsError> {
        let mut calls = Vec::with_capacity(batches.len());
        for batch in batches.iter().filter(|batch| batch.is_ascending()) {
            calls.push(batch.call());
        }
        let mut values = self.link.calls(calls).await?.into_iter();
        let mut result = |batch: &Publish| {
            if !batch.is_ascending() {
                // Found in the middle of the script it would leave entries that are not counted.
                return Err(StreamsError::Refused("a batch must ascend behind the expected id".into()));
            }
            published(values.next().ok_or_else(|| StreamsError::unexpected("nothing"))?)
        };
        Ok(batches.iter().map(&mut result).collect())
    }
}

impl Publish {
    fn is_ascending(&self) -> bool {
        let ids = || self.entries.iter().map(|(target, _)| target.0);
        let behind = ids().next().is_none_or(|first| u64::try_from(first).is_ok_and(|first| first > self.expected));
        behind && ids().is_sorted_by(|a, b| a < b)
    }

    fn call(&self) -> script::Call {
        let size = self.entries.iter().map(|(_, record)| record.len() + 24).sum();
        let keys = [keys::targets(self.partition), keys::counts(self.partition)];
        let mut call = script::PUBLISH
            .on(&keys, 2 * self.entries.len() + 4, size)
            .arg(keys::GROUP)
            .arg(keys::HELD)
            .arg(self.expected)
            .arg(self.window);
        for (target, record) in &self.entries {
            call.push_id(EntryId::published(*target));
            call.push(record.as_slice());
        }
        call
    }
}

fn published(value: Value) -> Result<Published, StreamsError> {
    let mut items = reply::array(value)?.into_iter();
    let mut next = || items.next().ok_or_else(|| StreamsError::unexpected("a short array"));
    match reply::text(next()?)?.as_str() {
        "OK" => Ok(Published::Done),
        "LAST" => {
            let last = reply::id(next()?)?;
            Ok(Published::Last { first: last.first, last, len: reply::number(next()?)? })
        }
        "FULL" => Ok(Published::Full { outstanding: reply::number(next()?)? }),
        other => Err(StreamsError::unexpected(other)),
    }
}

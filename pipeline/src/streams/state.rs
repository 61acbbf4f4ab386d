//! Where partitions stand, and their end.

use std::time::Duration;

use redis::{Pipeline, Value};

use super::{Streams, StreamsError, reply, script};
use crate::domain::{Counts, EntryId, Partition};
use crate::keys;

/// How far the stream of a partition is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Its last id, whether or not that entry still exists.
    pub last: EntryId,
    /// Entries on it: undelivered and pending ones.
    pub len: u64,
    /// Whether the consumer group exists.
    pub group: bool,
}

/// Where a partition stands, read in one instant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PartitionState {
    /// Its counts; 0 where the hash or a field is missing.
    pub counts: Counts,
    /// When the last entry was settled, `yyyyMMddHHmmss`.
    pub last_completed_at: Option<String>,
    /// Its stream; `None` when there is none.
    pub position: Option<Position>,
    /// Last id that was delivered to anyone; `None` without a group.
    pub last_delivered: Option<EntryId>,
    /// Entries delivered and not yet settled, parked and held ones included.
    pub pending: u64,
    /// Of these, those that wait for their next attempt.
    pub parked: u64,
    /// Of these, those that wait for a person.
    pub held: u64,
    /// Pending entries of each consumer that has any.
    pub consumers: Vec<(String, u64)>,
    /// Entries that nobody was given yet. See [`Streams::partition_states`] for how exact it is.
    pub undelivered: u64,
    /// Oldest pending id.
    pub oldest_pending: Option<EntryId>,
    /// Oldest undelivered id.
    pub oldest_undelivered: Option<EntryId>,
    /// Dead letters on the partition's stream.
    pub dead: u64,
    /// Dead letters that were dropped to keep that stream short.
    pub dead_dropped: u64,
}

impl PartitionState {
    /// Length of the stream; 0 when there is none.
    pub fn len(&self) -> u64 {
        self.position.map_or(0, |position| position.len)
    }

    /// Whether nothing is on the stream.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Undelivered entries that one exact count may look at: some 10 ms of the Redis thread.
const EXACT_COUNT: usize = 20_000;

impl Streams {
    /// Where each stream stands; `None` where there is none.
    ///
    /// # Errors
    /// As [`Streams::partition_states`].
    pub async fn positions(&self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, StreamsError> {
        Ok(self.partition_states(partitions).await?.into_iter().map(|state| state.position).collect())
    }

    /// Where each partition stands, in one round trip; each partition's figures are of one instant.
    ///
    /// `undelivered` is exact when it is 0 (nothing stands behind the last delivered id). Otherwise it is length −
    /// pending, at least 1: off by as many entries as were deleted or acknowledged from outside, or lost with a dropped
    /// consumer. It is never taken from the server's `lag`, which becomes null or wrong after deletions and failovers.
    /// [`Streams::surveyed`] counts.
    ///
    /// # Errors
    /// When Redis does not answer, when a key has another type, or when a counter is no number.
    pub async fn partition_states(&self, partitions: &[Partition]) -> Result<Vec<PartitionState>, StreamsError> {
        let calls = partitions.iter().map(|partition| state_call(*partition, 0)).collect();
        let values = self.link.calls(calls).await?;
        values.into_iter().map(|value| state(value).map(|(state, _)| state)).collect()
    }

    /// The state of one partition with its undelivered entries counted one by one, so that length ≠ pending +
    /// undelivered proves that somebody else deleted or acknowledged entries, or dropped a consumer that had some. The
    /// flag says whether they were counted: more than 20,000 are not. Costs about 0.5 µs of the Redis thread for each:
    /// for the sweep, of a partition that does not move.
    ///
    /// # Errors
    /// As [`Streams::partition_states`].
    pub async fn surveyed(&self, partition: Partition) -> Result<(PartitionState, bool), StreamsError> {
        state(self.link.call(state_call(partition, EXACT_COUNT)).await?)
    }

    /// Removes the keys of ended partitions: targets and counts at once, dead letters after `dead_ttl`, so that
    /// subscribers can still read them (an empty stream of them at once). Gives the number of keys that were removed or
    /// left to expire: 0 when there is nothing left to do.
    ///
    /// # Errors
    /// Any; repeating is harmless, and does not put off the end of the dead letters.
    pub async fn remove_partitions(&self, partitions: &[Partition], dead_ttl: Duration) -> Result<u64, StreamsError> {
        let ttl = u64::try_from(dead_ttl.as_millis()).unwrap_or(u64::MAX).min(1 << 50);
        let calls =
            partitions.iter().map(|partition| script::REMOVE.on(&all_keys(*partition), 1, 16).arg(ttl)).collect();
        let mut removed = 0;
        for value in self.link.calls(calls).await? {
            removed += reply::number(value)?;
        }
        Ok(removed)
    }

    /// Whether each partition has keys that [`Streams::remove_partitions`] would remove or leave to expire.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn existing(&self, partitions: &[Partition]) -> Result<Vec<bool>, StreamsError> {
        let mut pipeline = Pipeline::with_capacity(2 * partitions.len());
        for partition in partitions {
            pipeline.cmd("EXISTS").arg(keys::targets(*partition)).arg(keys::counts(*partition));
            pipeline.cmd("PTTL").arg(keys::dead(*partition));
        }
        let values = self.link.pipeline(&pipeline).await?;
        let mut existing = Vec::with_capacity(partitions.len());
        let mut values = values.into_iter();
        while let (Some(keys), Some(dead_ttl)) = (values.next(), values.next()) {
            // −1 is a key without an end, −2 none.
            existing.push(reply::number(keys)? > 0 || reply::ok(dead_ttl)? == Value::Int(-1));
        }
        Ok(existing)
    }
}

fn all_keys(partition: Partition) -> [String; 3] {
    [keys::targets(partition), keys::counts(partition), keys::dead(partition)]
}

fn state_call(partition: Partition, count: usize) -> script::Call {
    script::STATE.on(&all_keys(partition), 2, 16).arg(keys::GROUP).arg(count)
}

/// The state, and whether its undelivered entries were counted.
fn state(value: Value) -> Result<(PartitionState, bool), StreamsError> {
    let [counts, dead, stream] = reply::tuple(value)?;
    let [published, success, fail, retry_success, completed, dropped] = reply::tuple(counts)?;
    let mut state = PartitionState {
        counts: Counts {
            published: reply::counter(published)?,
            success: reply::counter(success)?,
            fail: reply::counter(fail)?,
            retry_success: reply::counter(retry_success)?,
        },
        last_completed_at: reply::optional_text(completed)?,
        dead: reply::number(dead)?,
        dead_dropped: reply::counter(dropped)?,
        ..PartitionState::default()
    };
    if stream == Value::Nil {
        return Ok((state, true));
    }
    let [last, len, group, delivered, pending, oldest, next, undelivered, consumers] = reply::tuple(stream)?;
    let len = reply::number(len)?;
    state.position = Some(Position { last: reply::id(last)?, len, group: reply::number(group)? == 1 });
    state.last_delivered = reply::optional_id(delivered)?;
    state.pending = reply::number(pending)?;
    state.oldest_pending = reply::optional_id(oldest)?;
    state.oldest_undelivered = reply::optional_id(next)?;
    let counted = undelivered != Value::Int(-1);
    state.undelivered = if counted { reply::number(undelivered)? } else { len.saturating_sub(state.pending).max(1) };
    let mut consumers = reply::array(consumers)?.into_iter();
    while let (Some(name), Some(pending)) = (consumers.next(), consumers.next()) {
        state.consumers.push((reply::text(name)?, reply::number(pending)?));
    }
    let of =
        |name: &str| state.consumers.iter().find(|(consumer, _)| consumer == name).map_or(0, |(_, pending)| *pending);
    (state.parked, state.held) = (of(keys::RETRY), of(keys::HELD));
    Ok((state, counted))
}

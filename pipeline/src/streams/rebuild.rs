//! Rebuilding a partition from MySQL; making one for a requeue, and adding to it what is tried again.

use super::{Streams, StreamsError, reply, script};
use crate::domain::{Counts, EntryId, Partition, TargetId};
use crate::keys;

/// What became of a rebuild.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rebuilt {
    /// The partition is what was given.
    Done,
    /// Nothing was written: the last id is this one by now. Read the snapshot again.
    Moved(EntryId),
    /// Nothing was written: there is no stream. The dispatcher refills it.
    Missing,
}

/// What became of entries for targets that are tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requeued {
    /// They are on the stream, undelivered, and count as failed no more.
    Done,
    /// Nothing was written: the last id is this one by now.
    Moved(EntryId),
    /// Nothing was written: the stream has no group, or fewer are counted as failed. It is to be rebuilt.
    Differs,
    /// Nothing was written: there is no stream. The dispatcher refills it.
    Missing,
}

impl Streams {
    /// Replaces a partition, if its last id still is `expected_last`: its counts, and one entry for each record, all
    /// undelivered. Their ids continue the last one under the same first part, so that the dispatcher goes on where it
    /// was, and no id is used twice. Whoever holds an old entry settles nothing any more.
    ///
    /// With `cut` the stream goes back to that target: ids continue under it, and the dispatcher publishes what is behind
    /// it once more, as it does when all of a stream is lost. What is final there is settled without a call.
    ///
    /// What was parked or held is not remembered: the new entries are delivered to payers, who find rows that are not
    /// new and park them again with their row's retry count. Without `completed_at` the partition's stays.
    ///
    /// # Errors
    /// Any. Refused before the first write under memory pressure. Repeating gives [`Rebuilt::Moved`].
    pub async fn rebuild(
        &self,
        partition: Partition,
        expected_last: EntryId,
        cut: Option<TargetId>,
        counts: &Counts,
        completed_at: Option<&str>,
        records: &[Vec<u8>],
    ) -> Result<Rebuilt, StreamsError> {
        let size = records.iter().map(|record| record.len()).sum();
        let keys = [keys::targets(partition), keys::counts(partition)];
        let mut call = script::REBUILD.on(&keys, records.len() + 8, size).arg(keys::GROUP);
        call.push_id(expected_last);
        match cut {
            Some(target) => call.push(target.0),
            None => call.push(""),
        }
        call.push(completed_at.unwrap_or_default());
        push_counts(&mut call, counts);
        for record in records {
            call.push(record.as_slice());
        }
        let (word, last) = self.compared(call).await?;
        match (word.as_str(), last) {
            ("OK", None) => Ok(Rebuilt::Done),
            ("LAST", Some(last)) => Ok(Rebuilt::Moved(last)),
            ("MISSING", None) => Ok(Rebuilt::Missing),
            (other, _) => Err(StreamsError::unexpected(other)),
        }
    }

    /// Adds one entry for each record of a target that was counted as failed and is tried again, if the partition's last
    /// id still is `expected_last`. Nothing else on the stream is touched. Ids are as [`Streams::rebuild`] gives them.
    ///
    /// # Errors
    /// Any. Refused before the first write under memory pressure. Repeating gives [`Requeued::Moved`].
    pub async fn requeue(
        &self,
        partition: Partition,
        expected_last: EntryId,
        records: &[Vec<u8>],
    ) -> Result<Requeued, StreamsError> {
        let size = records.iter().map(|record| record.len()).sum();
        let keys = [keys::targets(partition), keys::counts(partition)];
        let mut call = script::REQUEUE.on(&keys, records.len() + 2, size).arg(keys::GROUP);
        call.push_id(expected_last);
        for record in records {
            call.push(record.as_slice());
        }
        let (word, last) = self.compared(call).await?;
        match (word.as_str(), last) {
            ("OK", None) => Ok(Requeued::Done),
            ("LAST", Some(last)) => Ok(Requeued::Moved(last)),
            ("DIFFERS", None) => Ok(Requeued::Differs),
            ("MISSING", None) => Ok(Requeued::Missing),
            (other, _) => Err(StreamsError::unexpected(other)),
        }
    }

    /// What a script says that compares the last id first: a word, and the last id where it has moved.
    async fn compared(&self, call: script::Call) -> Result<(String, Option<EntryId>), StreamsError> {
        let mut items = reply::array(self.link.call(call).await?)?.into_iter();
        let word = items.next().ok_or_else(|| StreamsError::unexpected("an empty array"))?;
        Ok((reply::text(word)?, items.next().map(reply::id).transpose()?))
    }

    /// Makes the empty stream and group of a partition whose targets up to `last` were all published before, with these
    /// counts, so that it can be rebuilt: for the requeue of a completed promotion, whose keys are gone. Says whether it
    /// made them; `false` when the stream was there.
    ///
    /// # Errors
    /// Any; repeating is harmless.
    pub async fn seed(&self, partition: Partition, last: TargetId, counts: &Counts) -> Result<bool, StreamsError> {
        let keys = [keys::targets(partition), keys::counts(partition)];
        let mut call = script::SEED.on(&keys, 6, 64).arg(keys::GROUP);
        call.push_id(EntryId::published(last));
        push_counts(&mut call, counts);
        Ok(reply::number(self.link.call(call).await?)? == 1)
    }
}

fn push_counts(call: &mut script::Call, counts: &Counts) {
    for count in [counts.published, counts.success, counts.fail, counts.retry_success] {
        call.push(count);
    }
}

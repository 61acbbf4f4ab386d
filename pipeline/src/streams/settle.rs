//! Settling and parking: how a consumer lets go of an entry.

use std::collections::HashMap;

use super::script::{self, Call};
use super::{Streams, StreamsError, reply};
use crate::domain::{Counter, EntryId, Partition};
use crate::keys;

/// Most ids in one call: what Lua's `unpack` takes twice over, and some 6 ms of the Redis thread.
const IDS_PER_CALL: usize = 4_000;
/// Entries parked by one call: some 5 ms of the Redis thread.
const PARKED_PER_CALL: usize = 1_000;
/// Length to which a dead-letter stream is trimmed, roughly; MySQL keeps all.
const DEAD_LETTERS: usize = 10_000;
/// Longest idle time that is set; Redis takes one that reaches behind 1970 for none at all.
const LONGEST_IDLE_MS: u64 = 30 * 24 * 3600 * 1000;

/// Entries of one partition whose rows are final.
#[derive(Clone, Debug)]
pub struct Settle {
    /// The partition.
    pub partition: Partition,
    /// Entries by the counter of their row's status.
    pub by_counter: Vec<(Counter, Vec<EntryId>)>,
    /// Dead letters, each with the entry it belongs to, which also stands in `by_counter`. Written only when that entry
    /// is newly acknowledged.
    pub dead: Vec<(EntryId, Vec<u8>)>,
}

/// The consumer that owns parked entries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Parking {
    /// Waits for its next attempt.
    Retry,
    /// Waits for a person; counts neither for the window nor as parked.
    Held,
}

impl Parking {
    /// The one whose entries this consumer owns; nothing of a consumer that works on what it has.
    pub fn of(consumer: &str) -> Option<Self> {
        [Self::Retry, Self::Held].into_iter().find(|parking| parking.consumer() == consumer)
    }

    /// Its name in the group.
    pub fn consumer(self) -> &'static str {
        match self {
            Self::Retry => keys::RETRY,
            Self::Held => keys::HELD,
        }
    }
}

/// Entries of one partition that stay pending.
#[derive(Clone, Debug)]
pub struct Park {
    /// The partition.
    pub partition: Partition,
    /// Where to.
    pub to: Parking,
    /// Entry, its delivery count from now on (its row's retry count, or more to let it wait longer), and for how many
    /// milliseconds it counts as idle already.
    pub entries: Vec<(EntryId, u32, u64)>,
}

impl Streams {
    /// Acknowledges, deletes and counts entries, one script per partition and 4,000 entries, in one round trip. Runs
    /// under memory pressure too. `completed_at` (`yyyyMMddHHmmss`) becomes the partition's `last_completed_at` when it
    /// is later. Gives the number of newly acknowledged entries for each batch.
    ///
    /// # Errors
    /// The first error of any batch; the others may have been settled. Repeating counts nothing twice.
    pub async fn settle(&self, batches: Vec<Settle>, completed_at: &str) -> Result<Vec<u64>, StreamsError> {
        let mut calls = Vec::with_capacity(batches.len());
        let mut batch_of = Vec::with_capacity(batches.len());
        for (at, batch) in batches.iter().enumerate() {
            for part in batch.parts()? {
                calls.push(part.call(batch.partition, completed_at));
                batch_of.push(at);
            }
        }
        let mut settled = vec![0; batches.len()];
        for (at, value) in batch_of.into_iter().zip(self.link.calls(calls).await?) {
            settled[at] += reply::number(value)?;
        }
        Ok(settled)
    }

    /// Acknowledges and deletes entries without counting them: requeued ones whose record cannot be decoded, so that
    /// nothing tells their target. The sweep adds the target again. Gives the number newly acknowledged.
    ///
    /// # Errors
    /// As [`Streams::settle`].
    pub async fn acknowledge_undecodable(&self, partition: Partition, ids: &[EntryId]) -> Result<u64, StreamsError> {
        let parts = ids.chunks(IDS_PER_CALL).map(|ids| Part { letters: Vec::new(), groups: vec![("", ids.to_vec())] });
        let calls = parts.map(|part| part.call(partition, "")).collect();
        self.sum(calls).await
    }

    /// Appends dead letters that belong to no settled entry: of quarantined ones, whose rows wait for a person. Appended
    /// twice when repeated; subscribers tell repeats by target and generation.
    ///
    /// # Errors
    /// Any; it may have happened.
    pub async fn append_dead(&self, partition: Partition, letters: &[Vec<u8>]) -> Result<(), StreamsError> {
        let mut pipeline = redis::pipe();
        for letter in letters {
            let command = pipeline.cmd("XADD").arg(keys::dead(partition));
            command.arg("MAXLEN").arg("~").arg(DEAD_LETTERS).arg("*").arg("d").arg(letter.as_slice());
        }
        self.link.pipeline(&pipeline).await?.into_iter().try_for_each(|value| reply::ok(value).map(drop))
    }

    /// Parks entries that `me` still owns, one script per partition and 1,000 entries, in one round trip; leaves alone
    /// what somebody else owns by now, or nobody. Gives the number parked. Parking with `me` as [`Parking::consumer`]
    /// moves entries from one parking to the other.
    ///
    /// # Errors
    /// The first error of any batch. Repeating is harmless: what was parked is not owned any more.
    pub async fn park(&self, batches: Vec<Park>, me: &str) -> Result<u64, StreamsError> {
        let mut calls = Vec::with_capacity(batches.len());
        for batch in &batches {
            for entries in batch.entries.chunks(PARKED_PER_CALL) {
                let mut call = park_call(batch.partition, me, batch.to, entries.len());
                for (id, retry_count, idle_ms) in entries {
                    call.push_id(*id);
                    call.push(*retry_count);
                    call.push((*idle_ms).min(LONGEST_IDLE_MS));
                }
                calls.push(call);
            }
        }
        self.sum(calls).await
    }

    /// Lets parked entries count as idle for 30 days, so that they are due at once; their delivery counts stay. Entries
    /// that are not parked there are left alone. Gives the number made due.
    ///
    /// # Errors
    /// Any; repeating is harmless.
    pub async fn make_due(&self, partition: Partition, parking: Parking, ids: &[EntryId]) -> Result<u64, StreamsError> {
        let mut calls = Vec::new();
        for ids in ids.chunks(PARKED_PER_CALL) {
            let mut call = park_call(partition, parking.consumer(), parking, ids.len());
            for id in ids {
                call.push_id(*id);
                call.push("");
                call.push(LONGEST_IDLE_MS);
            }
            calls.push(call);
        }
        self.sum(calls).await
    }

    async fn sum(&self, calls: Vec<Call>) -> Result<u64, StreamsError> {
        let mut sum = 0;
        for value in self.link.calls(calls).await? {
            sum += reply::number(value)?;
        }
        Ok(sum)
    }
}

fn park_call(partition: Partition, owner: &str, to: Parking, entries: usize) -> Call {
    let call = script::PARK.on(&[keys::targets(partition)], 3 * entries + 3, 40 * entries);
    call.arg(keys::GROUP).arg(owner).arg(to.consumer())
}

/// What one call settles.
#[derive(Default)]
struct Part<'a> {
    letters: Vec<(&'static str, EntryId, &'a [u8])>,
    groups: Vec<(&'static str, Vec<EntryId>)>,
}

impl Part<'_> {
    fn len(&self) -> usize {
        self.letters.len() + self.groups.iter().map(|(_, ids)| ids.len()).sum::<usize>()
    }

    fn call(&self, partition: Partition, completed_at: &str) -> Call {
        let letters: usize = self.letters.iter().map(|(_, _, letter)| letter.len() + 32).sum();
        let keys = [keys::targets(partition), keys::counts(partition), keys::dead(partition)];
        let mut call = script::SETTLE
            .on(&keys, self.len() * 3 + 12, self.len() * 24 + letters)
            .arg(keys::GROUP)
            .arg(completed_at)
            .arg(DEAD_LETTERS)
            .arg(self.letters.len());
        for (counter, id, letter) in &self.letters {
            call.push(*counter);
            call.push_id(*id);
            call.push(*letter);
        }
        for (counter, ids) in &self.groups {
            call.push(*counter);
            call.push(ids.len());
            for id in ids {
                call.push_id(*id);
            }
        }
        call
    }
}

impl Settle {
    /// Splits a batch into calls: entries with a dead letter, the others grouped by counter.
    fn parts(&self) -> Result<Vec<Part<'_>>, StreamsError> {
        let mut letters: HashMap<EntryId, &[u8]> =
            self.dead.iter().map(|(id, letter)| (*id, letter.as_slice())).collect();
        let mut parts = vec![Part::default()];
        let mut room = IDS_PER_CALL;
        for (counter, ids) in &self.by_counter {
            let mut group = Vec::with_capacity(ids.len().min(IDS_PER_CALL));
            for id in ids {
                if room == 0 {
                    close(&mut parts, counter.field(), &mut group);
                    parts.push(Part::default());
                    room = IDS_PER_CALL;
                }
                room -= 1;
                let letter = if letters.is_empty() { None } else { letters.remove(id) };
                match (letter, parts.last_mut()) {
                    (Some(letter), Some(part)) => part.letters.push((counter.field(), *id, letter)),
                    (Some(_) | None, _) => group.push(*id),
                }
            }
            close(&mut parts, counter.field(), &mut group);
        }
        parts.retain(|part| part.len() > 0);
        match letters.keys().next() {
            Some(id) => Err(StreamsError::Refused(format!("a dead letter of entry {id}, which is not to be settled"))),
            None => Ok(parts),
        }
    }
}

fn close(parts: &mut [Part<'_>], counter: &'static str, group: &mut Vec<EntryId>) {
    if let (false, Some(part)) = (group.is_empty(), parts.last_mut()) {
        part.groups.push((counter, std::mem::take(group)));
    }
}

//! Rebuilding one partition from MySQL: the one operation that sweep, repair and requeue share.
//!
//! Read the stream's last id, read one MySQL snapshot up to it, and replace the partition if the last id is
//! still the same. Nothing else but a requeue adds entries to a stream that the dispatcher has passed.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::crash;
use crate::domain::{Counts, EntryId, Partition, Promotion, TargetId};
use crate::record::Record;
use crate::store::{Store, StoreError};
use crate::streams::{Rebuilt, Streams, StreamsError};

/// Times that a moved last id is read again. It moves when the dispatcher publishes (a page takes it some
/// 10 ms) or somebody else rebuilds, and a snapshot of a partition takes longer than that only when it is
/// large; what is still moving after this many tries is left to the next sweep.
pub(crate) const MAX_TRIES: u32 = 8;
/// Entries that a rebuilt stream is given at most: what one script adds in some 200 ms. Of a partition with more
/// unfinished targets the last id goes back to the last one that was added, and the dispatcher publishes what follows.
pub const MAX_ENTRIES: usize = 200_000;

/// What became of a rebuild.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RebuildOutcome {
    /// The partition is what MySQL says.
    Done {
        /// Its counts now.
        counts: Counts,
        /// Entries on its stream now: published targets that are not final.
        entries: usize,
        /// Whether there were more of them, which the dispatcher publishes anew.
        cut: bool,
    },
    /// There is no stream, and nothing was done: the dispatcher refills it.
    Missing,
    /// The last id kept moving, and nothing was done: somebody is publishing or rebuilding. Try again later.
    Moving,
}

/// Why a partition was not rebuilt. The caller branches on whether waiting helps.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// MySQL could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis refused, or did not answer: whether it was rebuilt is not known. Repeating is harmless.
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// Makes a partition's stream and counts what MySQL says.
///
/// Harmless at any time and any number of times: whoever works on an old entry writes its outcome to MySQL and
/// settles nothing any more, and the new entry finds the row final.
///
/// At most `most` entries are added, usually [`MAX_ENTRIES`].
///
/// # Errors
/// [`RebuildError`].
pub async fn rebuild(
    store: &Store,
    streams: &Streams,
    promotion: &Promotion,
    partition: Partition,
    most: usize,
) -> Result<RebuildOutcome, RebuildError> {
    let position = streams.positions(&[partition]).await?.pop().flatten();
    let Some(mut last) = position.map(|position| position.last) else { return Ok(RebuildOutcome::Missing) };
    for _ in 0..MAX_TRIES {
        // Read after the last id: every target up to it is on the stream or was settled.
        let proof = store.prove_partition(promotion, partition, last_target(last), most).await?;
        let records = records(promotion, &proof.unfinished);
        crash::point("rebuild.snapshot_read");
        match streams.rebuild(partition, last, proof.cut, &proof.counts, None, &records).await? {
            Rebuilt::Done => {
                let (entries, cut) = (records.len(), proof.cut.is_some());
                return Ok(RebuildOutcome::Done { counts: proof.counts, entries, cut });
            }
            Rebuilt::Missing => return Ok(RebuildOutcome::Missing),
            Rebuilt::Moved(now) => last = now,
        }
    }
    Ok(RebuildOutcome::Moving)
}

/// The last published target: the first part of the last id, whoever added that entry.
fn last_target(last: EntryId) -> TargetId {
    TargetId(i64::try_from(last.first).unwrap_or(i64::MAX))
}

/// A record for each target, published now.
pub(crate) fn records(promotion: &Promotion, targets: &[TargetId]) -> Vec<Vec<u8>> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let published_at_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    let encode = |target: &TargetId| {
        Record { kind: promotion.kind.code.clone(), promotion: promotion.id, target: *target, published_at_ms }.encode()
    };
    targets.iter().map(encode).collect()
}

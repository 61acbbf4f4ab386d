//! Which target an entry is about.

use std::collections::HashMap;

use anyhow::Result;
use pipeline::domain::{EntryId, Partition, TargetId};
use pipeline::record::Record;
use pipeline::streams::{PendingEntry, Streams};

/// The targets of a page's entries, in their order: by the id, or by the record of an entry that a rebuild or a requeue
/// made. Nothing for one of those that is gone, or whose record cannot be read.
pub(super) async fn targets(
    streams: &Streams,
    partition: Partition,
    page: &[PendingEntry],
) -> Result<Vec<Option<TargetId>>> {
    let made: Vec<EntryId> = page.iter().map(|entry| entry.id).filter(|id| id.target().is_none()).collect();
    let bodies = streams.bodies(partition, &made).await?;
    let records: HashMap<EntryId, TargetId> =
        bodies.iter().filter_map(|(id, body)| Some((*id, Record::decode(body).ok()?.target))).collect();
    Ok(page.iter().map(|entry| entry.id.target().or_else(|| records.get(&entry.id).copied())).collect())
}

//! Pages of pending entries over all partitions and consumers of a promotion.

use anyhow::Result;
use pipeline::domain::{EntryId, Partition, Promotion};
use pipeline::streams::{PendingEntry, Streams};

use super::{Cursor, PendingFilter};

/// Entries of a page of XPENDING: 0.3 ms of the Redis thread.
const PAGE: usize = 1_000;

/// What matches a filter, page by page: by partition, consumer and id. Holds one page at a time.
pub(super) struct Walk<'a> {
    filter: &'a PendingFilter,
    /// Lists that are still to be read, the next one last, and behind which entry.
    lists: Vec<(Partition, String, Option<EntryId>)>,
}

impl<'a> Walk<'a> {
    /// Begins behind `cursor`, or at the beginning.
    pub(super) async fn new(
        streams: &Streams,
        promotion: &Promotion,
        filter: &'a PendingFilter,
        cursor: Option<Cursor>,
    ) -> Result<Self> {
        let from = cursor.as_ref().map_or(0, |cursor| cursor.partition);
        let partitions: Vec<Partition> = promotion.partitions().filter(|partition| partition.number >= from).collect();
        let mut lists = Vec::new();
        for (partition, consumers) in partitions.iter().zip(streams.consumers(&partitions).await?) {
            let mut names: Vec<String> = consumers.into_iter().map(|consumer| consumer.name).collect();
            names.sort_unstable();
            let here = cursor.as_ref().filter(|cursor| cursor.partition == partition.number);
            for name in names {
                let wanted = filter.consumer.as_ref().is_none_or(|only| *only == name);
                if wanted && here.is_none_or(|cursor| name >= cursor.consumer) {
                    let after = here.filter(|cursor| name == cursor.consumer).map(|cursor| cursor.entry);
                    lists.push((*partition, name, after));
                }
            }
        }
        lists.reverse();
        Ok(Self { filter, lists })
    }

    /// The next page: what matches of it, which may be nothing.
    pub(super) async fn next(&mut self, streams: &Streams) -> Result<Option<(Partition, String, Vec<PendingEntry>)>> {
        let Some((partition, consumer, after)) = self.lists.pop() else { return Ok(None) };
        let mut page = streams.pending_page(partition, &consumer, after, PAGE).await?;
        if let Some(last) = page.last().filter(|_| page.len() == PAGE) {
            self.lists.push((partition, consumer.clone(), Some(last.id)));
        }
        let min_idle_ms = self.filter.min_idle.map_or(0, |idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
        let min_deliveries = self.filter.min_deliveries.unwrap_or(0);
        page.retain(|entry| entry.idle_ms >= min_idle_ms && entry.deliveries >= min_deliveries);
        Ok(Some((partition, consumer, page)))
    }
}

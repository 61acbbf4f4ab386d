//! What Redis knows about one target.

use anyhow::Result;
use pipeline::domain::{EntryId, Partition, TargetId};
use pipeline::keys;
use pipeline::record::{DeadLetter, Record};
use pipeline::streams::{Body, Streams};
use serde::Serialize;

use crate::session::Session;

/// Entries of a page: 1 ms of the Redis thread.
const PAGE: usize = 1_000;
/// Pages of a stream that are looked through for a rebuilt entry: more than a window holds by default.
const MAX_PAGES: usize = 100;
/// Pages of dead letters: the stream is trimmed to some 10,000.
const MAX_DEAD_PAGES: usize = 20;

/// Where a target's entry is.
#[derive(Serialize)]
pub(super) struct Entry {
    pub(super) partition: u32,
    /// In words.
    pub(super) place: String,
    pub(super) entry_id: Option<String>,
    pub(super) published_at_ms: Option<i64>,
    pub(super) consumer: Option<String>,
    pub(super) idle_ms: Option<u64>,
    pub(super) deliveries: Option<u64>,
}

/// A dead letter of the target.
#[derive(Serialize)]
pub(super) struct DeadLine {
    pub(super) entry_id: String,
    pub(super) key_generation: u32,
    pub(super) attempts: u32,
    pub(super) reason: String,
    pub(super) failed_at_ms: i64,
}

/// Its entry, and its dead letters.
pub(super) async fn look(session: &Session, partition: Partition, target: TargetId) -> Result<(Entry, Vec<DeadLine>)> {
    let streams = session.streams()?;
    Ok((entry(streams, partition, target).await?, dead(streams, partition, target).await?))
}

async fn entry(streams: &Streams, partition: Partition, target: TargetId) -> Result<Entry> {
    let mut entry = Entry {
        partition: partition.number,
        place: String::new(),
        entry_id: None,
        published_at_ms: None,
        consumer: None,
        idle_ms: None,
        deliveries: None,
    };
    let state = streams.partition_states(&[partition]).await?.into_iter().next().unwrap_or_default();
    let Some(position) = state.position else {
        entry.place = "the partition has no stream: it was not published yet, or has ended".to_owned();
        return Ok(entry);
    };
    let published = EntryId::published(target);
    let (found, whole) = match streams.bodies(partition, &[published]).await?.pop() {
        Some(body) => (Some(body), true),
        None => rebuilt(streams, partition, target).await?,
    };
    let id = found.as_ref().map_or(published, |(id, _)| *id);
    let holder = streams.holder(partition, id).await?;
    entry.place = match (&found, &holder) {
        (Some(_), Some(holder)) => match holder.consumer.as_str() {
            keys::RETRY => "parked: it waits for its next attempt".to_owned(),
            keys::HELD => "held: it waits for a person".to_owned(),
            consumer => format!("delivered to {consumer}"),
        },
        (Some(_), None) => "on the stream, not delivered yet".to_owned(),
        (None, Some(holder)) => format!("deleted by somebody else, and still pending of {}", holder.consumer),
        (None, None) if position.last < published => "not published yet".to_owned(),
        (None, None) if whole => "not on the stream: settled, or lost (the sweep repairs that)".to_owned(),
        (None, None) => format!("not among the first {} entries of the stream", PAGE * MAX_PAGES),
    };
    entry.published_at_ms = found.as_ref().and_then(|(_, body)| Some(Record::decode(body).ok()?.published_at_ms));
    entry.entry_id = (found.is_some() || holder.is_some()).then(|| id.to_string());
    if let Some(holder) = holder {
        entry.idle_ms = Some(holder.idle_ms);
        entry.deliveries = Some(holder.deliveries);
        entry.consumer = Some(holder.consumer);
    }
    Ok(entry)
}

/// The entry that a rebuild made for a target: its id does not name it, so its record must. Says as well whether
/// everything was looked through.
async fn rebuilt(streams: &Streams, partition: Partition, target: TargetId) -> Result<(Option<Body>, bool)> {
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let page = streams.page(partition, after, PAGE).await?;
        after = page.last().map(|(id, _)| *id);
        let full = page.len() == PAGE;
        let names = |body: &[u8]| Record::decode(body).is_ok_and(|record| record.target == target);
        if let Some(found) = page.into_iter().find(|(id, body)| id.target().is_none() && names(body)) {
            return Ok((Some(found), true));
        }
        if !full {
            return Ok((None, true));
        }
    }
    Ok((None, false))
}

async fn dead(streams: &Streams, partition: Partition, target: TargetId) -> Result<Vec<DeadLine>> {
    let (mut lines, mut before) = (Vec::new(), None);
    for _ in 0..MAX_DEAD_PAGES {
        let page = streams.dead_page(partition, before, PAGE).await?;
        before = page.last().map(|(id, _)| *id);
        for (id, body) in &page {
            let Some(letter) = DeadLetter::decode(body).ok().filter(|letter| letter.target == target) else { continue };
            lines.push(DeadLine {
                entry_id: id.to_string(),
                key_generation: letter.generation,
                attempts: letter.attempts,
                reason: letter.reason,
                failed_at_ms: letter.failed_at_ms,
            });
        }
        if page.len() < PAGE {
            break;
        }
    }
    Ok(lines)
}

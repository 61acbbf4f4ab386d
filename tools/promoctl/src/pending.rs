//! `pending list`: what is delivered and not settled, straight from XPENDING, with the rows.

use std::collections::HashMap;

use anyhow::Result;
use pipeline::domain::{EntryId, Partition, Promotion, ResultRow, TargetId, Waits};
use pipeline::streams::{PendingEntry, Streams};
use serde::Serialize;

use crate::cli::PendingArgs;
use crate::ended::{Ended, refuse};
use crate::output;
use crate::session::Session;

/// Entries of a page of XPENDING: 0.3 ms of the Redis thread.
const PAGE: usize = 1_000;

#[derive(Serialize)]
struct List {
    promotion_id: i64,
    data: Vec<Line>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Line {
    partition: u32,
    entry_id: String,
    /// A rebuilt entry does not name its target by its id.
    target_id: Option<i64>,
    consumer: String,
    idle_ms: u64,
    deliveries: u64,
    process_status: Option<&'static str>,
    retry_count: Option<u32>,
    waits_for: Option<&'static str>,
}

/// Where a page ends: everything up to here has been shown.
struct Cursor {
    partition: u32,
    consumer: String,
    entry: EntryId,
}

/// Lists entries by partition, consumer and id.
pub(crate) async fn list(session: &Session, args: &PendingArgs) -> Result<Ended> {
    let promotion = session.promotion(args.promotion).await?;
    let cursor = args.cursor.as_deref().map(cursor).transpose()?;
    let found = find(session.streams()?, &promotion, args, cursor).await?;
    let full = found.len() == args.limit as usize;
    let next_cursor = found
        .last()
        .filter(|_| full)
        .map(|(partition, entry)| format!("{}/{}/{}", partition.number, entry.consumer, entry.id));
    let targets: Vec<TargetId> = {
        let mut targets: Vec<TargetId> = found.iter().filter_map(|(_, entry)| entry.id.target()).collect();
        targets.sort_unstable();
        targets
    };
    let rows: HashMap<TargetId, ResultRow> =
        session.store.results(&promotion.kind, &targets).await?.into_iter().collect();
    let line = |(partition, entry): &(Partition, PendingEntry)| {
        let target = entry.id.target();
        let row = target.and_then(|target| rows.get(&target));
        Line {
            partition: partition.number,
            entry_id: entry.id.to_string(),
            target_id: target.map(|target| target.0),
            consumer: entry.consumer.clone(),
            idle_ms: entry.idle_ms,
            deliveries: entry.deliveries,
            process_status: row.map(|row| row.status.code()),
            retry_count: row.map(|row| row.retry_count),
            waits_for: row.and_then(|row| row.waits).map(Waits::code),
        }
    };
    let list = List { promotion_id: promotion.id.0, data: found.iter().map(line).collect(), next_cursor };
    session.print(&list, || print(&list))
}

async fn find(
    streams: &Streams,
    promotion: &Promotion,
    args: &PendingArgs,
    cursor: Option<Cursor>,
) -> Result<Vec<(Partition, PendingEntry)>> {
    let from = cursor.as_ref().map_or(0, |cursor| cursor.partition);
    let partitions: Vec<Partition> = promotion.partitions().filter(|partition| partition.number >= from).collect();
    let consumers = streams.consumers(&partitions).await?;
    let min_idle_ms = args.min_idle.map_or(0, |idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
    let limit = args.limit as usize;
    let mut found = Vec::new();
    for (partition, consumers) in partitions.iter().zip(consumers) {
        let mut names: Vec<String> = consumers.into_iter().map(|consumer| consumer.name).collect();
        names.sort_unstable();
        let here = cursor.as_ref().filter(|cursor| cursor.partition == partition.number);
        for name in names.iter().filter(|name| args.consumer.as_ref().is_none_or(|only| only == *name)) {
            if here.is_some_and(|cursor| name < &cursor.consumer) {
                continue;
            }
            let mut after = here.filter(|cursor| *name == cursor.consumer).map(|cursor| cursor.entry);
            loop {
                let page = streams.pending_page(*partition, name, after, PAGE).await?;
                after = page.last().map(|last| last.id);
                let full = page.len() == PAGE;
                let deliveries = args.min_deliveries.unwrap_or(0);
                let wanted =
                    page.into_iter().filter(|entry| entry.idle_ms >= min_idle_ms && entry.deliveries >= deliveries);
                found.extend(wanted.map(|entry| (*partition, entry)));
                if found.len() >= limit {
                    found.truncate(limit);
                    return Ok(found);
                }
                if !full {
                    break;
                }
            }
        }
    }
    Ok(found)
}

fn cursor(text: &str) -> Result<Cursor> {
    let parsed = || {
        let (partition, rest) = text.split_once('/')?;
        let (consumer, entry) = rest.rsplit_once('/')?;
        Some(Cursor { partition: partition.parse().ok()?, consumer: consumer.to_owned(), entry: entry.parse().ok()? })
    };
    match parsed() {
        Some(cursor) => Ok(cursor),
        None => refuse("a cursor looks like 0/payer-1/1234-0"),
    }
}

fn print(list: &List) {
    let header = ["partition", "entry", "target", "consumer", "idle", "deliveries", "row", "retries", "waits for"];
    let mut table = output::table(header, &[0, 2, 4, 5, 7]);
    for line in &list.data {
        let idle = humantime::format_duration(std::time::Duration::from_secs(line.idle_ms / 1000));
        table.add_row([
            line.partition.to_string(),
            line.entry_id.clone(),
            line.target_id.map_or_else(|| "-".to_owned(), |target| target.to_string()),
            line.consumer.clone(),
            idle.to_string(),
            line.deliveries.to_string(),
            output::text(line.process_status),
            line.retry_count.map_or_else(|| "-".to_owned(), |count| count.to_string()),
            output::text(line.waits_for),
        ]);
    }
    println!("{table}");
    if let Some(cursor) = &list.next_cursor {
        println!("more: --cursor {cursor}");
    }
}

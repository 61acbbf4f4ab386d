//! `pending list`: what is delivered and not settled, straight from XPENDING, with the rows.

mod about;
pub(crate) mod retry_now;
mod walk;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use pipeline::domain::{EntryId, Partition, Promotion, ResultRow, TargetId, Waits};
use pipeline::streams::{PendingEntry, Streams};
use serde::Serialize;

use crate::ended::{Ended, refuse};
use crate::output;
use crate::session::Session;
use walk::Walk;

/// Which pending entries of a promotion.
#[derive(Args, Debug)]
pub(crate) struct PendingFilter {
    /// Promotion
    #[arg(long)]
    promotion: i64,
    /// Only what this consumer holds (`retry` and `held` own parked entries)
    #[arg(long)]
    consumer: Option<String>,
    /// Only what nobody touched for this long
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    min_idle: Option<Duration>,
    /// Only what was delivered this often
    #[arg(long, value_name = "N")]
    min_deliveries: Option<u64>,
}

/// `pending list`
#[derive(Args, Debug)]
pub(crate) struct PendingArgs {
    #[command(flatten)]
    filter: PendingFilter,
    /// Most entries to show
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Continue behind this entry (`next_cursor` of the page before): partition/consumer/entry id
    #[arg(long)]
    cursor: Option<String>,
}

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
    /// Nothing where the entry is gone, or cannot be read.
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
    let promotion = session.promotion(args.filter.promotion).await?;
    let cursor = args.cursor.as_deref().map(cursor).transpose()?;
    let found = find(session.streams()?, &promotion, args, cursor).await?;
    let full = found.len() == args.limit as usize;
    let next_cursor = found
        .last()
        .filter(|_| full)
        .map(|Found { partition, entry, .. }| format!("{}/{}/{}", partition.number, entry.consumer, entry.id));
    let mut targets: Vec<TargetId> = found.iter().filter_map(|found| found.target).collect();
    targets.sort_unstable();
    let rows: HashMap<TargetId, ResultRow> =
        session.store.results(&promotion.kind, &targets).await?.into_iter().collect();
    let line = |Found { partition, entry, target }: &Found| {
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

/// An entry that matches.
struct Found {
    partition: Partition,
    entry: PendingEntry,
    target: Option<TargetId>,
}

/// Entries that match, in order, until there are `limit` of them.
async fn find(
    streams: &Streams,
    promotion: &Promotion,
    args: &PendingArgs,
    cursor: Option<Cursor>,
) -> Result<Vec<Found>> {
    let limit = args.limit as usize;
    let mut walk = Walk::new(streams, promotion, &args.filter, cursor).await?;
    let mut found = Vec::new();
    while let Some((partition, _, mut page)) = walk.next(streams).await? {
        page.truncate(limit - found.len());
        let targets = about::targets(streams, partition, &page).await?;
        found.extend(page.into_iter().zip(targets).map(|(entry, target)| Found { partition, entry, target }));
        if found.len() == limit {
            break;
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

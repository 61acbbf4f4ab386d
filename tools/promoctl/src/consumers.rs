//! `consumers list`: who reads the streams of a promotion.

pub(crate) mod prune;

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use pipeline::domain::Partition;
use pipeline::keys;
use serde::Serialize;

use crate::ended::Ended;
use crate::output;
use crate::session::Session;

/// `consumers list`
#[derive(Args, Debug)]
pub(crate) struct ConsumersArgs {
    /// Promotion
    #[arg(long)]
    promotion: i64,
    /// Most consumers to show
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Continue behind this name (`next_cursor` of the page before)
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
    consumer: String,
    /// A stage's process, or who owns what is parked.
    role: &'static str,
    partitions: usize,
    pending: u64,
    /// Since the last time that it asked any partition for anything.
    idle_ms: u64,
}

/// The consumers of all partitions, added up by name.
pub(crate) async fn list(session: &Session, args: &ConsumersArgs) -> Result<Ended> {
    let promotion = session.promotion(args.promotion).await?;
    let partitions: Vec<Partition> = promotion.partitions().collect();
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for consumer in session.streams()?.consumers(&partitions).await?.into_iter().flatten() {
        let role = match consumer.name.as_str() {
            keys::RETRY => "waiting for a retry",
            keys::HELD => "waiting for a person",
            _ => "payer or retrier",
        };
        let new = || Line { consumer: consumer.name.clone(), role, partitions: 0, pending: 0, idle_ms: u64::MAX };
        let line = lines.entry(consumer.name.clone()).or_insert_with(new);
        line.partitions += 1;
        line.pending += consumer.pending;
        line.idle_ms = line.idle_ms.min(consumer.idle_ms);
    }
    let behind = |line: &Line| args.cursor.as_ref().is_none_or(|cursor| line.consumer > *cursor);
    let data: Vec<Line> = lines.into_values().filter(behind).take(args.limit as usize).collect();
    let full = data.len() == args.limit as usize;
    let next_cursor = data.last().filter(|_| full).map(|last| last.consumer.clone());
    let list = List { promotion_id: promotion.id.0, data, next_cursor };
    session.print(&list, || {
        let mut table = output::table(["consumer", "role", "partitions", "pending", "idle"], &[2, 3, 4]);
        for line in &list.data {
            let idle = humantime::format_duration(std::time::Duration::from_secs(line.idle_ms / 1000));
            table.add_row([
                line.consumer.clone(),
                line.role.to_owned(),
                line.partitions.to_string(),
                output::count(line.pending),
                idle.to_string(),
            ]);
        }
        println!("{table}");
        if let Some(cursor) = &list.next_cursor {
            println!("more: --cursor {cursor}");
        }
    })
}

//! `consumers list`: who reads the streams of a promotion.

pub(crate) mod prune;

use std::collections::BTreeMap;

use anyhow::Result;
use pipeline::domain::Partition;
use pipeline::keys;
use serde::Serialize;

use crate::ended::Ended;
use crate::output;
use crate::session::Session;

#[derive(Serialize)]
struct List {
    promotion_id: i64,
    data: Vec<Line>,
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
pub(crate) async fn list(session: &Session, promotion: i64) -> Result<Ended> {
    let promotion = session.promotion(promotion).await?;
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
    let list = List { promotion_id: promotion.id.0, data: lines.into_values().collect() };
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
    })
}

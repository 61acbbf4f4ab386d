//! `consumers prune`: removes consumers that are gone and hold nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use pipeline::domain::{Amount, Partition};
use pipeline::streams::Parking;
use serde::Serialize;

use crate::cli::Consent;
use crate::consent::Plan;
use crate::ended::Ended;
use crate::output;
use crate::session::Session;

/// Names in the audit trail: its column is a text of 64 KB.
const NAMED: usize = 500;

/// `consumers prune`
#[derive(Args, Debug)]
pub(crate) struct PruneArgs {
    /// Promotion
    #[arg(long)]
    promotion: i64,
    /// Only those that asked for nothing for this long
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration, value_name = "TIME")]
    min_idle: Duration,
    /// Why, for the audit trail
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    plan: Plan,
    data: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    consumer: String,
    idle_ms: u64,
    /// Partitions that know it.
    partitions: usize,
    /// Partitions that have forgotten it now.
    removed: usize,
}

/// A consumer over all partitions.
struct Seen {
    pending: u64,
    idle_ms: u64,
    partitions: Vec<Partition>,
}

/// Removes them partition by partition. The script looks again in the same step, so that an entry which arrives
/// meanwhile keeps its holder. Ends with 3 when one was kept for that.
pub(crate) async fn run(session: &Session, args: &PruneArgs) -> Result<Ended> {
    let promotion = session.promotion(args.promotion).await?;
    let mut act = session.act("consumers prune", &args.reason)?;
    let partitions: Vec<Partition> = promotion.partitions().collect();
    let idle = u64::try_from(args.min_idle.as_millis()).unwrap_or(u64::MAX);
    let mut seen = consumers(session, &partitions).await?;
    seen.retain(|name, consumer| Parking::of(name).is_none() && consumer.pending == 0 && consumer.idle_ms >= idle);
    let names = seen.keys().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let plan = Plan {
        action: act.action,
        what: format!("remove {} consumers of promotion {} that hold nothing: {names}", seen.len(), promotion.id),
        promotion_id: Some(promotion.id.0),
        target_id: None,
        targets: 0,
        amount: Amount::ZERO,
        from: None,
        to: None,
        dry_run: args.consent.dry_run,
    };
    let line = |(consumer, seen): (&String, &Seen)| Line {
        consumer: consumer.clone(),
        idle_ms: seen.idle_ms,
        partitions: seen.partitions.len(),
        removed: 0,
    };
    let mut report = Report { plan, data: seen.iter().map(line).collect() };
    if !args.consent.dry_run && !seen.is_empty() {
        report.plan.consented(session, &args.consent)?;
        act.promotion = Some(promotion.id);
        act.filter = Some(format!("idle for {}", humantime::format_duration(args.min_idle)));
        act.detail = Some(serde_json::json!({ "consumers": names }).to_string());
        // The effect is in Redis, and cannot share the transaction: the trail says what was begun.
        session.store.record_act(&act).await?;
        for (line, consumer) in report.data.iter_mut().zip(seen.values()) {
            for partition in &consumer.partitions {
                // Repeating is harmless: who is gone is not removed again.
                line.removed += usize::from(session.streams()?.prune(*partition, &line.consumer, args.min_idle).await?);
            }
        }
    }
    let whole = report.plan.dry_run || report.data.iter().all(|line| line.removed == line.partitions);
    session.print(&report, || print(&report))?;
    Ok(if whole { Ended::Done } else { Ended::Partly })
}

async fn consumers(session: &Session, partitions: &[Partition]) -> Result<BTreeMap<String, Seen>> {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for (partition, consumers) in partitions.iter().zip(session.streams()?.consumers(partitions).await?) {
        for consumer in consumers {
            let new = || Seen { pending: 0, idle_ms: u64::MAX, partitions: Vec::new() };
            let of_all = seen.entry(consumer.name).or_insert_with(new);
            of_all.pending += consumer.pending;
            of_all.idle_ms = of_all.idle_ms.min(consumer.idle_ms);
            of_all.partitions.push(*partition);
        }
    }
    Ok(seen)
}

fn print(report: &Report) {
    if report.data.is_empty() {
        println!("every consumer holds something or is not idle for long enough; nothing was done");
        return;
    }
    let mut table = output::table(["consumer", "idle", "partitions", "removed from"], &[1, 2, 3]);
    for line in &report.data {
        table.add_row([
            line.consumer.clone(),
            humantime::format_duration(Duration::from_secs(line.idle_ms / 1000)).to_string(),
            line.partitions.to_string(),
            if report.plan.dry_run { "-".to_owned() } else { line.removed.to_string() },
        ]);
    }
    println!("{table}");
}

//! `repair`: rebuilds a promotion's partitions in Redis from MySQL.

use anyhow::Result;
use pipeline::domain::{Partition, Promotion, PromotionStatus};
use pipeline::rebuild::{MAX_ENTRIES, RebuildOutcome, rebuild};
use serde::Serialize;

use crate::cli::RepairArgs;
use crate::consent::Plan;
use crate::ended::{Ended, refuse};
use crate::output;
use crate::session::Session;

#[derive(Serialize)]
struct Repaired {
    promotion_id: i64,
    partitions: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    partition: u32,
    outcome: &'static str,
    published: Option<u64>,
    settled: Option<u64>,
    entries: Option<usize>,
    message: Option<String>,
}

/// Rebuilds one partition or all. Harmless at any time; ends with 3 when some could not be rebuilt.
pub(crate) async fn run(session: &Session, args: &RepairArgs) -> Result<Ended> {
    let promotion = session.promotion(args.promotion).await?;
    let partitions = partitions(&promotion, args.partition)?;
    match promotion.status {
        PromotionStatus::InProgress | PromotionStatus::Stopped | PromotionStatus::Failed => {}
        PromotionStatus::Loading | PromotionStatus::Ready => {
            return refuse(format!(
                "promotion {} is {}: nothing was published yet",
                promotion.id,
                promotion.status.code()
            ));
        }
        PromotionStatus::Completed => {
            return refuse(format!(
                "promotion {} is COMPLETED: its partitions are gone, as they should be",
                promotion.id
            ));
        }
    }
    let mut act = session.act("repair", &args.reason)?;
    let open = super::promotion::open_of(&session.store.prove(&promotion).await?);
    let which = args.partition.map_or_else(|| "all partitions".to_owned(), |number| format!("partition {number}"));
    let mut plan = Plan {
        action: act.action,
        what: format!("rebuild {which} of promotion {} ({}) from MySQL", promotion.id, promotion.campaign_code),
        promotion_id: Some(promotion.id.0),
        target_id: None,
        targets: open.0,
        amount: open.1,
        from: None,
        to: None,
        dry_run: false,
    };
    if !plan.consented(session, &args.consent)? {
        return Ok(Ended::Done);
    }
    (act.promotion, act.items, act.amount) = (Some(promotion.id), open.0, open.1);
    act.filter = args.partition.map(|number| format!("partition {number}"));
    // The effect is in Redis, and cannot share the transaction: the trail says what was begun.
    session.store.record_act(&act).await?;
    let mut lines = Vec::with_capacity(partitions.len());
    for partition in partitions {
        lines.push(line(session, &promotion, partition).await?);
    }
    let done = lines.iter().all(|line| line.outcome == "rebuilt");
    let repaired = Repaired { promotion_id: promotion.id.0, partitions: lines };
    session.print(&repaired, || print(&repaired))?;
    Ok(if done { Ended::Done } else { Ended::Partly })
}

fn partitions(promotion: &Promotion, only: Option<u32>) -> Result<Vec<Partition>> {
    let partitions: Vec<Partition> =
        promotion.partitions().filter(|partition| only.is_none_or(|number| number == partition.number)).collect();
    match partitions.is_empty() {
        true => refuse(format!("promotion {} has the partitions 0 to {}", promotion.id, promotion.partition_count - 1)),
        false => Ok(partitions),
    }
}

async fn line(session: &Session, promotion: &Promotion, partition: Partition) -> Result<Line> {
    let line = |outcome, message: Option<String>| Line {
        partition: partition.number,
        outcome,
        published: None,
        settled: None,
        entries: None,
        message,
    };
    Ok(match rebuild(&session.store, session.streams()?, promotion, partition, MAX_ENTRIES).await {
        Ok(RebuildOutcome::Done { counts, entries, cut }) => Line {
            published: Some(counts.published),
            settled: Some(counts.settled()),
            entries: Some(entries),
            ..line("rebuilt", cut.then(|| "the dispatcher publishes the rest".to_owned()))
        },
        Ok(RebuildOutcome::Missing) => line("no stream", Some("the dispatcher refills it".to_owned())),
        Ok(RebuildOutcome::Moving) => line("moving", Some("it is being published or rebuilt; try again".to_owned())),
        Err(error) => line("failed", Some(error.to_string())),
    })
}

fn print(repaired: &Repaired) {
    let mut table = output::table(["partition", "outcome", "published", "settled", "entries", ""], &[0, 2, 3, 4]);
    let figure = |figure: Option<u64>| figure.map_or_else(|| "-".to_owned(), output::count);
    for line in &repaired.partitions {
        table.add_row([
            line.partition.to_string(),
            line.outcome.to_owned(),
            figure(line.published),
            figure(line.settled),
            figure(line.entries.map(|entries| entries as u64)),
            line.message.clone().unwrap_or_default(),
        ]);
    }
    println!("{table}");
}

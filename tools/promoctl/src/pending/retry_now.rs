//! `pending retry-now`: makes parked entries due, whatever their backoff.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use pipeline::domain::{Amount, EntryId, Promotion, PromotionStatus, TargetId};
use pipeline::streams::Parking;
use rust_decimal::Decimal;
use serde::Serialize;

use super::walk::Walk;
use super::{PendingFilter, about};
use crate::cli::Consent;
use crate::consent::Plan;
use crate::ended::{Ended, refuse};
use crate::output;
use crate::session::Session;

/// `pending retry-now`
#[derive(Args, Debug)]
pub(crate) struct RetryNowArgs {
    #[command(flatten)]
    filter: PendingFilter,
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
    /// Entries that are due now; none on a dry run.
    made_due: u64,
    /// What matches and stays as it is.
    not_eligible: Vec<NotEligible>,
}

#[derive(Serialize)]
struct NotEligible {
    consumer: String,
    entries: u64,
    reason: String,
}

/// What matches the filter.
#[derive(Default)]
struct Found {
    eligible: u64,
    amount: Amount,
    /// Entries of consumers that work on them.
    in_hands: BTreeMap<String, u64>,
}

/// Parked entries become due; nothing is taken from whoever works on it. The retrier does the rest: it takes them at
/// its next tick and looks unknown outcomes up before it sends anything.
pub(crate) async fn run(session: &Session, args: &RetryNowArgs) -> Result<Ended> {
    let promotion = session.promotion(args.filter.promotion).await?;
    if promotion.status != PromotionStatus::InProgress {
        let status = promotion.status.code();
        return refuse(format!("promotion {} is {status}: only what is IN_PROGRESS is retried", promotion.id));
    }
    let mut act = session.act("pending retry-now", &args.reason)?;
    let found = survey(session, &promotion, &args.filter).await?;
    let plan = Plan {
        action: act.action,
        what: format!("retry parked entries of promotion {} ({}) now", promotion.id, promotion.campaign_code),
        promotion_id: Some(promotion.id.0),
        target_id: None,
        targets: found.eligible,
        amount: found.amount,
        from: None,
        to: None,
        dry_run: args.consent.dry_run,
    };
    let timeout = humantime::format_duration(session.config.retry.visibility_timeout);
    let reason = format!("it works on them; if it is dead, the retrier takes them after {timeout} by itself");
    let not_eligible = found.in_hands.into_iter();
    let not_eligible =
        not_eligible.map(|(consumer, entries)| NotEligible { consumer, entries, reason: reason.clone() }).collect();
    let mut report = Report { plan, made_due: 0, not_eligible };
    if !args.consent.dry_run && found.eligible > 0 {
        report.plan.consented(session, &args.consent)?;
        (act.promotion, act.items, act.amount) = (Some(promotion.id), found.eligible, found.amount);
        act.filter = Some(words(&args.filter));
        // The effect is in Redis, and cannot share the transaction: the trail says what was begun.
        session.store.record_act(&act).await?;
        report.made_due = make_due(session, &promotion, &args.filter).await?;
    }
    session.print(&report, || print(&report))?;
    // Somebody else settled or took the others meanwhile: they are due no more.
    let whole = args.consent.dry_run || report.made_due >= found.eligible;
    Ok(if whole { Ended::Done } else { Ended::Partly })
}

/// How much there is, and whose.
async fn survey(session: &Session, promotion: &Promotion, filter: &PendingFilter) -> Result<Found> {
    let streams = session.streams()?;
    let mut walk = Walk::new(streams, promotion, filter, None).await?;
    let mut found = Found::default();
    while let Some((partition, consumer, page)) = walk.next(streams).await? {
        if page.is_empty() {
            continue;
        }
        match Parking::of(&consumer) {
            Some(_) => {
                found.eligible += page.len() as u64;
                let targets = about::targets(streams, partition, &page).await?;
                let mut targets: Vec<TargetId> = targets.into_iter().flatten().collect();
                targets.sort_unstable();
                let rows = session.store.evidence_of(promotion, &targets).await?;
                let cents: i64 = rows.iter().filter_map(|row| row.cents).sum();
                found.amount = found.amount + Amount::from_row(Decimal::new(cents, 2));
            }
            None => *found.in_hands.entry(consumer).or_default() += page.len() as u64,
        }
    }
    Ok(found)
}

/// Page by page, by the same filter. Repeating it is harmless: an entry that is due stays due, and one that is not
/// parked any more is left alone by the script.
async fn make_due(session: &Session, promotion: &Promotion, filter: &PendingFilter) -> Result<u64> {
    let streams = session.streams()?;
    let mut walk = Walk::new(streams, promotion, filter, None).await?;
    let mut made_due = 0;
    while let Some((partition, consumer, page)) = walk.next(streams).await? {
        if let Some(parking) = Parking::of(&consumer) {
            let ids: Vec<EntryId> = page.iter().map(|entry| entry.id).collect();
            made_due += streams.make_due(partition, parking, &ids).await?;
        }
    }
    Ok(made_due)
}

fn words(filter: &PendingFilter) -> String {
    let idle = filter.min_idle.map(|idle| format!("idle for {}", humantime::format_duration(idle)));
    let parts = [
        filter.consumer.as_ref().map(|consumer| format!("consumer {consumer}")),
        idle,
        filter.min_deliveries.map(|deliveries| format!("delivered {deliveries} times or more")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "all".to_owned() } else { parts.join(", ") }
}

fn print(report: &Report) {
    let (targets, amount) = (output::count(report.plan.targets), output::money(report.plan.amount));
    match (report.plan.dry_run, report.plan.targets) {
        (_, 0) => println!("no parked entry matches; nothing was done"),
        (true, _) => println!("would {}: {targets} entries, {amount}", report.plan.what),
        (false, _) => println!("done: {}: {} of {targets} entries, {amount}", report.plan.what, report.made_due),
    }
    if report.not_eligible.is_empty() {
        return;
    }
    println!("\nNot eligible");
    let mut table = output::table(["consumer", "entries", ""], &[1]);
    for line in &report.not_eligible {
        table.add_row([line.consumer.clone(), output::count(line.entries), line.reason.clone()]);
    }
    println!("{table}");
}

//! `resolve`: closes an outcome that waits for a person.

use anyhow::Result;
use pipeline::domain::{Amount, EntryId, Partition, PayoutType, TargetId, Waits};
use pipeline::store::{Resolution, Unresolved, Waiting};
use pipeline::streams::Parking;
use std::sync::Arc;

use crate::cli::ResolveArgs;
use crate::consent::Plan;
use crate::ended::{Ended, refuse};
use crate::session::Session;

/// Entries of a page of what is held.
const PAGE: usize = 1_000;
/// Pages of held entries that are looked through for a rebuilt entry of the target.
const MAX_PAGES: usize = 100;
/// Width of `transaction_key`.
const MAX_KEY: usize = 100;

/// PENDING and waiting for a person → SUCCESS or FAILED; then its entry is made due, so that it is settled soon.
pub(crate) async fn run(session: &Session, args: &ResolveArgs) -> Result<Ended> {
    let resolution = resolution(args)?;
    let (kind, row) = target(session, args).await?;
    let mut act = session.act("resolve", &args.reason)?;
    let (verb, to) = match &resolution {
        Resolution::Paid(_) => ("paid", "SUCCESS"),
        Resolution::NotPaid => ("not paid", "FAILED"),
    };
    let amount = row.amount.unwrap_or(Amount::ZERO);
    let waits = row.waits.map_or("nothing", Waits::code);
    let customer = session.customer(row.customer.0);
    let mut plan = Plan {
        action: act.action,
        what: format!(
            "close target {} of promotion {} (customer {customer}, waiting for {waits}) as {verb}",
            row.target, row.promotion
        ),
        promotion_id: Some(row.promotion.0),
        target_id: Some(row.target.0),
        targets: 1,
        amount,
        from: row.status.map(|status| status.code().to_owned()),
        to: Some(to.to_owned()),
        dry_run: false,
    };
    if row.waits.is_none() {
        return refuse(unresolved(&Unresolved::NotWaiting(row.status)));
    }
    if !plan.consented(session, &args.consent)? {
        return Ok(Ended::Done);
    }
    (act.promotion, act.target, act.items, act.amount) = (Some(row.promotion), Some(row.target), 1, amount);
    let key = match &resolution {
        Resolution::Paid(key) => Some(key),
        Resolution::NotPaid => None,
    };
    let detail = serde_json::json!({
        "resolution": verb, "transaction_key": key, "type": kind.code, "waits_for": waits, "error_code": row.code,
        "retry_count": row.retry_count, "key_generation": row.generation,
    });
    act.detail = Some(detail.to_string());
    if let Some(why) = session.store.resolve(&kind, &row, &resolution, &act).await? {
        return refuse(unresolved(&why));
    }
    // The row is final. Settling its entry sooner is a courtesy: the retrier's slowest pace finds it too.
    if let Err(error) = make_due(session, &row).await {
        eprintln!("promoctl: the row is closed; its entry is settled at the retrier's slowest pace ({error:#})");
    }
    plan.done(session)
}

fn resolution(args: &ResolveArgs) -> Result<Resolution> {
    match args.paid.as_deref().map(str::trim) {
        Some("") => refuse("--paid needs money's key of the payment"),
        Some(key) if key.chars().count() > MAX_KEY => refuse(format!("a key has at most {MAX_KEY} characters")),
        Some(key) => Ok(Resolution::Paid(key.to_owned())),
        None => Ok(Resolution::NotPaid),
    }
}

async fn target(session: &Session, args: &ResolveArgs) -> Result<(Arc<PayoutType>, Waiting)> {
    let kind = session.kind(args.promotion, args.kind.as_deref()).await?;
    match session.store.standing(&kind, TargetId(args.target)).await? {
        Some(row) if args.promotion.is_none_or(|promotion| promotion == row.promotion.0) => Ok((kind, row)),
        Some(_) | None => refuse(format!("there is no target {} of that promotion or type", args.target)),
    }
}

fn unresolved(why: &Unresolved) -> String {
    match why {
        Unresolved::NotThere => "the target is gone".to_owned(),
        Unresolved::NotWaiting(status) => {
            let status = status.map_or("no result", |status| status.code());
            format!("the target does not wait for a person: it has {status}")
        }
        Unresolved::Changed => "the row has changed since it was read; look again and repeat".to_owned(),
    }
}

/// Makes the target's entry due. One that the dispatcher published names its target by its id; a rebuilt one does not,
/// so all rebuilt ones that are held are made due: looked up once more, they are held again.
async fn make_due(session: &Session, row: &Waiting) -> Result<()> {
    let streams = session.streams()?;
    let partition = Partition { promotion: row.promotion, number: row.partition };
    let published = [EntryId::published(row.target)];
    for parking in [Parking::Held, Parking::Retry] {
        if streams.make_due(partition, parking, &published).await? > 0 {
            return Ok(());
        }
    }
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let page = streams.pending_page(partition, Parking::Held.consumer(), after, PAGE).await?;
        let rebuilt: Vec<EntryId> = page.iter().map(|entry| entry.id).filter(|id| id.second != 0).collect();
        streams.make_due(partition, Parking::Held, &rebuilt).await?;
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.id),
            Some(_) | None => return Ok(()),
        }
    }
    Ok(())
}

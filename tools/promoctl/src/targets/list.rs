//! `targets list`

use std::time::Duration;

use anyhow::Result;
use chrono::{NaiveDateTime, TimeDelta};
use clap::Args;
use pipeline::domain::{Amount, CustomerUid, ProcessStatus, Promotion, TargetId, Waits};
use pipeline::store::{Bounds, Standing, Stretch, TargetFilter, TargetLine};
use serde::Serialize;

use crate::ended::Ended;
use crate::output::{self, text};
use crate::session::Session;

/// Ids that one statement looks through: some 20 ms.
const STRETCH: i64 = 20_000;
/// Stretches that one command looks through: some 2 s, and then it says how far it has come.
const MAX_STRETCHES: u32 = 100;

/// `targets list`
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Promotion
    #[arg(long)]
    promotion: i64,
    /// Only those whose result has this status, that are not marked as published, or that wait for a person
    #[arg(long, ignore_case = true, value_parser = ["PENDING", "RETRYING", "SUCCESS", "FAILED", "UNPUBLISHED", "WAITING"])]
    status: Option<String>,
    /// Only those with this error code
    #[arg(long, value_name = "CODE")]
    error_code: Option<String>,
    /// Only those whose result nobody touched for this long
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    older_than: Option<Duration>,
    /// Only this customer's
    #[arg(long, value_name = "ID")]
    customer: Option<i64>,
    /// Most targets to show
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Continue behind this id (`next_cursor` of the page before)
    #[arg(long)]
    cursor: Option<i64>,
}

#[derive(Serialize)]
struct Page {
    promotion_id: i64,
    data: Vec<Line>,
    /// There may be more behind it.
    next_cursor: Option<i64>,
    /// Targets up to this id were looked at.
    looked_through: Option<i64>,
    /// The promotion's last target.
    last_target_id: Option<i64>,
}

#[derive(Serialize)]
struct Line {
    target_id: i64,
    customer_uid: String,
    amount: Option<Amount>,
    publish_status: String,
    process_status: Option<&'static str>,
    error_code: Option<String>,
    /// Attempts since the last requeue; none before the intent.
    attempts: u32,
    requeues: u32,
    waits_for: Option<&'static str>,
    #[serde(serialize_with = "output::iso")]
    updated_at: Option<NaiveDateTime>,
}

/// Lists targets. A filter that few meet is looked for stretch by stretch; when that takes too long, the page says how
/// far it has come, and the cursor goes on from there.
pub(crate) async fn run(session: &Session, args: &ListArgs) -> Result<Ended> {
    let promotion = session.promotion(args.promotion).await?;
    let (filter, standing) = filter(session, args);
    let mut page = Page {
        promotion_id: promotion.id.0,
        data: Vec::new(),
        next_cursor: None,
        looked_through: None,
        last_target_id: None,
    };
    if let Some(bounds) = session.store.bounds(&promotion).await? {
        look_through(session, args, &promotion, &filter, standing, bounds, &mut page).await?;
    }
    session.print(&page, || print(&page))
}

fn filter(session: &Session, args: &ListArgs) -> (TargetFilter, Option<Standing>) {
    let status = args.status.as_deref().map(str::to_ascii_uppercase);
    let standing = match status.as_deref() {
        Some("UNPUBLISHED") => Some(Standing::Unpublished),
        Some("WAITING") => Some(Standing::Waiting),
        Some(_) | None => None,
    };
    let age = args.older_than.map(|age| TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX));
    let filter = TargetFilter {
        statuses: status.as_deref().and_then(ProcessStatus::from_code).into_iter().map(Some).collect(),
        codes: args.error_code.iter().cloned().collect(),
        // Nothing is older than 1970, which is what the default is.
        touched_until: age
            .map(|age| session.store.now().checked_sub_signed(age).unwrap_or_default().max(NaiveDateTime::default())),
        customer: args.customer.map(CustomerUid),
        targets: Vec::new(),
    };
    (filter, standing)
}

async fn look_through(
    session: &Session,
    args: &ListArgs,
    promotion: &Promotion,
    filter: &TargetFilter,
    standing: Option<Standing>,
    bounds: Bounds,
    page: &mut Page,
) -> Result<()> {
    page.last_target_id = Some(bounds.last.0);
    let mut after = args.cursor.unwrap_or(i64::MIN).max(bounds.first.0 - 1);
    // A customer is found by an index, wherever the target lies.
    let width = if args.customer.is_some() { i64::MAX } else { STRETCH };
    for _ in 0..MAX_STRETCHES {
        if after >= bounds.last.0 {
            break;
        }
        let until = after.saturating_add(width).min(bounds.last.0);
        let room = args.limit - u32::try_from(page.data.len()).unwrap_or(args.limit);
        let stretch = Stretch { after: TargetId(after), until: TargetId(until) };
        let rows = session.store.targets(promotion, filter, standing, stretch, room).await?;
        let full = rows.len() == room as usize;
        after = rows.last().filter(|_| full).map_or(until, |last| last.target.0);
        page.data.extend(rows.into_iter().map(|row| line(session, row)));
        if full {
            break;
        }
    }
    page.looked_through = Some(after.min(bounds.last.0));
    page.next_cursor = (after < bounds.last.0).then_some(after);
    Ok(())
}

fn line(session: &Session, row: TargetLine) -> Line {
    Line {
        target_id: row.target.0,
        customer_uid: session.customer(row.customer.0),
        amount: row.amount,
        publish_status: row.publish_status,
        process_status: row.status.map(ProcessStatus::code),
        error_code: row.code,
        attempts: if row.status.is_some() { row.retry_count + 1 } else { 0 },
        requeues: row.requeues,
        waits_for: row.waits.map(Waits::code),
        updated_at: row.updated_at,
    }
}

fn print(page: &Page) {
    let header = [
        "target",
        "customer",
        "amount",
        "published",
        "status",
        "error code",
        "attempts",
        "requeues",
        "waits for",
        "touched",
    ];
    let mut table = output::table(header, &[0, 2, 6, 7]);
    for line in &page.data {
        table.add_row([
            line.target_id.to_string(),
            line.customer_uid.clone(),
            line.amount.map_or_else(|| "-".to_owned(), output::money),
            line.publish_status.clone(),
            text(line.process_status),
            text(line.error_code.as_deref()),
            line.attempts.to_string(),
            line.requeues.to_string(),
            text(line.waits_for),
            output::time(line.updated_at),
        ]);
    }
    println!("{table}");
    if let (Some(cursor), Some(last)) = (page.next_cursor, page.last_target_id) {
        println!("looked through the targets up to {cursor} of {last}; more: --cursor {cursor}");
    }
}

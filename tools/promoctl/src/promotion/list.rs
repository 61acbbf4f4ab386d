//! `promotion list`

use anyhow::Result;
use chrono::NaiveDateTime;
use pipeline::domain::{Amount, PromotionId, PromotionStatus};
use pipeline::store::Overview;
use serde::Serialize;

use crate::cli::ListArgs;
use crate::ended::Ended;
use crate::output;
use crate::session::Session;

/// A promotion as it is listed.
#[derive(Serialize)]
pub(super) struct Line {
    pub(super) promotion_id: i64,
    pub(super) campaign_code: String,
    pub(super) promotion_type: String,
    pub(super) promotion_status: &'static str,
    pub(super) total_count: u64,
    pub(super) total_amount: Amount,
    pub(super) partition_count: u32,
    pub(super) published_count: u64,
    pub(super) success_count: u64,
    pub(super) retry_success_count: u64,
    pub(super) fail_count: u64,
    pub(super) reservation_priority: Option<i32>,
    #[serde(serialize_with = "output::iso")]
    pub(super) reservation_at: Option<NaiveDateTime>,
    #[serde(serialize_with = "output::iso")]
    pub(super) created_at: Option<NaiveDateTime>,
    pub(super) created_by: Option<String>,
    #[serde(serialize_with = "output::iso")]
    pub(super) started_at: Option<NaiveDateTime>,
    #[serde(serialize_with = "output::iso")]
    pub(super) completed_at: Option<NaiveDateTime>,
    #[serde(serialize_with = "output::iso")]
    pub(super) stopped_at: Option<NaiveDateTime>,
    pub(super) stopped_memo: Option<String>,
}

#[derive(Serialize)]
struct Page {
    data: Vec<Line>,
    next_cursor: Option<i64>,
}

/// Promotions, newest first.
pub(crate) async fn run(session: &Session, args: &ListArgs) -> Result<Ended> {
    let status = args.status.as_deref().map(str::to_ascii_uppercase);
    let status = status.as_deref().and_then(PromotionStatus::from_code);
    let rows = session.store.overviews(status, args.cursor.map(PromotionId), args.limit).await?;
    let full = rows.len() == args.limit as usize;
    let next_cursor = rows.last().filter(|_| full).map(|last| last.id.0);
    let page = Page { data: rows.into_iter().map(Line::from).collect(), next_cursor };
    session.print(&page, || {
        let header =
            ["id", "campaign", "type", "status", "targets", "amount", "published", "paid", "failed", "due", "started"];
        let mut table = output::table(header, &[4, 5, 6, 7, 8]);
        for line in &page.data {
            table.add_row([
                line.promotion_id.to_string(),
                line.campaign_code.clone(),
                line.promotion_type.clone(),
                line.promotion_status.to_owned(),
                output::count(line.total_count),
                output::money(line.total_amount),
                output::count(line.published_count),
                output::count(line.success_count + line.retry_success_count),
                output::count(line.fail_count),
                output::time(line.reservation_at),
                output::time(line.started_at),
            ]);
        }
        println!("{table}");
        if let Some(cursor) = page.next_cursor {
            println!("more: --cursor {cursor}");
        }
    })
}

impl From<Overview> for Line {
    fn from(row: Overview) -> Self {
        Self {
            promotion_id: row.id.0,
            campaign_code: row.campaign_code,
            promotion_type: row.kind,
            promotion_status: row.status.code(),
            total_count: row.total_count,
            total_amount: row.total_amount,
            partition_count: row.partition_count,
            published_count: row.counts.published,
            success_count: row.counts.success,
            retry_success_count: row.counts.retry_success,
            fail_count: row.counts.fail,
            reservation_priority: row.reservation_priority,
            reservation_at: row.reservation_at,
            created_at: row.created_at,
            created_by: row.created_by,
            started_at: row.started_at,
            completed_at: row.completed_at,
            stopped_at: row.stopped_at,
            stopped_memo: row.stopped_memo,
        }
    }
}

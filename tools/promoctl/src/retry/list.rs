//! `retry list`: plans, newest first.

use anyhow::Result;
use clap::Args;
use pipeline::domain::{Amount, PlanId, PromotionId};
use pipeline::store::RetryPlan;
use serde::Serialize;

use crate::ended::Ended;
use crate::output;
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Only those of this promotion
    #[arg(long)]
    promotion: Option<i64>,
    /// Most plans to show
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Continue below this id (`next_cursor` of the page before)
    #[arg(long)]
    cursor: Option<i64>,
}

#[derive(Serialize)]
struct List {
    data: Vec<Line>,
    next_cursor: Option<i64>,
}

/// A plan without its targets.
#[derive(Serialize)]
pub(crate) struct Line {
    pub(crate) plan_id: i64,
    pub(crate) promotion_id: i64,
    pub(crate) status: &'static str,
    pub(crate) filter: String,
    pub(crate) targets: u64,
    pub(crate) amount: Amount,
    pub(crate) hash: Option<String>,
    pub(crate) created_by: String,
    #[serde(serialize_with = "output::iso")]
    pub(crate) created_at: Option<chrono::NaiveDateTime>,
    pub(crate) applied_by: Option<String>,
    pub(crate) reason: Option<String>,
    #[serde(serialize_with = "output::iso")]
    pub(crate) applied_at: Option<chrono::NaiveDateTime>,
    #[serde(serialize_with = "output::iso")]
    pub(crate) finished_at: Option<chrono::NaiveDateTime>,
}

impl Line {
    /// Of a plan.
    pub(crate) fn of(plan: RetryPlan) -> Self {
        Self {
            plan_id: plan.id.0,
            promotion_id: plan.promotion.0,
            status: plan.status.code(),
            filter: plan.filter,
            targets: plan.targets,
            amount: plan.amount,
            hash: plan.hash,
            created_by: plan.created_by,
            created_at: Some(plan.created_at),
            applied_by: plan.applied_by,
            reason: plan.reason,
            applied_at: plan.applied_at,
            finished_at: plan.finished_at,
        }
    }
}

/// Lists plans.
pub(crate) async fn run(session: &Session, args: &ListArgs) -> Result<Ended> {
    let (promotion, before) = (args.promotion.map(PromotionId), args.cursor.map(PlanId));
    let plans = session.store.retry_plans(promotion, before, args.limit).await?;
    let full = plans.len() == args.limit as usize;
    let next_cursor = plans.last().filter(|_| full).map(|plan| plan.id.0);
    let list = List { data: plans.into_iter().map(Line::of).collect(), next_cursor };
    session.print(&list, || {
        let header = ["plan", "promotion", "status", "targets", "amount", "filter", "made by", "made", "applied"];
        let mut table = output::table(header, &[0, 1, 3, 4]);
        for line in &list.data {
            table.add_row([
                line.plan_id.to_string(),
                line.promotion_id.to_string(),
                line.status.to_owned(),
                output::count(line.targets),
                output::money(line.amount),
                line.filter.clone(),
                line.created_by.clone(),
                output::time(line.created_at),
                output::time(line.applied_at),
            ]);
        }
        println!("{table}");
        if let Some(cursor) = list.next_cursor {
            println!("more: --cursor {cursor}");
        }
    })
}

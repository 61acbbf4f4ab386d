//! `acts list`: what operators did, as it stands in the audit trail.

use anyhow::Result;
use chrono::NaiveDateTime;
use clap::{Args, Subcommand};
use pipeline::domain::{Amount, PromotionId};
use pipeline::store::RecordedAct;
use serde::Serialize;

use crate::ended::Ended;
use crate::output;
use crate::session::Session;

#[derive(Subcommand, Debug)]
pub(crate) enum ActsCommand {
    /// Every write of an operator, newest first: who, what, how many, how much money, why
    List(ListArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Only on this promotion
    #[arg(long)]
    promotion: Option<i64>,
    /// Only by this person
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only this, as it is called on the command line: 'promotion stop'
    #[arg(long, value_name = "COMMAND")]
    action: Option<String>,
    /// Most acts to show
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Continue below this id (`next_cursor` of the page before)
    #[arg(long)]
    cursor: Option<i64>,
}

#[derive(Serialize)]
struct Page {
    data: Vec<Line>,
    next_cursor: Option<i64>,
}

#[derive(Serialize)]
struct Line {
    audit_id: i64,
    #[serde(serialize_with = "output::iso")]
    at: Option<NaiveDateTime>,
    actor: String,
    action: String,
    promotion_id: Option<i64>,
    target_id: Option<i64>,
    filter: Option<String>,
    reason: String,
    targets: u64,
    amount: Amount,
    /// More, as the command wrote it.
    detail: Option<serde_json::Value>,
}

/// Acts, newest first.
pub(crate) async fn list(session: &Session, args: &ListArgs) -> Result<Ended> {
    let promotion = args.promotion.map(PromotionId);
    let (actor, action) = (args.actor.as_deref(), args.action.as_deref());
    let acts = session.store.recorded_acts(promotion, actor, action, args.cursor, args.limit).await?;
    let full = acts.len() == args.limit as usize;
    let next_cursor = acts.last().filter(|_| full).map(|last| last.id);
    let page = Page { data: acts.into_iter().map(line).collect(), next_cursor };
    session.print(&page, || {
        let header = ["id", "at", "who", "what", "promotion", "target", "filter", "targets", "amount", "why"];
        let mut table = output::table(header, &[0, 4, 5, 7, 8]);
        let id = |id: Option<i64>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        for line in &page.data {
            table.add_row([
                line.audit_id.to_string(),
                output::time(line.at),
                line.actor.clone(),
                line.action.clone(),
                id(line.promotion_id),
                id(line.target_id),
                output::text(line.filter.as_deref()),
                output::count(line.targets),
                output::money(line.amount),
                line.reason.clone(),
            ]);
        }
        println!("{table}");
        if let Some(next) = page.next_cursor {
            println!("more: --cursor {next}");
        }
    })
}

fn line(act: RecordedAct) -> Line {
    Line {
        audit_id: act.id,
        at: Some(act.at),
        actor: act.actor,
        action: act.action,
        promotion_id: act.promotion.map(|promotion| promotion.0),
        target_id: act.target.map(|target| target.0),
        filter: act.filter,
        reason: act.reason,
        targets: act.items,
        amount: act.amount,
        detail: act.detail.map(|text| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))),
    }
}

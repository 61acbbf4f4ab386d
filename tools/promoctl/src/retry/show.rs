//! `retry show`: one plan, what it leaves out, and how far it is.

use anyhow::Result;
use pipeline::domain::requeue::KeyTaken;
use pipeline::domain::{Amount, PlanId};
use pipeline::store::{PlanGroup, RetryPlan};
use serde::Serialize;

use super::list::Line;
use super::plan::{LeftOutGroup, OTHERS};
use crate::ended::{Ended, refuse};
use crate::output;
use crate::session::Session;

/// Groups that are shown, the largest; what is left is one more.
const MAX_GROUPS: u32 = 200;

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    plan: Line,
    /// What would be tried again, or was.
    eligible: Vec<Group>,
    /// What would not.
    not_eligible: Vec<LeftOutGroup>,
}

#[derive(Serialize)]
struct Group {
    error_code: Option<String>,
    key: &'static str,
    why: &'static str,
    became: Option<String>,
    targets: u64,
    amount: Amount,
}

/// Finds a plan.
pub(crate) async fn find(session: &Session, id: PlanId) -> Result<RetryPlan> {
    match session.store.retry_plan(id).await? {
        Some(plan) => Ok(plan),
        None => refuse(format!("there is no plan {id}; `retry list` shows those there are")),
    }
}

/// Shows a plan.
pub(crate) async fn run(session: &Session, id: i64) -> Result<Ended> {
    print(session, PlanId(id)).await
}

/// Prints a plan.
pub(crate) async fn print(session: &Session, id: PlanId) -> Result<Ended> {
    let plan = find(session, id).await?;
    let groups = session.store.plan_groups(id, MAX_GROUPS).await?;
    let not_eligible: Vec<LeftOutGroup> =
        plan.left_out.as_deref().map(serde_json::from_str).transpose()?.unwrap_or_default();
    let mut eligible: Vec<Group> = groups.into_iter().map(group).collect();
    eligible.extend(others(&eligible, &plan));
    let shown = Shown { eligible, not_eligible, plan: Line::of(plan) };
    session.print(&shown, || table(&shown))
}

fn group(group: PlanGroup) -> Group {
    let PlanGroup { code, takes, became, targets, amount } = group;
    let (key, why) = match takes {
        KeyTaken::Same => ("same", "no attempt was executed under it"),
        KeyTaken::Next => ("next generation", "the present key only repeats its answer; money is asked first"),
    };
    Group { error_code: code, key, why, became, targets, amount }
}

/// What a plan has beyond the groups that are shown.
fn others(shown: &[Group], plan: &RetryPlan) -> Option<Group> {
    let targets = plan.targets.saturating_sub(shown.iter().map(|group| group.targets).sum());
    let amount: Amount = shown.iter().map(|group| group.amount).sum();
    (targets > 0).then(|| Group {
        error_code: Some(OTHERS.to_owned()),
        key: "same or next generation",
        why: "a plan with --error-code says it of one code",
        became: None,
        targets,
        amount: Amount::from_row(plan.amount.decimal() - amount.decimal()),
    })
}

fn table(shown: &Shown) {
    let plan = &shown.plan;
    println!(
        "plan {} ({}) of promotion {}: {} targets, {}; filter {}",
        plan.plan_id,
        plan.status,
        plan.promotion_id,
        output::count(plan.targets),
        output::money(plan.amount),
        plan.filter
    );
    let mut table = output::table(["error", "key", "became", "targets", "amount", "why this key"], &[3, 4]);
    for group in &shown.eligible {
        table.add_row([
            output::text(group.error_code.as_deref()),
            group.key.to_owned(),
            output::text(group.became.as_deref()),
            output::count(group.targets),
            output::money(group.amount),
            group.why.to_owned(),
        ]);
    }
    println!("{table}");
    if !shown.not_eligible.is_empty() {
        println!("not eligible:");
        let mut table = output::table(["reason", "error", "targets", "amount"], &[2, 3]);
        for group in &shown.not_eligible {
            let error = output::text(group.error_code.as_deref());
            let amount = output::group(&group.amount);
            table.add_row([group.reason.clone(), error, output::count(group.targets), amount]);
        }
        println!("{table}");
    }
    println!("hash {}", output::text(plan.hash.as_deref()));
    if plan.status == "READY" && plan.targets > 0 {
        println!("apply it: promoctl retry apply {} --reason …", plan.plan_id);
    }
}

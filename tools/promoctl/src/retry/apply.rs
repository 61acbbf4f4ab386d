//! `retry apply`: exactly what a plan says, or nothing.

mod report;
mod room;

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use pipeline::charging::{self, Inquiry};
use pipeline::domain::requeue::{KeyTaken, Unproved};
use pipeline::domain::{Amount, PlanId, Promotion, PromotionStatus, TargetId};
use pipeline::requeue::{RequeueError, Requeuer, Risk};
use pipeline::store::{Open, OperatorAct, PlanStatus, RetryPlan, SliceRefused};
use tokio::time::Instant;

use super::plan::standings;
use super::show::find;
use crate::cli::{Consent, Format};
use crate::consent::Plan;
use crate::ended::{Ended, refuse};
use crate::session::Session;
use report::Report;

/// Targets of a slice at most: one transaction of some 0.3 s.
const SLICE: u64 = 5_000;
/// Slices that a window holds at least. The dispatcher fills the window by whole pages, an eighth of it by default: what
/// fits into half of a page's room finds some while a promotion is still being published.
const SLICES_OF_WINDOW: u64 = 16;
/// Groups of a plan that are looked through for keys that need proof: there are two for each error code.
const MAX_GROUPS: u32 = 1_000;
/// Why the rest is not even asked about.
const FAULT: &str = "money does not take what promoctl sends, so no more was asked; compare MONEY_URL and MONEY_TOKEN with the \
                     payers', then apply the plan again";

#[derive(Args, Debug)]
pub(crate) struct ApplyArgs {
    /// Which plan
    plan: i64,
    #[command(flatten)]
    pub(crate) how: How,
}

/// How a plan is applied.
#[derive(Args, Debug)]
pub(crate) struct How {
    /// Why, for the audit trail
    #[arg(long)]
    pub(crate) reason: String,
    /// Targets a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// Refuse a plan of more money than this
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    pub(crate) max_amount: Option<Amount>,
    /// Where money offers neither look-up nor cancel: take new keys although nothing proves that the old ones are dead
    #[arg(long)]
    pub(crate) accept_double_pay_risk: bool,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

fn amount(text: &str) -> Result<Amount, String> {
    Amount::parse(text).map_err(|error| error.to_string())
}

/// What is to be tried again.
pub(crate) struct Wanted {
    /// `plan 5`, or `this` before there is a plan.
    pub(crate) name: String,
    /// How many.
    pub(crate) targets: u64,
    /// Their money.
    pub(crate) amount: Amount,
    /// Whether any of them takes a later key.
    pub(crate) later_keys: bool,
}

/// Applies a stored plan.
pub(crate) async fn run(session: &Session, args: &ApplyArgs) -> Result<Ended> {
    let id = PlanId(args.plan);
    let plan = find(session, id).await?;
    let promotion = session.promotion(plan.promotion.0).await?;
    let act = session.act("retry apply", &args.how.reason)?;
    match plan.status {
        PlanStatus::Draft => return refuse(format!("plan {id} was never finished; make another one")),
        PlanStatus::Applied => return refuse(format!("plan {id} was applied already")),
        PlanStatus::Ready | PlanStatus::Applying => {}
    }
    if plan.targets == 0 {
        return refuse(format!("plan {id} names no target that can be tried again; `retry show {id}` says why"));
    }
    let later_keys = takes_later_keys(session, id).await?;
    let wanted = Wanted { name: format!("plan {id}"), targets: plan.targets, amount: plan.amount, later_keys };
    allowed(session, &wanted, &promotion, &args.how)?;
    holds(session, &plan, &promotion).await?;
    let what = format!("what plan {id} names");
    if !consented(session, act.action, &what, &wanted, &promotion, &args.how)? {
        return Ok(Ended::Done);
    }
    apply(session, &plan, &promotion, act, &args.how).await
}

/// Everything that speaks against it before anybody is asked. Nothing was written then.
pub(crate) fn allowed(session: &Session, wanted: &Wanted, promotion: &Promotion, how: &How) -> Result<()> {
    let name = &wanted.name;
    if let Some(why) = at_rest(promotion.status) {
        return refuse(format!("promotion {} {why}", promotion.id));
    }
    if let Some(most) = how.max_amount.filter(|most| wanted.amount.decimal() > most.decimal()) {
        return refuse(format!(
            "{name} is about {}, which is more than --max-amount {most}; raise it, or plan fewer targets",
            wanted.amount
        ));
    }
    let rules = charging::rules(&session.config);
    if wanted.later_keys && !rules.lookup && !rules.cancel && !how.accept_double_pay_risk {
        return refuse(format!(
            "{name} takes later keys, and money offers neither look-up nor cancel, so nothing can prove that the present ones \
             will never pay; ask money's operators, then repeat it with --accept-double-pay-risk"
        ));
    }
    Ok(())
}

/// Refuses a plan that says something else than its targets by now. One that was begun is held to its rows one by one:
/// some of them have changed by it.
async fn holds(session: &Session, plan: &RetryPlan, promotion: &Promotion) -> Result<()> {
    if plan.status != PlanStatus::Ready {
        return Ok(());
    }
    let now = standings(session, plan.id, promotion).await?;
    if plan.hash.as_deref() == Some(now.hash.as_str()) {
        return Ok(());
    }
    let named: Vec<String> = now.named.iter().map(TargetId::to_string).collect();
    refuse(format!(
        "plan {} does not hold any more: {} of its targets have changed ({}); make another one",
        plan.id,
        now.changed,
        named.join(", ")
    ))
}

/// Shows what would be tried again and asks; `false` means a dry run.
pub(crate) fn consented(
    session: &Session,
    action: &'static str,
    what: &str,
    wanted: &Wanted,
    promotion: &Promotion,
    how: &How,
) -> Result<bool> {
    let mut shown = Plan {
        action,
        what: format!("try again {what} of promotion {} ({})", promotion.id, promotion.campaign_code),
        promotion_id: Some(promotion.id.0),
        target_id: None,
        targets: wanted.targets,
        amount: wanted.amount,
        from: Some(promotion.status.code().to_owned()),
        to: Some(PromotionStatus::InProgress.code().to_owned()),
        dry_run: false,
    };
    shown.consented(session, &how.consent)
}

/// Applies it slice by slice. Repeating it after a crash goes on with what is left.
pub(crate) async fn apply(
    session: &Session,
    plan: &RetryPlan,
    promotion: &Promotion,
    mut act: OperatorAct,
    how: &How,
) -> Result<Ended> {
    let id = plan.id;
    (act.promotion, act.items, act.amount) = (Some(promotion.id), plan.targets, plan.amount);
    act.filter = Some(format!("plan={id} {}", plan.filter));
    act.detail = Some(serde_json::json!({ "plan": id, "hash": plan.hash, "rate": how.rate }).to_string());
    if !session.store.begin_plan(id, &act).await? {
        return refuse(format!("plan {id} was applied by somebody else meanwhile"));
    }
    let report = slices(session, plan, promotion, &act, how).await?;
    report.print(session, id)
}

async fn takes_later_keys(session: &Session, id: PlanId) -> Result<bool> {
    let groups = session.store.plan_groups(id, MAX_GROUPS).await?;
    Ok(groups.iter().any(|group| group.takes == KeyTaken::Next))
}

/// Why nothing of a promotion with this status is requeued.
fn at_rest(status: PromotionStatus) -> Option<&'static str> {
    match status {
        PromotionStatus::InProgress | PromotionStatus::Completed => None,
        PromotionStatus::Loading | PromotionStatus::Ready => Some("was not started yet"),
        PromotionStatus::Stopped => Some("is STOPPED, and a stopped one sends nothing: resume it first"),
        PromotionStatus::Failed => Some("is FAILED: mend the cause and resume it first"),
    }
}

async fn slices(
    session: &Session,
    plan: &RetryPlan,
    promotion: &Promotion,
    act: &OperatorAct,
    how: &How,
) -> Result<Report> {
    let (store, streams) = (&session.store, session.streams()?);
    let money = pipeline::startup::money(&session.config)?;
    let inquiry = Inquiry::new(store.clone(), streams.clone(), money, &session.config);
    let risk = if how.accept_double_pay_risk { Risk::Accepted } else { Risk::Refused };
    let requeuer = Requeuer { store, streams, inquiry: &inquiry, risk };
    let bar = bar(session, plan.targets);
    let act = OperatorAct { action: "retry slice", ..act.clone() };
    let window = session.config.dispatcher.window;
    let most = slice_size(window, how.rate);
    let (began, mut report, mut after) = (Instant::now(), Report::default(), TargetId(0));
    loop {
        let page = store.planned(plan.id, promotion, after, most, Open::Left).await?;
        let Some(last) = page.last() else { break };
        after = last.planned.target;
        if let Err(why) = room::wait(store, streams, promotion, window, page.len() as u64).await? {
            report.ended = Some(why);
            break;
        }
        match requeuer.slice(promotion, plan.id, &page, &act).await {
            Ok(done) => {
                report.add(&page, &done);
                if done.unproved.iter().any(|(_, why)| *why == Unproved::Fault) {
                    report.ended = Some(FAULT.to_owned());
                    break;
                }
            }
            Err(RequeueError::Refused(refused)) => {
                report.ended = Some(refused_now(refused));
                break;
            }
            Err(error) => {
                bar.abandon();
                return Err(anyhow::Error::new(error).context(format!(
                    "a part of plan {} was applied; `retry apply {}` goes on with what is left",
                    plan.id, plan.id
                )));
            }
        }
        bar.inc(page.len() as u64);
        if let Some(rate) = how.rate {
            tokio::time::sleep_until(began + Duration::from_secs_f64(report.seen as f64 / f64::from(rate))).await;
        }
    }
    bar.finish_and_clear();
    report.finished = store.finish_plan(plan.id).await?;
    Ok(report)
}

/// Targets of a slice.
fn slice_size(window: u64, rate: Option<u32>) -> u32 {
    let most = SLICE.min(window / SLICES_OF_WINDOW).max(1);
    u32::try_from(most).unwrap_or(u32::MAX).min(rate.unwrap_or(u32::MAX))
}

fn refused_now(refused: SliceRefused) -> String {
    match refused {
        SliceRefused::NotThere => "the promotion is gone".to_owned(),
        SliceRefused::Status(status) => format!("the promotion {}", at_rest(status).unwrap_or("has changed")),
    }
}

/// On a terminal, for people.
fn bar(session: &Session, targets: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(
        Some(targets),
        match session.output {
            // Draws nothing where standard error is no terminal.
            Format::Table => ProgressDrawTarget::stderr(),
            Format::Json => ProgressDrawTarget::hidden(),
        },
    );
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} targets, {rate}, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // An error is one of the terminal.
        let _ = write!(out, "{:.0}/s", state.per_sec());
    };
    bar.with_style(style.with_key("rate", rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_fits_beside_the_pages_of_a_dispatcher() {
        for (window, rate, size) in [
            (40_000, None, 2_500),
            (10_000_000, None, 5_000),
            (160, None, 10),
            (1, None, 1),
            (40_000, Some(20), 20),
            (40_000, Some(1_000_000), 2_500),
        ] {
            assert_eq!(slice_size(window, rate), size, "{window} {rate:?}");
        }
    }
}

//! `promotion reschedule`

use anyhow::Result;
use chrono::{NaiveDateTime, TimeZone};
use clap::{ArgGroup, Args};
use pipeline::store::{Changed, Reservation, may_be_rescheduled};
use serde::Serialize;

use crate::cli::Consent;
use crate::consent::Plan;
use crate::ended::{Ended, refuse};
use crate::output;
use crate::session::Session;

/// `promotion reschedule`
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["at", "now", "priority"])))]
pub(crate) struct RescheduleArgs {
    /// Promotion
    pub(crate) id: i64,
    /// Start no earlier than this, in the configured time zone: 'YYYY-MM-DD HH:MM' or 'YYYY-MM-DD HH:MM:SS'
    #[arg(long, value_name = "TIME", conflicts_with = "now", value_parser = local_time)]
    pub(crate) at: Option<NaiveDateTime>,
    /// Start as soon as possible
    #[arg(long)]
    pub(crate) now: bool,
    /// Lower goes first among promotions that are due at the same time
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// Why, for the audit trail
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Serialize)]
struct Rescheduled {
    #[serde(flatten)]
    plan: Plan,
    before: Line,
    after: Line,
}

#[derive(Serialize)]
struct Line {
    #[serde(serialize_with = "output::iso")]
    reservation_at: Option<NaiveDateTime>,
    reservation_priority: Option<i32>,
}

/// Gives a promotion that was never started another reservation.
pub(crate) async fn run(session: &Session, args: &RescheduleArgs) -> Result<Ended> {
    let overview = session.overview(args.id).await?;
    let mut act = session.act("promotion reschedule", &args.reason)?;
    let after = reservation(session, args, overview.reservation_at, overview.reservation_priority)?;
    let all = (overview.total_count, overview.total_amount);
    let mut plan = super::plan(act.action, "reschedule", &overview, all);
    plan.what = format!("{} to {}", plan.what, words(after));
    if let Err(refusal) = may_be_rescheduled(overview.status, overview.started_at.is_some()) {
        return super::report(session, plan, &Changed::No(refusal), "reschedule");
    }
    let before = Reservation { at: overview.reservation_at, priority: overview.reservation_priority };
    if args.consent.dry_run {
        plan.dry_run = true;
        return print(session, plan, before, after);
    }
    plan.consented(session, &args.consent)?;
    (act.promotion, act.items, act.amount) = (Some(overview.id), all.0, all.1);
    act.detail = Some(serde_json::json!({ "before": Line::from(before), "after": Line::from(after) }).to_string());
    match session.store.reschedule(&overview, after, &act).await? {
        Changed::Yes { .. } => print(session, plan, before, after),
        refused @ Changed::No(_) => super::report(session, plan, &refused, "reschedule"),
    }
}

fn print(session: &Session, plan: Plan, before: Reservation, after: Reservation) -> Result<Ended> {
    let done = if plan.dry_run { "would" } else { "done:" };
    let rescheduled = Rescheduled { plan, before: before.into(), after: after.into() };
    session.print(&rescheduled, || {
        let plan = &rescheduled.plan;
        println!("{done} {} (it was {}): {}", plan.what, words(before), plan.extent());
    })
}

/// What is asked for, with what is not mentioned as it was.
fn reservation(
    session: &Session,
    args: &RescheduleArgs,
    at: Option<NaiveDateTime>,
    priority: Option<i32>,
) -> Result<Reservation> {
    let at = match (args.now, args.at) {
        (true, _) => None,
        (false, None) => at,
        (false, Some(asked)) => {
            let zone = session.config.time_zone;
            if zone.from_local_datetime(&asked).earliest().is_none() {
                return refuse(format!("{asked} does not exist in {zone}: its clocks are put forward over it"));
            }
            // Money would move at once, where somebody mistyped a year.
            if asked <= session.store.now() {
                return refuse(format!("{asked} is in the past in {zone}; to start it as soon as possible use --now"));
            }
            Some(asked)
        }
    };
    Ok(Reservation { at, priority: args.priority.or(priority) })
}

fn words(reservation: Reservation) -> String {
    let at = reservation.at.map_or_else(|| "as soon as possible".to_owned(), |at| output::time(Some(at)));
    match reservation.priority {
        Some(priority) => format!("{at}, priority {priority}"),
        None => format!("{at}, without a priority"),
    }
}

fn local_time(text: &str) -> Result<NaiveDateTime, String> {
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text.trim(), format).ok())
        .ok_or_else(|| "a time looks like 2026-12-01 09:00 or 2026-12-01 09:00:00".to_owned())
}

impl From<Reservation> for Line {
    fn from(reservation: Reservation) -> Self {
        Self { reservation_at: reservation.at, reservation_priority: reservation.priority }
    }
}

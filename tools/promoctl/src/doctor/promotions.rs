//! Promotions that do not go on, and what ended ones left behind.

use anyhow::Result;
use chrono::{NaiveDateTime, TimeDelta};
use pipeline::domain::{Partition, PromotionStatus};
use pipeline::store::Overview;

use super::finding::{Finding, Findings, Severity};
use crate::session::Session;

/// Promotions of each status that are looked at: the newest.
const LOOKED_AT: u32 = 100;
/// A load that takes longer is no load any more.
const LOADING_FOR: TimeDelta = TimeDelta::hours(6);
/// Who stopped a promotion for longer may have forgotten it.
const STOPPED_FOR: TimeDelta = TimeDelta::days(3);
/// How long after its end a promotion's keys may still be there, in sweeps.
const SWEEPS: i32 = 3;

/// Adds promotions that wait for somebody.
pub(super) async fn examine(session: &Session, only: Option<i64>, found: &mut Findings) -> Result<()> {
    let now = session.store.now();
    let older = |at: Option<NaiveDateTime>, bound: TimeDelta| at.is_none_or(|at| now - at > bound);
    for promotion in of_status(session, only, PromotionStatus::Failed).await? {
        let memo = promotion.stopped_memo.clone().unwrap_or_default();
        found.add(finding(
            Severity::Error,
            "promotion failed",
            &promotion,
            format!("it is FAILED: {memo}"),
            "the system gave up; nothing of it is paid",
            "mend the cause, then `promoctl promotion resume`",
        ));
    }
    for promotion in of_status(session, only, PromotionStatus::Stopped).await? {
        if older(promotion.stopped_at, STOPPED_FOR) {
            let memo = promotion.stopped_memo.clone().unwrap_or_default();
            found.add(finding(
                Severity::Warning,
                "promotion stopped",
                &promotion,
                format!("it has been STOPPED since {}: {memo}", crate::output::time(promotion.stopped_at)),
                "nothing of it is paid, and money forgets keys that were sent before",
                "resume it, or discard it if it was never started",
            ));
        }
    }
    for promotion in of_status(session, only, PromotionStatus::Loading).await? {
        if older(promotion.created_at, LOADING_FOR) {
            found.add(finding(
                Severity::Warning,
                "promotion loading",
                &promotion,
                format!("it has been LOADING since {}", crate::output::time(promotion.created_at)),
                "its loader died or was ended; it never starts like this",
                "run the loader again with the same file, or discard it",
            ));
        }
    }
    Ok(())
}

/// Adds ended promotions whose keys are still there.
pub(super) async fn leftovers(session: &Session, only: Option<i64>, found: &mut Findings) -> Result<()> {
    let now = session.store.now();
    let patience = TimeDelta::from_std(session.config.summarizer.sweep_interval).unwrap_or(TimeDelta::MAX) * SWEEPS;
    for promotion in of_status(session, only, PromotionStatus::Completed).await? {
        if promotion.completed_at.is_none_or(|at| now - at <= patience) {
            continue;
        }
        let partitions: Vec<Partition> =
            (0..promotion.partition_count).map(|number| Partition { promotion: promotion.id, number }).collect();
        let existing = session.streams()?.existing(&partitions).await?;
        if !existing.contains(&true) {
            continue;
        }
        let states = session.streams()?.partition_states(&partitions).await?;
        let streams = states.iter().filter(|state| state.position.is_some()).count();
        let left = existing.iter().filter(|exists| **exists).count();
        found.add(finding(
            Severity::Warning,
            "keys left behind",
            &promotion,
            format!("{left} partitions have keys, {streams} of them a stream; the others counts or dead letters without an end"),
            "they take memory; a summarizer that runs removes them at every sweep",
            "see that a summarizer runs; somebody else may write them",
        ));
    }
    Ok(())
}

/// Adds what nobody was told of.
pub(super) async fn untold(session: &Session, found: &mut Findings) -> Result<()> {
    let given_up = session.store.notification_backlog().await?.given_up;
    if given_up > 0 {
        found.add(Finding {
            severity: Severity::Warning,
            check: "webhook given up",
            place: "payout_notifications".to_owned(),
            found: format!("{given_up} messages were given up: the receiver did not take them"),
            means: "whoever waits for them does not know that a promotion ended, failed or needs a person".to_owned(),
            advice: "see why with `promoctl notifications list --state GIVEN_UP`, then `promoctl notifications resend`"
                .to_owned(),
        });
    }
    Ok(())
}

/// Promotions of a status, the newest first; or one of them, when it has it.
pub(super) async fn of_status(session: &Session, only: Option<i64>, status: PromotionStatus) -> Result<Vec<Overview>> {
    match only {
        Some(id) => {
            Ok(Some(session.overview(id).await?).filter(|overview| overview.status == status).into_iter().collect())
        }
        None => Ok(session.store.overviews(Some(status), None, LOOKED_AT).await?),
    }
}

fn finding(
    severity: Severity,
    check: &'static str,
    promotion: &Overview,
    what: String,
    means: &str,
    advice: &str,
) -> Finding {
    let place = format!("promotion {} ({})", promotion.id, promotion.campaign_code);
    Finding { severity, check, place, found: what, means: means.to_owned(), advice: advice.to_owned() }
}

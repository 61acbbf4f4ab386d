//! `promotion discard`

use anyhow::{Result, bail};
use pipeline::domain::{Amount, PromotionStatus};
use pipeline::store::{Changed, Refusal};

use crate::cli::ChangeArgs;
use crate::ended::Ended;
use crate::session::{Session, kind_of};

/// Targets removed by one transaction: some 50 ms, so that nobody waits for its locks.
const SLICE: u32 = 5_000;
/// Times that targets may turn up again behind the last slice: a loader that was still at work finds its promotion
/// gone or stopped within a batch or two.
const MAX_ROUNDS: u32 = 10;

/// Removes a promotion that was never started. Killed in the middle, the same command goes on.
pub(crate) async fn run(session: &Session, args: &ChangeArgs) -> Result<Ended> {
    let overview = session.overview(args.id).await?;
    let kind = kind_of(session, &overview.kind);
    let kind = kind.as_deref();
    let mut act = session.act("promotion discard", &args.reason)?;
    let loaded = match kind {
        Some(kind) => session.store.loaded(&overview, kind).await?,
        None => (0, Amount::ZERO),
    };
    let mut plan = super::plan(act.action, "discard", &overview, loaded);
    if let Some(refusal) = refusal(overview.status, overview.started_at.is_some()) {
        return super::report(session, plan, &Changed::No(refusal), "discard");
    }
    if !plan.consented(session, &args.consent)? {
        return Ok(Ended::Done);
    }
    (act.promotion, act.items, act.amount) = (Some(overview.id), loaded.0, loaded.1);
    act.detail = Some(serde_json::json!({ "campaign_code": overview.campaign_code }).to_string());
    let begun = session.store.begin_discard(overview.id, kind, &act).await?;
    if matches!(begun, Changed::No(_)) {
        return super::report(session, plan, &begun, "discard");
    }
    act.action = "promotion discarded";
    for _ in 0..MAX_ROUNDS {
        if let Some(kind) = kind {
            while session.store.discard_slice(overview.id, kind, SLICE).await? > 0 {}
        }
        if session.store.finish_discard(overview.id, kind, &act).await? {
            plan.to = Some("gone".to_owned());
            return plan.done(session);
        }
    }
    bail!("targets of promotion {} keep being added: end its loader and run discard again", overview.id)
}

fn refusal(status: PromotionStatus, started: bool) -> Option<Refusal> {
    match status {
        PromotionStatus::InProgress | PromotionStatus::Completed => Some(Refusal::Status(status)),
        PromotionStatus::Loading | PromotionStatus::Ready | PromotionStatus::Stopped | PromotionStatus::Failed => {
            started.then_some(Refusal::Started)
        }
    }
}

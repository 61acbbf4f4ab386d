//! `promotion …`

pub(crate) mod discard;
pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod reschedule;
pub(crate) mod resume;
pub(crate) mod show;
pub(crate) mod stop;
pub(crate) mod watch;

use std::time::Duration;

use anyhow::Result;
use pipeline::domain::{Amount, PromotionStatus};
use pipeline::store::{Changed, Overview, Proof, Refusal};

use crate::consent::Plan;
use crate::ended::{Ended, refuse};
use crate::session::Session;

/// How long the exact figure may take: stopping must not wait for it.
const FIGURE_BOUND: Duration = Duration::from_secs(2);

/// How many targets of a promotion are not final, and their money: what stopping or resuming it concerns. Where
/// counting them takes too long or is impossible, everything that was sealed.
async fn open_targets(session: &Session, overview: &Overview) -> (u64, Amount) {
    let counted = async {
        let promotion = session.store.promotion(overview.id).await.ok()??;
        session.store.prove(&promotion).await.ok()
    };
    match tokio::time::timeout(FIGURE_BOUND, counted).await {
        Ok(Some(proof)) => open_of(&proof),
        Ok(None) | Err(_) => (overview.total_count, overview.total_amount),
    }
}

pub(crate) fn open_of(proof: &Proof) -> (u64, Amount) {
    let open = || proof.groups.iter().filter(|group| !group.status.is_some_and(|status| status.is_final()));
    (open().map(|group| group.targets).sum(), open().map(|group| group.amount).sum())
}

/// The plan of a change of status.
fn plan(action: &'static str, verb: &str, overview: &Overview, open: (u64, Amount)) -> Plan {
    Plan {
        action,
        what: format!("{verb} promotion {} ({}, {})", overview.id, overview.campaign_code, overview.status.code()),
        promotion_id: Some(overview.id.0),
        target_id: None,
        targets: open.0,
        amount: open.1,
        from: Some(overview.status.code().to_owned()),
        to: None,
        dry_run: false,
    }
}

/// Prints what a change came to.
fn report(session: &Session, mut plan: Plan, changed: &Changed, verb: &str) -> Result<Ended> {
    match changed {
        Changed::Yes { from, to } => {
            plan.from = Some(from.code().to_owned());
            plan.to = Some(to.code().to_owned());
            plan.done(session)
        }
        Changed::No(refusal) => refuse(format!("cannot {verb}: {}", why(refusal))),
    }
}

fn why(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotThere => "there is no such promotion".to_owned(),
        Refusal::Status(status) => match status {
            PromotionStatus::Loading => "it is LOADING: its load is not sealed (discard it, or let the loader finish)",
            PromotionStatus::Ready => "it is READY: it waits for its turn",
            PromotionStatus::InProgress => "it is IN_PROGRESS: it is being paid",
            PromotionStatus::Completed => "it is COMPLETED: everything is final",
            PromotionStatus::Stopped => "it is STOPPED already",
            PromotionStatus::Failed => "it is FAILED: it does not run",
        }
        .to_owned(),
        Refusal::Started => "it was started, so payouts may have been made".to_owned(),
        Refusal::Discarding => "it is being discarded; run discard again to finish that".to_owned(),
        Refusal::HasResults => {
            "it was never started and has results all the same: somebody wrote them by hand".to_owned()
        }
        Refusal::Changed => "somebody else changed its reservation meanwhile; look again and repeat".to_owned(),
    }
}

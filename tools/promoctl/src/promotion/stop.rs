//! `promotion stop`

use anyhow::Result;
use pipeline::domain::PromotionStatus;
use pipeline::store::{Changed, Refusal};

use crate::cli::StopArgs;
use crate::ended::Ended;
use crate::session::Session;

/// READY or IN_PROGRESS → STOPPED.
pub(crate) async fn run(session: &Session, args: &StopArgs) -> Result<Ended> {
    let overview = session.overview(args.id).await?;
    let mut act = session.act("promotion stop", &args.memo)?;
    let open = super::open_targets(session, &overview).await;
    let mut plan = super::plan(act.action, "stop", &overview, open);
    plan.to = Some(PromotionStatus::Stopped.code().to_owned());
    if !matches!(overview.status, PromotionStatus::Ready | PromotionStatus::InProgress) {
        return super::report(session, plan, &Changed::No(Refusal::Status(overview.status)), "stop");
    }
    if !plan.consented(session, &args.consent)? {
        return Ok(Ended::Done);
    }
    (act.promotion, act.items, act.amount) = (Some(overview.id), open.0, open.1);
    let changed = session.store.stop(overview.id, &act).await?;
    super::report(session, plan, &changed, "stop")
}

//! `promotion resume`

use anyhow::Result;
use pipeline::store::{Changed, Refusal, resumes_to};

use crate::cli::ChangeArgs;
use crate::ended::Ended;
use crate::session::Session;

/// STOPPED or FAILED → IN_PROGRESS, or READY when it was never started.
pub(crate) async fn run(session: &Session, args: &ChangeArgs) -> Result<Ended> {
    let overview = session.overview(args.id).await?;
    let mut act = session.act("promotion resume", &args.reason)?;
    let open = super::open_targets(session, &overview).await;
    let mut plan = super::plan(act.action, "resume", &overview, open);
    let Some(to) = resumes_to(overview.status, overview.started_at.is_some()) else {
        return super::report(session, plan, &Changed::No(Refusal::Status(overview.status)), "resume");
    };
    plan.to = Some(to.code().to_owned());
    if !plan.consented(session, &args.consent)? {
        return Ok(Ended::Done);
    }
    (act.promotion, act.items, act.amount) = (Some(overview.id), open.0, open.1);
    act.detail = overview.stopped_memo.as_ref().map(|memo| serde_json::json!({ "memo": memo }).to_string());
    let changed = session.store.resume(overview.id, &act).await?;
    super::report(session, plan, &changed, "resume")
}

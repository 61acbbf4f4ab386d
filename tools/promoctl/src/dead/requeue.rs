//! `dead requeue`: plan and apply in one.

use anyhow::Result;
use clap::Args;
use pipeline::domain::ProcessStatus;

use crate::ended::Ended;
use crate::retry::apply::{How, apply};
use crate::retry::plan::make;
use crate::retry::selection::Selection;
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct DeadRequeueArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    how: How,
}

/// Makes a plan of the FAILED targets, shows it, and applies it. What is refused or not confirmed leaves the plan.
pub(crate) async fn run(session: &Session, args: &DeadRequeueArgs) -> Result<Ended> {
    session.act("dead requeue", &args.how.reason)?;
    let promotion = session.promotion(args.selection.promotion).await?;
    let filter = args.selection.filter(session, Some(ProcessStatus::Failed))?;
    let plan = make(session, &promotion, &filter).await?;
    apply(session, plan, "dead requeue", &args.how).await
}

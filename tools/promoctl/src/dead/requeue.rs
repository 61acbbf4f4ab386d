//! `dead requeue`: plan and apply in one.

use anyhow::{Result, bail};
use chrono::TimeDelta;
use clap::Args;
use pipeline::domain::ProcessStatus;

use crate::ended::{Ended, refuse};
use crate::retry::apply::{How, Wanted, allowed, apply, consented};
use crate::retry::plan::{Found, look_through, make};
use crate::retry::selection::Selection;
use crate::retry::show::find;
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct DeadRequeueArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    how: How,
}

/// Shows how much the FAILED targets are, then makes a plan of them and applies it. What is refused or not confirmed
/// leaves nothing.
pub(crate) async fn run(session: &Session, args: &DeadRequeueArgs) -> Result<Ended> {
    let act = session.act("dead requeue", &args.how.reason)?;
    let promotion = session.promotion(args.selection.promotion).await?;
    let mut filter = args.selection.filter(session, Some(ProcessStatus::Failed))?;
    // What fails from now on is not meant: it would make the plan another one than is shown. Rows hold rounded seconds.
    filter.touched_until = filter.touched_until.or_else(|| Some(session.store.now() + TimeDelta::seconds(1)));
    let found = look_through(session, &promotion, &filter, None).await?;
    if found.targets == 0 {
        return refuse("no FAILED target that is meant can be tried again; `retry plan` with the same filter says why");
    }
    let Found { targets, amount, later_keys, .. } = found;
    let wanted = Wanted { name: "this".to_owned(), targets, amount, later_keys };
    allowed(session, &wanted, &promotion, &args.how)?;
    if !consented(session, act.action, "the FAILED targets that are meant", &wanted, &promotion, &args.how)? {
        return Ok(Ended::Done);
    }
    let plan = find(session, make(session, &promotion, &filter).await?).await?;
    if plan.hash.as_deref() != Some(found.hash.as_str()) {
        bail!(
            "the targets have changed since they were shown, and none was tried again; plan {0} is what they are now: look \
             at it with `retry show {0}`, then `retry apply {0}`",
            plan.id
        );
    }
    apply(session, &plan, &promotion, act, &args.how).await
}

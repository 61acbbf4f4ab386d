//! `retry …`: FAILED targets get new attempts. First a plan, with count and money and the key that each takes; then
//! exactly that plan.

pub(crate) mod apply;
pub(crate) mod list;
pub(crate) mod plan;
pub(crate) mod selection;
pub(crate) mod show;

use anyhow::Result;
use clap::Subcommand;

use crate::ended::Ended;
use crate::session::Session;

#[derive(Subcommand, Debug)]
pub(crate) enum RetryCommand {
    /// Store a plan: what would be tried again, what not and why, how much money. Changes no target
    Plan(plan::PlanArgs),
    /// Do exactly what a plan says, or refuse when its targets have changed; repeating it goes on
    Apply(apply::ApplyArgs),
    /// Plans, newest first
    List(list::ListArgs),
    /// One plan, and how far it is
    Show {
        /// Its id
        plan: i64,
    },
}

impl RetryCommand {
    /// Whether it needs Redis and money.
    pub(crate) fn needs_servers(&self) -> bool {
        match self {
            Self::Apply(_) => true,
            Self::Plan(_) | Self::List(_) | Self::Show { .. } => false,
        }
    }
}

pub(crate) async fn run(session: &Session, command: &RetryCommand) -> Result<Ended> {
    match command {
        RetryCommand::Plan(args) => plan::run(session, args).await,
        RetryCommand::Apply(args) => apply::run(session, args).await,
        RetryCommand::List(args) => list::run(session, args).await,
        RetryCommand::Show { plan } => show::run(session, *plan).await,
    }
}

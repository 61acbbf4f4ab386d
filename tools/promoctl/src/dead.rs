//! `dead …`: targets that are FAILED, straight from MySQL. The streams of dead letters are for subscribers.

mod export;
mod list;
mod requeue;

use anyhow::Result;
use clap::Subcommand;
use pipeline::domain::Amount;
use pipeline::store::Listed;
use serde::Serialize;

use crate::ended::Ended;
use crate::output;
use crate::session::Session;

#[derive(Subcommand, Debug)]
pub(crate) enum DeadCommand {
    /// FAILED targets, with why
    List(list::DeadListArgs),
    /// Plan and apply in one: FAILED targets get new attempts
    Requeue(requeue::DeadRequeueArgs),
    /// FAILED targets into a file, for other tools
    Export(export::DeadExportArgs),
}

impl DeadCommand {
    /// Whether it needs Redis and money.
    pub(crate) fn needs_servers(&self) -> bool {
        match self {
            Self::Requeue(_) => true,
            Self::List(_) | Self::Export(_) => false,
        }
    }
}

pub(crate) async fn run(session: &Session, command: &DeadCommand) -> Result<Ended> {
    match command {
        DeadCommand::List(args) => list::run(session, args).await,
        DeadCommand::Requeue(args) => requeue::run(session, args).await,
        DeadCommand::Export(args) => export::run(session, args).await,
    }
}

/// A FAILED target.
#[derive(Serialize)]
struct Line {
    target_id: i64,
    customer_uid: String,
    partition: u32,
    amount: Option<Amount>,
    error_code: Option<String>,
    error_message: Option<String>,
    retry_count: u32,
    requeues: u32,
    key_generation: u32,
    #[serde(serialize_with = "output::iso")]
    failed_at: Option<chrono::NaiveDateTime>,
}

fn line(session: &Session, row: &Listed) -> Line {
    Line {
        target_id: row.target.0,
        customer_uid: session.customer(row.customer.0),
        partition: row.partition,
        amount: row.amount,
        error_code: row.code.clone(),
        error_message: session.message(row.customer, row.message.as_deref()),
        retry_count: row.retry_count,
        requeues: row.requeues,
        key_generation: row.generation,
        failed_at: row.updated_at,
    }
}

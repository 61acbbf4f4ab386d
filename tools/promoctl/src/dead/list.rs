//! `dead list`.

use anyhow::Result;
use clap::Args;
use pipeline::domain::{ProcessStatus, TargetId};
use serde::Serialize;

use super::{Line, line};
use crate::ended::Ended;
use crate::output;
use crate::retry::selection::Selection;
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct DeadListArgs {
    #[command(flatten)]
    selection: Selection,
    /// Most targets to show
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Continue above this id (`next_cursor` of the page before)
    #[arg(long)]
    cursor: Option<i64>,
}

#[derive(Serialize)]
struct List {
    promotion_id: i64,
    data: Vec<Line>,
    next_cursor: Option<i64>,
}

/// FAILED targets by ascending id.
pub(crate) async fn run(session: &Session, args: &DeadListArgs) -> Result<Ended> {
    let promotion = session.promotion(args.selection.promotion).await?;
    let filter = args.selection.filter(session, Some(ProcessStatus::Failed))?;
    let after = TargetId(args.cursor.unwrap_or(0));
    let rows = session.store.listed(&promotion, &filter, after, args.limit).await?;
    let full = rows.len() == args.limit as usize;
    let next_cursor = rows.last().filter(|_| full).map(|row| row.target.0);
    let data = rows.iter().map(|row| line(session, row)).collect();
    let list = List { promotion_id: promotion.id.0, data, next_cursor };
    session.print(&list, || {
        let header = ["target", "customer", "amount", "error", "message", "retries", "requeues", "key", "failed"];
        let mut table = output::table(header, &[0, 1, 2, 5, 6, 7]);
        for line in &list.data {
            table.add_row([
                line.target_id.to_string(),
                line.customer_uid.clone(),
                line.amount.map_or_else(|| "-".to_owned(), output::money),
                output::text(line.error_code.as_deref()),
                output::text(line.error_message.as_deref()),
                line.retry_count.to_string(),
                line.requeues.to_string(),
                line.key_generation.to_string(),
                output::time(line.failed_at),
            ]);
        }
        println!("{table}");
        if let Some(cursor) = list.next_cursor {
            println!("more: --cursor {cursor}");
        }
    })
}

//! The retrier: the pending entries list is the retry queue.
//!
//! Takes what is due (parked entries whose backoff is over, entries that a dead consumer holds, entries that
//! wait for a person, at the slowest pace) and hands it to [`pipeline::charging`], which pays it as it pays
//! everything else, but with a look-up first wherever an earlier attempt may have been executed.

mod due;

use std::process::ExitCode;
use std::time::Duration;

use pipeline::config::Needs;
use pipeline::stage::{self, Context, Stage};
use pipeline::startup::Paying;

const STAGE: Stage = Stage { name: "retrier", needs: Needs { redis: true, money: true, pin: true, webhook: false } };

/// Pause between two looks while nothing runs: what fails first is retried a second later.
const IDLE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    stage::main(STAGE, run)
}

async fn run(context: Context) -> anyhow::Result<()> {
    // A payer on the same host has the plain name.
    let consumer = format!("{}.retrier", context.config.consumer_name);
    let Some(paying) = Paying::start(&context, &consumer, IDLE).await? else { return Ok(()) };
    due::until_told_to_end(&context, &paying.streams, &paying.charging, paying.active.clone(), &consumer).await;
    paying.end().await
}

//! The payer: streams → `money` → results.
//!
//! Reads new entries of every running promotion, all replicas in one group and each under a name of its own,
//! and hands them to [`pipeline::charging`], which pays them.

mod read;

use std::process::ExitCode;

use pipeline::config::Needs;
use pipeline::stage::{self, Context, Stage};
use pipeline::startup::Paying;

const STAGE: Stage = Stage { name: "payer", needs: Needs { redis: true, money: true, pin: true, webhook: false } };

fn main() -> ExitCode {
    stage::main(STAGE, run)
}

async fn run(context: Context) -> anyhow::Result<()> {
    let config = &context.config;
    let started = Paying::start(&context, &config.consumer_name, config.payer.poll).await?;
    let Some(paying) = started else { return Ok(()) };
    read::until_told_to_end(&context, &paying.streams, &paying.charging, paying.active.clone()).await;
    paying.end().await
}

//! The payer: streams → `money` → results.
//!
//! Reads new entries of every running promotion, all replicas in one group and each under a name of its own,
//! and hands them to [`pipeline::charging`], which pays them.

mod read;

use std::process::ExitCode;

use pipeline::charging::{Active, Charging, Tools};
use pipeline::config::Needs;
use pipeline::stage::{self, Context, Stage};
use pipeline::startup;

const STAGE: Stage = Stage { name: "payer", needs: Needs { redis: true, money: true, pin: true } };

fn main() -> ExitCode {
    stage::main(STAGE, run)
}

async fn run(context: Context) -> anyhow::Result<()> {
    let config = &context.config;
    let (store, streams, money) = (startup::store(config)?, startup::streams(config)?, startup::money(config)?);
    startup::warn_of_weak_money(config);
    let ready = startup::servers(&context, &store, &streams).await?
        && startup::consumer_name(&context, &streams, &config.consumer_name).await?;
    if !ready {
        return Ok(());
    }
    let (health, shutdown) = (context.health.clone(), context.shutdown.clone());
    let active = Active::start(
        store.clone(),
        (config.payer.poll, config.payer.poll),
        config.pin_key.is_some(),
        health,
        shutdown,
    );
    let tools = Tools {
        store,
        streams: streams.clone(),
        money,
        config: config.clone(),
        shutdown: context.shutdown.clone(),
        health: context.health.clone(),
        consumer: config.consumer_name.clone(),
    };
    let charging = Charging::start(tools, active.clone());
    read::until_told_to_end(&context, &streams, &charging, active).await;
    match charging.drain().await {
        0 => Ok(()),
        left => anyhow::bail!("{left} entries were still in flight when the grace was over; others pick them up"),
    }
}

//! The retrier: the pending entries list is the retry queue.
//!
//! Takes what is due (parked entries whose backoff is over, entries that a dead consumer holds, entries that
//! wait for a person, at the slowest pace) and hands it to [`pipeline::charging`], which pays it as it pays
//! everything else, but with a look-up first wherever an earlier attempt may have been executed.

mod due;

use std::process::ExitCode;
use std::time::Duration;

use pipeline::charging::{Active, Charging, Tools};
use pipeline::config::Needs;
use pipeline::stage::{self, Context, Stage};
use pipeline::startup;

const STAGE: Stage = Stage { name: "retrier", needs: Needs { redis: true, money: true, pin: true } };

/// Pause between two looks while nothing runs: what fails first is retried a second later.
const IDLE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    stage::main(STAGE, run)
}

async fn run(context: Context) -> anyhow::Result<()> {
    let config = &context.config;
    let (store, streams, money) = (startup::store(config)?, startup::streams(config)?, startup::money(config)?);
    startup::warn_of_weak_money(config);
    // A payer on the same host has the plain name.
    let consumer = format!("{}.retrier", config.consumer_name);
    let ready = startup::servers(&context, &store, &streams).await?
        && startup::consumer_name(&context, &streams, &consumer).await?;
    if !ready {
        return Ok(());
    }
    let (health, shutdown) = (context.health.clone(), context.shutdown.clone());
    let active = Active::start(store.clone(), (config.payer.poll, IDLE), config.pin_key.is_some(), health, shutdown);
    let tools = Tools {
        store,
        streams: streams.clone(),
        money,
        config: config.clone(),
        shutdown: context.shutdown.clone(),
        health: context.health.clone(),
        consumer: consumer.clone(),
    };
    let charging = Charging::start(tools, active.clone());
    due::until_told_to_end(&context, &streams, &charging, active, &consumer).await;
    match charging.drain().await {
        0 => Ok(()),
        left => anyhow::bail!("{left} entries were still in flight when the grace was over; others pick them up"),
    }
}

//! The dispatcher: targets → streams.
//!
//! Starts due promotions, one after another by default ([`start`]), and publishes their targets
//! ([`publish`]). Any number of dispatchers may run: every step is a compare-and-set.

mod cursors;
mod publish;
mod start;

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use pipeline::config::Needs;
use pipeline::domain::{Promotion, PromotionId, PromotionStatus};
use pipeline::metrics::{self, ErrorClass};
use pipeline::stage::{self, Context, Stage};
use pipeline::startup;
use pipeline::store::{PollScope, Store};
use pipeline::streams::Streams;
use tokio::task::JoinHandle;

const STAGE: Stage =
    Stage { name: "dispatcher", needs: Needs { redis: true, money: false, pin: false, webhook: false } };

/// Pause after an error.
const AWAY: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    stage::main(STAGE, run)
}

async fn run(context: Context) -> anyhow::Result<()> {
    let (store, streams) = (startup::store(&context.config)?, startup::streams(&context.config)?);
    if !startup::servers(&context, &store, &streams).await? {
        return Ok(());
    }
    let mut starter =
        start::Starter::new(store.clone(), streams.clone(), context.config.dispatcher.clone(), context.health.clone());
    let mut publishers: HashMap<PromotionId, JoinHandle<()>> = HashMap::new();
    loop {
        publishers.retain(|_, publisher| !publisher.is_finished());
        let pause = match turn(&context, &store, &streams, &mut starter, &mut publishers).await {
            Ok(()) => context.config.dispatcher.poll,
            Err(error) => {
                metrics::error(ErrorClass::Mysql);
                context.health.dependency("mysql", false);
                tracing::warn!(%error, "cannot look for promotions");
                AWAY
            }
        };
        if startup::pause(&context.shutdown, &context.health, pause).await {
            break;
        }
    }
    for publisher in publishers.into_values() {
        publisher.await?;
    }
    Ok(())
}

/// Starts what is due, and sees to it that every running promotion has a publisher here.
async fn turn(
    context: &Context,
    store: &Store,
    streams: &Streams,
    starter: &mut start::Starter,
    publishers: &mut HashMap<PromotionId, JoinHandle<()>>,
) -> Result<(), pipeline::store::StoreError> {
    let open = store.promotions(PollScope::DueOrRunning).await?;
    let (due, running): (Vec<Promotion>, Vec<Promotion>) =
        open.into_iter().partition(|promotion| promotion.status == PromotionStatus::Ready);
    context.health.dependency("mysql", true);
    let mut publish = |running: &[Promotion]| {
        for promotion in running {
            publishers.entry(promotion.id).or_insert_with(|| {
                let (context, store, streams) = (context.clone(), store.clone(), streams.clone());
                tokio::spawn(publish::until_it_ends(context, store, streams, promotion.clone()))
            });
        }
    };
    // What runs does not wait for what is compared before it starts.
    publish(&running);
    if starter.start_due(&due, &running).await? {
        publish(&store.promotions(PollScope::Running).await?);
    }
    Ok(())
}

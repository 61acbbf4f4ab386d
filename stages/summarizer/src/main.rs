//! The summarizer: counts → summary, the proof of the end, and the sweep.
//!
//! Every flush interval the partitions' counts are added up and written, absolute, to the public hash and the
//! summary row ([`flush`]). When they say that everything is final, MySQL is asked to prove it ([`end`]). Beside that, every
//! sweep interval, partitions that do not move are compared with MySQL and rebuilt where they differ
//! ([`mod@sweep`]), and what happened to a promotion is told by webhook ([`mod@tell`]). All of it may be done twice, or by two
//! replicas at once.

mod end;
mod figures;
mod flush;
mod progress;
mod sweep;
mod tell;

use std::process::ExitCode;
use std::time::Duration;

use pipeline::config::Needs;
use pipeline::domain::PromotionStatus;
use pipeline::health::Health;
use pipeline::metrics;
use pipeline::stage::{self, Context, Stage};
use pipeline::startup;
use pipeline::store::{PollScope, Store};
use pipeline::streams::Streams;
use tokio::time::Instant;

const STAGE: Stage =
    Stage { name: "summarizer", needs: Needs { redis: true, money: false, pin: false, webhook: true } };

/// How often Redis is asked how full it is, and promotions are counted: as often as Prometheus usually looks. INFO costs
/// Redis a tenth of a millisecond, counting costs MySQL a look at an index.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a promotion that was stopped, or failed, is still summed up: what was in flight has long been settled then.
const DRAINED: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

fn main() -> ExitCode {
    stage::main(STAGE, run)
}

/// What every part of the summarizer works with.
struct Tools {
    context: Context,
    store: Store,
    streams: Streams,
}

async fn run(context: Context) -> anyhow::Result<()> {
    let (store, streams) = (startup::store(&context.config)?, startup::streams(&context.config)?);
    if !startup::servers(&context, &store, &streams).await? {
        return Ok(());
    }
    let webhook = startup::webhook(&context.config)?;
    let telling = tokio::spawn(tell::run(context.clone(), store.clone(), webhook));
    let tools = Tools { context, store, streams };
    tokio::join!(sum_up(&tools), sweep::run(&tools));
    // What is being sent comes to its end, within the grace.
    telling.await?;
    Ok(())
}

/// Sums up until the process is to end.
async fn sum_up(tools: &Tools) {
    let mut progress = progress::Progress::default();
    let mut next_look = Instant::now();
    loop {
        let began = Instant::now();
        match turn(tools, &mut progress).await {
            Ok(()) => metrics::collected(began.elapsed()),
            Err(error) => {
                tell(&tools.context.health, &error);
                tracing::warn!(error = format!("{error:#}"), "a turn was given up; the next one does it again");
            }
        }
        if began >= next_look {
            next_look = began + LOOK_EVERY;
            figures::memory(tools).await;
            figures::census(tools).await;
        }
        let interval = tools.context.config.summarizer.flush_interval;
        let pause = progress.pause(interval).saturating_sub(began.elapsed());
        if startup::pause(&tools.context.shutdown, &tools.context.health, pause).await {
            return;
        }
    }
}

async fn turn(tools: &Tools, progress: &mut progress::Progress) -> anyhow::Result<()> {
    let counted = tools.store.promotions(PollScope::Counted(tools.store.now() - DRAINED)).await?;
    tools.context.health.dependency("mysql", true);
    let (running, halted): (Vec<_>, Vec<_>) =
        counted.into_iter().partition(|promotion| promotion.status == PromotionStatus::InProgress);
    progress.keep(running.iter().map(|promotion| promotion.id));
    for promotion in &running {
        tools.context.health.beat();
        // One promotion that cannot be read must not keep the others from being summed up.
        if let Err(error) = flush::promotion(tools, progress.of(promotion.id), promotion).await {
            tell(&tools.context.health, &error);
            tracing::warn!(promotion = %promotion.id, error = format!("{error:#}"), "cannot sum a promotion up");
        }
    }
    for promotion in &halted {
        if let Err(error) = flush::halted(tools, promotion).await {
            tell(&tools.context.health, &error);
            tracing::warn!(promotion = %promotion.id, error = format!("{error:#}"), "cannot sum a halted promotion up");
        }
    }
    metrics::promotions(progress.figures());
    Ok(())
}

/// Shows that figures are missing, and who is to blame.
fn tell(health: &Health, error: &anyhow::Error) {
    metrics::collection_failed();
    metrics::error(health.blame(error));
}

//! The summarizer: counts → summary, the proof of the end, and the sweep.
//!
//! Every flush interval the partitions' counts are added up and written, absolute, to the public hash and the
//! summary row ([`flush`]). When they say that everything is final, MySQL is asked to prove it ([`end`]). Every
//! sweep interval partitions that do not move are compared with MySQL and rebuilt where they differ
//! ([`sweep`]). All of it may be done twice, or by two replicas at once.

mod end;
mod figures;
mod flush;
mod progress;
mod sweep;

use std::process::ExitCode;

use pipeline::config::Needs;
use pipeline::metrics::{self, ErrorClass};
use pipeline::stage::{self, Context, Stage};
use pipeline::startup;
use pipeline::store::{PollScope, Store};
use pipeline::streams::Streams;
use tokio::time::Instant;

const STAGE: Stage = Stage { name: "summarizer", needs: Needs { redis: true, money: false, pin: false } };

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
    let tools = Tools { context, store, streams };
    let mut progress = progress::Progress::default();
    let config = &tools.context.config.summarizer;
    let mut next_sweep = Instant::now();
    loop {
        let began = Instant::now();
        match turn(&tools, &mut progress, began >= next_sweep).await {
            Ok(()) => metrics::collected(began.elapsed()),
            Err(error) => {
                metrics::collection_failed();
                metrics::error(ErrorClass::Internal);
                tracing::warn!(error = format!("{error:#}"), "a turn was given up; the next one does it again");
            }
        }
        if began >= next_sweep {
            next_sweep = began + config.sweep_interval;
        }
        let pause = progress.pause(config.flush_interval).saturating_sub(began.elapsed());
        if startup::pause(&tools.context.shutdown, &tools.context.health, pause).await {
            return Ok(());
        }
    }
}

async fn turn(tools: &Tools, progress: &mut progress::Progress, sweep: bool) -> anyhow::Result<()> {
    let running = tools.store.promotions(PollScope::Running).await?;
    tools.context.health.dependency("mysql", true);
    progress.keep(running.iter().map(|promotion| promotion.id));
    for promotion in &running {
        // One promotion that cannot be read must not keep the others from being summed up.
        if let Err(error) = flush::promotion(tools, progress.of(promotion.id), promotion).await {
            metrics::error(ErrorClass::Redis);
            tracing::warn!(promotion = %promotion.id, error = format!("{error:#}"), "cannot sum a promotion up");
            continue;
        }
        if sweep && let Err(error) = sweep::promotion(tools, progress.of(promotion.id), promotion).await {
            metrics::error(ErrorClass::Redis);
            tracing::warn!(promotion = %promotion.id, error = format!("{error:#}"), "cannot sweep a promotion");
        }
    }
    if sweep {
        end::remove_leftovers(tools).await?;
    }
    metrics::promotions(progress.figures());
    Ok(())
}

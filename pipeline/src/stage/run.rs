//! From a checked configuration to the exit code.

use std::future::Future;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::{Context, EXIT_FAILED, EXIT_PANIC, Stage};
use crate::config::Config;
use crate::health::{self, Health};
use crate::metrics;
use crate::shutdown::{self, Trigger};

/// Runs the stage. What it did not finish when its grace is over is dropped with the runtime.
pub(super) fn to_the_end<F, Fut>(stage: Stage, config: Config, run: F) -> ExitCode
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let ended = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime").and_then(
        |runtime| {
            let ended = runtime.block_on(supervise(stage, Arc::new(config), run));
            // Blocking calls that do not end must not hold the process.
            runtime.shutdown_timeout(Duration::from_millis(100));
            ended
        },
    );
    match ended {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(stage = stage.name, error = format!("{error:#}"), "failed");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// A panic anywhere ends the process: no task dies silently. What it held is picked up by others.
pub(super) fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("a panic without a message");
        tracing::error!(location, message, "panicked");
        std::process::exit(EXIT_PANIC.into());
    }));
}

async fn supervise<F, Fut>(stage: Stage, config: Arc<Config>, run: F) -> anyhow::Result<ExitCode>
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let signals = Signals::listen()?;
    let (trigger, shutdown) = shutdown::channel();
    let health = Health::new(config.live_within, shutdown.clone());
    expose(stage, &config, &health).await?;
    // A task of its own: a stage that is busy does not keep the second signal waiting.
    tokio::spawn(signals.obey(stage.name, trigger, config.shutdown_grace));

    let mut work = pin!(run(Context { stage, config, shutdown: shutdown.clone(), health }));
    tokio::select! {
        ended = &mut work => return ended.map(|()| {
            tracing::info!(stage = stage.name, "done");
            ExitCode::SUCCESS
        }),
        () = shutdown.wait() => {}
    }
    let (began, deadline) = (Instant::now(), shutdown.deadline().unwrap_or_else(Instant::now));
    match tokio::time::timeout_at(deadline, work).await {
        Ok(ended) => ended.map(|()| {
            tracing::info!(stage = stage.name, complete = true, took_ms = millis(began.elapsed()), "drained");
            ExitCode::SUCCESS
        }),
        Err(_) => {
            tracing::warn!(stage = stage.name, complete = false, "drained only in part: others pick up what is left");
            Ok(ExitCode::from(EXIT_FAILED))
        }
    }
}

/// Starts metrics, and shows them and the process's health until it ends.
pub(super) async fn expose(stage: Stage, config: &Config, health: &Health) -> anyhow::Result<()> {
    metrics::start(stage.name, stage.needs, config.metrics_upkeep).context("start metrics")?;
    let addr = &config.metrics_addr;
    let (listener, real) = health::bind(addr).await.with_context(|| {
        format!("listen at {addr} (metrics.addr, PAYOUT_METRICS_ADDR): choose an address that is free, or port 0")
    })?;
    tracing::info!(stage = stage.name, metrics_addr = %real, version = env!("CARGO_PKG_VERSION"), "listening");
    tokio::spawn(health::serve(listener, health.clone()));
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

struct Received {
    name: &'static str,
    /// 128 and the signal's number, as a shell would say.
    exit_code: i32,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// The first signal requests the end, the second is the end.
    async fn obey(mut self, stage: &'static str, trigger: Trigger, grace: Duration) {
        let first = self.next().await;
        tracing::info!(stage, signal = first.name, grace_ms = millis(grace), "draining");
        trigger.request(grace);
        let second = self.next().await;
        tracing::warn!(stage, signal = second.name, complete = false, "ended at once: others pick up what is left");
        std::process::exit(second.exit_code);
    }

    async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.terminate.recv() => Received { name: "SIGTERM", exit_code: 143 },
            _ = self.interrupt.recv() => Received { name: "SIGINT", exit_code: 130 },
        }
    }
}

//! Metrics: names, labels and how events are recorded, all here.
//!
//! An event is recorded by the function named for it. Before [`start`] (in tools and tests) and in a stage
//! that has no use for a family of metrics, recording does nothing. All series that are known in advance are
//! exported from the start, with 0; what only a server can say, from its first answer on. `promotion` is a label only of the figures that the summarizer sets.

mod catalog;
mod handles;
mod labels;
mod limiter;
mod promotions;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use metrics::{Counter, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub use catalog::{Kind, METRICS, Metric};
use handles::{Handles, Paying, Streams, Telling};
pub use labels::{
    AttemptResult, BreakerState, Completed, DeadReason, ErrorClass, ItemState, RebuildReason, Resolved, RetryReason,
    Told,
};
pub use limiter::limiter_heard;
pub use promotions::{MAX_PROMOTIONS, PromotionFigures, promotions};

use crate::config::Needs;
use crate::domain::PromotionStatus;
use crate::domain::decide::Request;
use crate::domain::outcome::Verdict;

static RUNNING: OnceLock<Running> = OnceLock::new();

struct Running {
    prometheus: PrometheusHandle,
    process: metrics_process::Collector,
    handles: Handles,
}

/// Why metrics cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A list of buckets is empty: a fault of ours.
    #[error("the buckets of a histogram are wrong: {0}")]
    Buckets(#[from] BuildError),
    /// This process has metrics already.
    #[error("metrics were started twice")]
    Twice,
}

/// Starts recording for this process, within a tokio runtime. Memory that histograms hold is given back
/// every `upkeep`.
///
/// # Errors
/// [`StartError`].
pub fn start(stage: &'static str, needs: Needs, upkeep: Duration) -> Result<(), StartError> {
    let recorder = recorder()?;
    let prometheus = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| StartError::Twice)?;
    let process = metrics_process::Collector::default();
    process.describe();
    let handles = Handles::new(stage, needs);
    handles.last_progress.set(now());
    RUNNING.set(Running { prometheus: prometheus.clone(), process, handles }).map_err(|_| StartError::Twice)?;
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(upkeep);
        loop {
            tick.tick().await;
            prometheus.run_upkeep();
        }
    });
    Ok(())
}

/// Everything, in the text format of Prometheus.
pub fn render() -> String {
    let Some(running) = RUNNING.get() else { return String::new() };
    running.process.collect();
    if let (Some(paying), Some(tokens)) = (&running.handles.money, limiter::tokens()) {
        paying.limiter_tokens.set(tokens);
    }
    let mut text = running.prometheus.render();
    promotions::render(&mut text);
    text
}

/// Classic buckets for every histogram; without them the exporter would make summaries, which cannot be added up.
fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let mut builder = PrometheusBuilder::new().set_buckets(catalog::CALL)?;
    for metric in METRICS {
        if let Kind::Histogram(buckets) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
    }
    Ok(builder.build_recorder())
}

fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}

fn stage(record: impl FnOnce(&Handles)) {
    if let Some(running) = RUNNING.get() {
        record(&running.handles);
    }
}

fn redis(record: impl FnOnce(&Streams)) {
    stage(|handles| {
        if let Some(series) = &handles.redis {
            record(series);
        }
    });
}

fn money(record: impl FnOnce(&Paying)) {
    stage(|handles| {
        if let Some(series) = &handles.money {
            record(series);
        }
    });
}

fn webhook(record: impl FnOnce(&Telling)) {
    stage(|handles| {
        if let Some(series) = &handles.webhook {
            record(series);
        }
    });
}

fn add(counters: &[Counter], place: usize, count: u64) {
    if let Some(counter) = counters.get(place) {
        counter.increment(count);
    }
}

/// The stage took in a batch.
pub fn received(items: usize) {
    stage(|handles| {
        handles.received.increment(items as u64);
        handles.batch.record(items as f64);
    });
}

/// The stage let items go.
pub fn completed(outcome: Completed, items: usize) {
    if items == 0 {
        return;
    }
    stage(|handles| {
        add(&handles.completed, outcome as usize, items as u64);
        handles.last_progress.set(now());
    });
}

/// The process holds this many items.
pub fn in_flight(items: usize) {
    stage(|handles| handles.in_flight.set(items as f64));
}

/// A batch was let go this long after it was taken in.
pub fn batch_took(duration: Duration) {
    stage(|handles| handles.process.record(duration));
}

/// An item was delivered for the first time, this long after it was published.
pub fn queue_waited(duration: Duration) {
    stage(|handles| handles.queue_wait.record(duration));
}

/// An item was settled, this long after it was published.
pub fn settled_after(duration: Duration) {
    stage(|handles| handles.end_to_end.record(duration));
}

/// The stage handled an error.
pub fn error(class: ErrorClass) {
    stage(|handles| add(&handles.errors, class as usize, 1));
}

/// A dependency can be reached, or not. Rare, so its series is looked up.
pub fn dependency(name: &'static str, up: bool) {
    stage(|_| gauge!(catalog::DEPENDENCY, "dependency" => name).set(if up { 1.0 } else { 0.0 }));
}

/// The answer to a COMMIT was lost, and the rows were read again.
pub fn commit_was_ambiguous(resolved: Resolved) {
    stage(|handles| add(&handles.ambiguous_commits, resolved as usize, 1));
}

/// A partition was rebuilt from MySQL.
pub fn stream_rebuilt(reason: RebuildReason) {
    redis(|streams| add(&streams.rebuilt, reason as usize, 1));
}

/// A consumer group had to be made again.
pub fn group_recreated() {
    redis(|streams| streams.groups_recreated.increment(1));
}

/// What Redis uses and may use, in bytes; a limit of 0 is none. Rare, so its series are looked up: they are there only
/// where somebody looks.
pub fn redis_memory(used: u64, limit: u64) {
    stage(|_| {
        gauge!(catalog::REDIS_MEMORY_USED).set(used as f64);
        gauge!(catalog::REDIS_MEMORY_LIMIT).set(limit as f64);
    });
}

/// How many promotions are in each status, and since when one has been due, in milliseconds since the Unix epoch. Rare, so
/// their series are looked up: they are there only where somebody counts.
pub fn census(counts: &[(PromotionStatus, u64)], due_since_ms: Option<i64>) {
    stage(|_| {
        for (status, promotions) in counts {
            gauge!(catalog::PROMOTIONS, "status" => status.code()).set(*promotions as f64);
        }
        gauge!(catalog::OLDEST_DUE).set(due_since_ms.map_or(0.0, |ms| ms as f64 / 1000.0));
    });
}

/// The figures of the promotions were collected.
pub fn collected(duration: Duration) {
    redis(|streams| streams.collector_duration.record(duration));
}

/// The figures of the promotions could not be collected.
pub fn collection_failed() {
    redis(|streams| streams.collector_errors.increment(1));
}

/// An attempt to pay proved something.
pub fn attempted(result: AttemptResult) {
    money(|paying| add(&paying.attempts, result as usize, 1));
}

/// An attempt is made again.
pub fn retried(reason: RetryReason) {
    money(|paying| add(&paying.retries, reason as usize, 1));
}

/// A payout failed for good.
pub fn dead_lettered(reason: DeadReason) {
    money(|paying| add(&paying.dead_letters, reason as usize, 1));
}

/// A dead-letter stream was full and dropped its oldest entries.
pub fn dead_letters_dropped(entries: u64) {
    redis(|streams| streams.dead_letters_dropped.increment(entries));
}

/// Deliveries of payouts that this process was working on were not called.
pub fn duplicates_blocked(items: usize) {
    money(|paying| paying.duplicates_blocked.increment(items as u64));
}

/// Outcomes came when their rows were final or had another key.
pub fn late_writes_refused(items: usize) {
    money(|paying| paying.late_writes.increment(items as u64));
}

/// Whether money executes a key once, as the configuration says.
pub fn exactly_once(promised: bool) {
    money(|paying| paying.exactly_once.set(if promised { 1.0 } else { 0.0 }));
}

/// A charge is sent that may be the second one which money executes.
pub fn may_be_a_duplicate() {
    money(|paying| paying.possible_duplicates.increment(1));
}

/// An entry that seems to crash its consumer was put aside.
pub fn quarantined() {
    money(|paying| paying.quarantined.increment(1));
}

/// A request to money was answered, or was not within its deadline.
pub fn money_answered(request: Request, verdict: Verdict, duration: Duration) {
    money(|paying| {
        if let Some(verdicts) = paying.requests.get(request as usize) {
            add(verdicts, verdict as usize, 1);
        }
        if let Some(durations) = paying.durations.get(request as usize) {
            durations.record(duration);
        }
    });
}

/// The configured limit that all replicas share, in requests per second; 0 is none.
pub fn limit(per_second: u32) {
    money(|paying| paying.limit.set(per_second));
}

/// A request waited for the shared limit.
pub fn limiter_waited(duration: Duration) {
    money(|paying| paying.limiter_wait.record(duration));
}

/// The shared breaker, as this process sees it.
pub fn breaker(state: BreakerState) {
    money(|paying| paying.breaker.set(state as u8));
}

/// A message was sent, and answered or not.
pub fn told(told: Told, duration: Duration) {
    webhook(|telling| {
        add(&telling.attempts, told as usize, 1);
        telling.duration.record(duration);
    });
}

/// Messages that have not reached anybody.
pub fn untold(waiting: u64, given_up: u64) {
    webhook(|telling| {
        telling.waiting.set(waiting as f64);
        telling.given_up.set(given_up as f64);
    });
}

//! Handles of all series, made once: recording an event is an addition to a number in memory.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::catalog::{self, Kind, METRICS};
use super::labels::{
    AttemptResult, Completed, DeadReason, ErrorClass, REQUESTS, RebuildReason, Resolved, RetryReason, Told, VERDICTS,
    request, verdict,
};
use crate::config::Needs;

/// Series of every stage, and of what the stage needs.
pub(super) struct Handles {
    pub(super) received: Counter,
    pub(super) completed: Vec<Counter>,
    pub(super) in_flight: Gauge,
    pub(super) last_progress: Gauge,
    pub(super) batch: Histogram,
    pub(super) process: Histogram,
    pub(super) queue_wait: Histogram,
    pub(super) end_to_end: Histogram,
    pub(super) errors: Vec<Counter>,
    pub(super) ambiguous_commits: Vec<Counter>,
    pub(super) redis: Option<Streams>,
    pub(super) money: Option<Paying>,
    pub(super) webhook: Option<Telling>,
}

/// Series of the stages that use Redis.
pub(super) struct Streams {
    pub(super) rebuilt: Vec<Counter>,
    pub(super) groups_recreated: Counter,
    pub(super) dead_letters_dropped: Counter,
    pub(super) collector_duration: Histogram,
    pub(super) collector_errors: Counter,
}

/// Series of the stage that tells the outside.
pub(super) struct Telling {
    pub(super) attempts: Vec<Counter>,
    pub(super) duration: Histogram,
    pub(super) given_up: Gauge,
    pub(super) waiting: Gauge,
}

/// Series of the stages that pay.
pub(super) struct Paying {
    pub(super) attempts: Vec<Counter>,
    pub(super) retries: Vec<Counter>,
    pub(super) dead_letters: Vec<Counter>,
    pub(super) duplicates_blocked: Counter,
    pub(super) late_writes: Counter,
    pub(super) exactly_once: Gauge,
    pub(super) possible_duplicates: Counter,
    pub(super) quarantined: Counter,
    /// By kind, then by verdict.
    pub(super) requests: Vec<Vec<Counter>>,
    pub(super) durations: Vec<Histogram>,
    pub(super) limit: Gauge,
    pub(super) limiter_tokens: Gauge,
    pub(super) limiter_wait: Histogram,
    pub(super) breaker: Gauge,
}

impl Handles {
    /// Registers, at the recorder in force, every series that is known in advance. It exists from now on, with 0.
    pub(super) fn new(stage: &'static str, needs: Needs) -> Self {
        describe();
        gauge!(catalog::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION"), "stage" => stage).set(1);
        let completed =
            |outcome: &Completed| counter!(catalog::COMPLETED, "stage" => stage, "outcome" => outcome.label());
        let errors = |class: &ErrorClass| counter!(catalog::ERRORS, "stage" => stage, "class" => class.label());
        Self {
            received: counter!(catalog::RECEIVED, "stage" => stage),
            completed: Completed::ALL.iter().map(completed).collect(),
            in_flight: gauge!(catalog::IN_FLIGHT, "stage" => stage),
            last_progress: gauge!(catalog::LAST_PROGRESS, "stage" => stage),
            batch: histogram!(catalog::BATCH, "stage" => stage),
            process: histogram!(catalog::PROCESS, "stage" => stage),
            queue_wait: histogram!(catalog::QUEUE_WAIT, "stage" => stage),
            end_to_end: histogram!(catalog::END_TO_END, "stage" => stage),
            errors: ErrorClass::ALL.iter().map(errors).collect(),
            ambiguous_commits: series(catalog::AMBIGUOUS_COMMITS, "resolved", Resolved::ALL.iter().map(|l| l.label())),
            redis: needs.redis.then(Streams::new),
            money: needs.money.then(Paying::new),
            webhook: needs.webhook.then(Telling::new),
        }
    }
}

impl Streams {
    fn new() -> Self {
        Self {
            rebuilt: series(catalog::REBUILT, "reason", RebuildReason::ALL.iter().map(|l| l.label())),
            groups_recreated: counter!(catalog::GROUPS_RECREATED),
            dead_letters_dropped: counter!(catalog::DEAD_LETTERS_DROPPED),
            collector_duration: histogram!(catalog::COLLECTOR_DURATION),
            collector_errors: counter!(catalog::COLLECTOR_ERRORS),
        }
    }
}

impl Telling {
    fn new() -> Self {
        Self {
            attempts: series(catalog::WEBHOOK_ATTEMPTS, "result", Told::ALL.iter().map(|l| l.label())),
            duration: histogram!(catalog::WEBHOOK_DURATION),
            given_up: gauge!(catalog::WEBHOOK_GIVEN_UP),
            waiting: gauge!(catalog::WEBHOOK_WAITING),
        }
    }
}

impl Paying {
    fn new() -> Self {
        let of_kind = |kind: &'static str| {
            let of_verdict = |v| counter!(catalog::MONEY_REQUESTS, "kind" => kind, "verdict" => verdict(v));
            VERDICTS.into_iter().map(of_verdict).collect()
        };
        let duration = |kind| histogram!(catalog::MONEY_DURATION, "kind" => request(kind));
        Self {
            attempts: series(catalog::ATTEMPTS, "result", AttemptResult::ALL.iter().map(|l| l.label())),
            retries: series(catalog::RETRIES, "reason", RetryReason::ALL.iter().map(|l| l.label())),
            dead_letters: series(catalog::DEAD_LETTERS, "reason", DeadReason::ALL.iter().map(|l| l.label())),
            duplicates_blocked: counter!(catalog::DUPLICATES_BLOCKED),
            late_writes: counter!(catalog::LATE_WRITES),
            exactly_once: gauge!(catalog::EXACTLY_ONCE),
            possible_duplicates: counter!(catalog::POSSIBLE_DUPLICATES),
            quarantined: counter!(catalog::QUARANTINED),
            requests: REQUESTS.into_iter().map(|kind| of_kind(request(kind))).collect(),
            durations: REQUESTS.into_iter().map(duration).collect(),
            limit: gauge!(catalog::LIMIT),
            limiter_tokens: gauge!(catalog::LIMITER_TOKENS),
            limiter_wait: histogram!(catalog::LIMITER_WAIT),
            breaker: gauge!(catalog::BREAKER_STATE),
        }
    }
}

/// A counter for each value of one label.
fn series(name: &'static str, label: &'static str, values: impl Iterator<Item = &'static str>) -> Vec<Counter> {
    values.map(|value| counter!(name, label => value)).collect()
}

fn describe() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram(_) => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

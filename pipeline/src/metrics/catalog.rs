//! Every metric: its name, what it counts, and its buckets.

/// Seconds of a call or a batch: up to the longest deadline that makes sense.
pub(super) const CALL: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Seconds of a wait: from one batch to an hour of backlog.
pub(super) const WAIT: &[f64] =
    &[0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];
/// Items of a batch.
pub(super) const ITEMS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];

/// What a metric is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Classic buckets, so that replicas can be added up.
    Histogram(&'static [f64]),
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its full name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it tells, for its HELP line.
    pub help: &'static str,
}

macro_rules! catalog {
    ($($(#[$attribute:meta])* $constant:ident = $name:literal, $kind:expr, $help:literal;)*) => {
        $($(#[$attribute])* pub(super) const $constant: &str = $name;)*

        /// Every metric of ours; those of the process come beside them.
        pub const METRICS: &[Metric] = &[$(Metric { name: $name, kind: $kind, help: $help },)*];
    };
}

use Kind::{Counter, Gauge, Histogram};

catalog! {
    BUILD_INFO = "payout_build_info", Gauge, "1, with the version of the binary as a label.";
    RECEIVED = "payout_stage_items_received_total", Counter, "Items that the stage took in.";
    COMPLETED = "payout_stage_items_completed_total", Counter, "Items that the stage let go, by what became of them.";
    IN_FLIGHT = "payout_stage_items_in_flight", Gauge, "Items that the process holds.";
    LAST_PROGRESS = "payout_stage_last_progress_timestamp_seconds", Gauge, "When the process last completed an item; its start until then.";
    BATCH = "payout_stage_batch_items", Histogram(ITEMS), "Items of a batch.";
    PROCESS = "payout_stage_process_duration_seconds", Histogram(CALL), "From taking a batch in to letting it go.";
    QUEUE_WAIT = "payout_stage_queue_wait_seconds", Histogram(WAIT), "From publishing an item to its first delivery.";
    ERRORS = "payout_stage_errors_total", Counter, "Errors that the stage handled, by what failed.";
    END_TO_END = "payout_end_to_end_duration_seconds", Histogram(WAIT), "From publishing an item to settling it.";
    DEPENDENCY = "payout_dependency_up", Gauge, "Whether the process reaches a dependency.";
    ATTEMPTS = "payout_attempts_total", Counter, "Attempts to pay, by what they proved.";
    RETRIES = "payout_retries_total", Counter, "Attempts made again, by why.";
    DEAD_LETTERS = "payout_dead_letters_total", Counter, "Final failures and quarantined entries, by why.";
    DEAD_LETTERS_DROPPED = "payout_dead_letters_dropped_total", Counter, "Dead-letter entries that a full stream dropped; MySQL keeps all.";
    DUPLICATES_BLOCKED = "payout_duplicate_attempts_blocked_total", Counter, "Deliveries of a payout that the same process was working on, and that were therefore not called.";
    LATE_WRITES = "payout_late_writes_refused_total", Counter, "Outcomes that came when the row was final or its key another one.";
    MONEY_REQUESTS = "payout_money_requests_total", Counter, "Requests to money, by kind and by what their answer proved.";
    MONEY_DURATION = "payout_money_request_duration_seconds", Histogram(CALL), "From sending a request to its answer or deadline.";
    LIMIT = "payout_money_limit_requests_per_second", Gauge, "The configured limit that all replicas share; 0 without one.";
    LIMITER_TOKENS = "payout_money_limiter_tokens", Gauge, "Requests that the shared limit would let pass at once, as this process last heard.";
    LIMITER_WAIT = "payout_money_limiter_wait_seconds", Histogram(CALL), "How long a request waited for the shared limit.";
    BREAKER_STATE = "payout_money_breaker_state", Gauge, "The shared breaker as this process sees it: 0 closed, 1 half open, 2 open.";
    AMBIGUOUS_COMMITS = "payout_ambiguous_commits_total", Counter, "Commits whose answer was lost, by what the rows then showed.";
    REBUILT = "payout_streams_rebuilt_total", Counter, "Partitions rebuilt from MySQL, by why.";
    GROUPS_RECREATED = "payout_groups_recreated_total", Counter, "Consumer groups that had to be made again.";
    EXACTLY_ONCE = "payout_money_exactly_once", Gauge, "1 where money executes a key once; 0 where it does not, and exactly once cannot be promised.";
    POSSIBLE_DUPLICATES = "payout_possible_duplicate_charges_total", Counter, "Charges sent again to a money that does not honour keys, after one that may have been executed.";
    QUARANTINED = "payout_quarantined_total", Counter, "Entries put aside because they seem to crash their consumer or cannot be decoded.";
    REDIS_MEMORY_USED = "payout_redis_memory_used_bytes", Gauge, "Memory that Redis uses.";
    REDIS_MEMORY_LIMIT = "payout_redis_memory_limit_bytes", Gauge, "Memory that Redis may use; 0 without a limit.";
    COLLECTOR_DURATION = "payout_collector_duration_seconds", Histogram(CALL), "How long collecting the figures of the promotions took.";
    COLLECTOR_ERRORS = "payout_collector_errors_total", Counter, "Collections of the promotions' figures that failed.";
    WEBHOOK_ATTEMPTS = "payout_webhook_attempts_total", Counter, "Attempts to send a message, by what came of them.";
    WEBHOOK_DURATION = "payout_webhook_attempt_duration_seconds", Histogram(CALL), "From sending a message to its answer or deadline.";
    WEBHOOK_GIVEN_UP = "payout_webhook_given_up_items", Gauge, "Messages that were given up and that nobody had sent again.";
    WEBHOOK_WAITING = "payout_webhook_waiting_items", Gauge, "Messages that are to be sent.";
    PROMOTIONS = "payout_promotions", Gauge, "Promotions, by status; those that are COMPLETED are not counted.";
    OLDEST_DUE = "payout_oldest_due_timestamp_seconds", Gauge, "Since when the READY promotion that has waited longest has been due; 0 when none is.";
    PROMOTION_ITEMS = "payout_promotion_items", Gauge, "Targets of a running promotion, by state.";
    PROMOTION_AMOUNT = "payout_promotion_amount", Gauge, "Money of a running promotion, by state, as MySQL last said.";
    PROMOTION_PLANNED = "payout_promotion_planned_amount", Gauge, "Money of a running promotion in all, as it was sealed.";
    PROMOTION_BACKLOG = "payout_promotion_backlog_items", Gauge, "Entries of a partition: published and not settled.";
    PROMOTION_OLDEST_UNDELIVERED = "payout_promotion_oldest_undelivered_timestamp_seconds", Gauge, "When the oldest entry that nobody has taken was published; absent without one.";
    PROMOTION_OLDEST_PENDING = "payout_promotion_oldest_pending_timestamp_seconds", Gauge, "When the oldest entry that somebody holds was published; absent without one.";
    PROMOTION_PARKED = "payout_promotion_parked_items", Gauge, "Entries that wait for a retry.";
    PROMOTION_HELD = "payout_promotion_held_items", Gauge, "Entries that wait for a person.";
    PROMOTION_UNKNOWN = "payout_promotion_unknown_items", Gauge, "Payouts of which nobody knows whether they were made, as MySQL last said.";
    PROMOTION_OLDEST_UNKNOWN = "payout_promotion_oldest_unknown_timestamp_seconds", Gauge, "When the first payout whose outcome is unknown was first sent; absent without one.";
    PROMOTION_RATE = "payout_promotion_rate_items_per_second", Gauge, "Payouts settled a second, lately.";
    PROMOTION_ESTIMATED_END = "payout_promotion_estimated_end_timestamp_seconds", Gauge, "When the promotion ends at the present rate; absent without a rate.";
    PROMOTION_DRIFT = "payout_promotion_drift_items", Gauge, "By how many entries published less settled differs from what is on the streams.";
    PROMOTION_EXCESS = "payout_promotion_counts_excess_items", Gauge, "By how many results the counters in Redis exceed what MySQL proves.";
}

//! Which replica is slow, stuck or dead?

use super::Look::{Heat, Lines, Stack};
use super::{Board, panel};

pub(super) fn board() -> Board {
    let about = "Which replica is slow, stuck or dead? Choose a stage, then compare its replicas.";
    let board = Board::new("stage", "Payout: stage and replica", about)
        .variable("stage", "Stage", r#"label_values(payout_build_info{job=~"$job"}, stage)"#)
        .variable("instance", "Replica", r#"label_values(payout_build_info{job=~"$job", stage=~"$stage"}, instance)"#);
    process(time(work(board)))
}

fn work(board: Board) -> Board {
    board
        .row("Work")
        .with(panel(Lines, "Taken in", "Replicas of a stage should be alike. One that takes nothing: see /readyz, and whether it has a consumer name of its own.", "ops")
            .query("sum by (stage, instance) (rate(payout_stage_items_received_total{REPLICA}[$__rate_interval]))", "{{stage}} {{instance}}")
            .width(12))
        .with(panel(Stack, "Let go", "By what became of it. Much parked: attempts fail; see the board of money.", "ops")
            .query("sum by (stage, outcome) (rate(payout_stage_items_completed_total{REPLICA}[$__rate_interval])) > 0", "{{stage}} {{outcome}}")
            .width(12))
        .with(panel(Lines, "Since the last progress", "An idle stage shows its idleness. With work there, a line that rises is a replica that is stuck: runbook StageNotProgressing.", "s")
            .query("time() - max by (stage, instance) (payout_stage_last_progress_timestamp_seconds{REPLICA})", "{{stage}} {{instance}}")
            .limit(300.0))
        .with(panel(Lines, "In flight", "What a replica holds follows its rate, payer.in_flight at most: low with work there, money is slow or the limit low. Level while others move: it is frozen.", "short")
            .query("sum by (stage, instance) (payout_stage_items_in_flight{REPLICA})", "{{stage}} {{instance}}"))
        .with(panel(Lines, "Errors", "That the stage handled; no line is well. Lasting ones: runbook StageErrors, and the log of the replica.", "ops")
            .query("sum by (stage, class) (rate(payout_stage_errors_total{REPLICA}[$__rate_interval])) > 0", "{{stage}} {{class}}"))
        .with(panel(Lines, "Commits in doubt", "Answers to COMMIT that were lost, by what the rows showed when they were read again. Nothing to do for the payouts; many: the way to MySQL is bad.", "short")
            .query("sum by (stage, resolved) (increase(payout_ambiguous_commits_total{PROCESS}[$__rate_interval]) * on (instance) group_left (stage) max by (instance, stage) (payout_build_info{REPLICA}))", "{{stage}} {{resolved}}")
            .width(12))
        .with(panel(Lines, "Guards at work", "Deliveries that were not called, outcomes that came too late. Harmless; many mean frozen replicas or a short visibility timeout.", "ops")
            .query("sum by (instance) (rate(payout_duplicate_attempts_blocked_total{PROCESS}[$__rate_interval]))", "{{instance}} duplicates")
            .query("sum by (instance) (rate(payout_late_writes_refused_total{PROCESS}[$__rate_interval]))", "{{instance}} late")
            .width(12))
}

fn time(board: Board) -> Board {
    board
        .row("Time")
        .with(panel(Lines, "Holding an entry", "Payer, retrier: from taking it to letting it go, which must stay well below retry.visibility_timeout; raise that, or see why money is slow. Others: a batch.", "s")
            .query("histogram_quantile(0.5, sum by (le, stage) (rate(payout_stage_process_duration_seconds_bucket{REPLICA}[$__rate_interval])))", "{{stage}} p50")
            .query("histogram_quantile(0.95, sum by (le, stage) (rate(payout_stage_process_duration_seconds_bucket{REPLICA}[$__rate_interval])))", "{{stage}} p95")
            .query("histogram_quantile(0.99, sum by (le, stage) (rate(payout_stage_process_duration_seconds_bucket{REPLICA}[$__rate_interval])))", "{{stage}} p99"))
        .with(panel(Heat, "Holding an entry, all", "Two bands: some entries wait for something that others do not: compare Charges take and Wait for the limit on the board of money.", "s")
            .query("sum by (le) (increase(payout_stage_process_duration_seconds_bucket{REPLICA}[$__rate_interval]))", "{{le}}"))
        .with(panel(Lines, "Waiting to be taken", "From publishing to the first delivery. Rising below the limit of money: start more payers. At the limit: only a smaller dispatcher.window shortens it.", "s")
            .query("histogram_quantile(0.5, sum by (le, stage) (rate(payout_stage_queue_wait_seconds_bucket{REPLICA}[$__rate_interval])))", "{{stage}} p50")
            .query("histogram_quantile(0.95, sum by (le, stage) (rate(payout_stage_queue_wait_seconds_bucket{REPLICA}[$__rate_interval])))", "{{stage}} p95"))
        .with(panel(Lines, "From publishing to settling", "What a target waits in all: mostly the window and the limit. A tail that grows while the middle stays: see on the board of money why attempts are made again.", "s")
            .query("histogram_quantile(0.5, sum by (le, stage) (rate(payout_end_to_end_duration_seconds_bucket{REPLICA}[$__rate_interval])))", "{{stage}} p50")
            .query("histogram_quantile(0.99, sum by (le, stage) (rate(payout_end_to_end_duration_seconds_bucket{REPLICA}[$__rate_interval])))", "{{stage}} p99"))
        .with(panel(Lines, "Batch", "Small batches under load: entries come slower than they are paid, which is well.", "short")
            .query("sum by (stage) (rate(payout_stage_batch_items_sum{REPLICA}[$__rate_interval])) / (sum by (stage) (rate(payout_stage_batch_items_count{REPLICA}[$__rate_interval])) > 0)", "{{stage}} mean"))
        .with(panel(Lines, "Reaches its servers", "1 or 0. Zero for one replica: its network; for all: the server. Runbook DependencyAway.", "short")
            .query("min by (instance, dependency) (payout_dependency_up{PROCESS})", "{{instance}} {{dependency}}"))
}

fn process(board: Board) -> Board {
    board
        .row("Process")
        .with(panel(Lines, "CPU", "Cores in use. At the container's limit: raise it, or start more replicas.", "short")
            .query("sum by (instance) (rate(process_cpu_seconds_total{PROCESS}[$__rate_interval])) * on (instance) group_left (stage) max by (instance, stage) (payout_build_info{REPLICA})", "{{stage}} {{instance}}")
            .width(6))
        .with(panel(Lines, "Memory", "Level after the first minutes. Rising without end: report it, and restart the replica, which is safe.", "bytes")
            .query("max by (instance) (process_resident_memory_bytes{PROCESS}) * on (instance) group_left (stage) max by (instance, stage) (payout_build_info{REPLICA})", "{{stage}} {{instance}}")
            .width(6))
        .with(panel(Lines, "File descriptors", "Some per connection. At the limit of the process nothing can be opened any more: raise it (ulimit -n).", "short")
            .query("max by (instance) (process_open_fds{PROCESS}) * on (instance) group_left (stage) max by (instance, stage) (payout_build_info{REPLICA})", "{{stage}} {{instance}}")
            .width(6))
        .with(panel(Lines, "Version", "Two versions of a stage during a rollout, one after it. Still two: restart the replicas that the old one's line counts.", "short")
            .query("count by (stage, version) (payout_build_info{REPLICA})", "{{stage}} {{version}}")
            .width(6))
}

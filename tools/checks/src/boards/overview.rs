//! Is everything well? The first row must be all zero; below it, what flows.

use super::Look::{Lines, Number, Stack, Zero};
use super::{Board, panel};

pub(super) fn board() -> Board {
    let about = "Is everything well? The first row must be all zero. Then look at the promotion that concerns you.";
    told(flow(zeros(Board::new("overview", "Payout: overview", about))))
}

fn zeros(board: Board) -> Board {
    board
        .row("Must be all zero")
        .with(panel(Zero, "Entries that do not add up", "Published less settled against the streams, and counters beyond what MySQL proves. Not 0 for minutes: runbook ReconciliationMismatch, promoctl audit.", "short")
            .query("(sum(max by (promotion) (payout_promotion_drift_items{JOB})) or vector(0)) + (sum(max by (promotion) (payout_promotion_counts_excess_items{JOB})) or vector(0))", "entries"))
        .with(panel(Zero, "Unknown for 15 minutes", "Promotions with a payout that was first sent 15 minutes ago and of which nobody knows whether it was made. Runbook UnknownOutcomeOld.", "short")
            .query("count(time() - min by (promotion) (payout_promotion_oldest_unknown_timestamp_seconds{JOB}) > 900) or vector(0)", "promotions"))
        .with(panel(Zero, "May be paid twice", "Charges of the last hour that were sent again to a money that does not honour keys. Ask money about each: runbook PossibleDuplicateCharge.", "short")
            .query("round(sum(increase(payout_possible_duplicate_charges_total{JOB}[1h]))) or vector(0)", "charges"))
        .with(panel(Zero, "Failed promotions", "They stand still, and nobody goes on with them by itself. promoctl promotion show says why: runbook PromotionFailed.", "short")
            .query(r#"max(payout_promotions{JOB, status="FAILED"}) or vector(0)"#, "promotions"))
        .with(panel(Zero, "Overdue", "1: a READY promotion has been due for 15 minutes with nothing running, or for four hours. Runbook PromotionNotStarted.", "short")
            .query("count((time() - (max(payout_oldest_due_timestamp_seconds{JOB}) > 0) > 900 unless on () count(count by (promotion) (payout_promotion_items{JOB})) > 0) or time() - (max(payout_oldest_due_timestamp_seconds{JOB}) > 0) > 14400) or vector(0)", "promotions"))
        .with(panel(Zero, "Wait for a person", "Payouts that the product may not decide. promoctl promotion show lists them, promoctl resolve closes them.", "short")
            .query("sum(max by (promotion) (payout_promotion_held_items{JOB})) or vector(0)", "payouts"))
        .with(panel(Zero, "Money rejects us", "Requests of the last hour that money refused as such; the promotion became FAILED. Runbook MoneyRejectsUs.", "short")
            .query(r#"round(sum(increase(payout_money_requests_total{JOB, verdict=~"fault|key_reused"}[1h]))) or vector(0)"#, "requests"))
        .with(panel(Zero, "Unlisted refusals", "Refusals of the last hour with a code that is not on the final list. Runbook RefusalCodeNotListed.", "short")
            .query(r#"round(sum(increase(payout_money_requests_total{JOB, verdict="refusal_not_listed"}[1h]))) or vector(0)"#, "refusals"))
        .with(panel(Zero, "Quarantined", "Entries of the last hour that seem to crash their consumer. Runbook EntryQuarantined.", "short")
            .query("round(sum(increase(payout_quarantined_total{JOB}[1h]))) or vector(0)", "entries"))
        .with(panel(Zero, "Partitions rebuilt", "Partitions of the last hour that differed from MySQL and were made good. Find out who touched Redis: runbook PartitionRebuilt.", "short")
            .query("round(sum(increase(payout_streams_rebuilt_total{JOB}[1h]))) or vector(0)", "partitions"))
        .with(panel(Zero, "Streams lost", "Streams or groups of the last hour that were gone. Redis was flushed or lost data: runbook StreamLost.", "short")
            .query("round(sum(increase(payout_groups_recreated_total{JOB}[1h]))) or vector(0)", "streams"))
        .with(panel(Zero, "Breaker", "The shared breaker towards money. Open: nobody calls, nothing is lost. Runbook MoneyBreakerOpen.", "short")
            .query("max(payout_money_breaker_state{JOB}) or vector(0)", "state")
            .words(&[(0, "closed", "green"), (1, "half open", "orange"), (2, "open", "red")]))
        .with(panel(Zero, "Stages missing", "Of the four that run for ever. Nothing is lost, nothing goes on: runbook StageMissing.", "short")
            .query("4 - (count(count by (stage) (payout_build_info{JOB})) or vector(0))", "stages"))
        .with(panel(Zero, "Messages given up", "By webhook: somebody was not told that a promotion ended, failed or needs a person. Runbook WebhookGivenUp.", "short")
            .query("max(payout_webhook_given_up_items{JOB}) or vector(0)", "messages"))
        .with(panel(Zero, "Replicas down", "Replicas that do not answer. What they held is taken over: runbook TargetDown.", "short")
            .query("count(up{JOB} == 0) or vector(0)", "replicas"))
        .with(panel(Zero, "Dependencies away", "Replicas that do not reach MySQL or Redis, each counted. They wait: runbook DependencyAway.", "short")
            .query("count(payout_dependency_up{JOB} == 0) or vector(0)", "connections"))
}

fn flow(board: Board) -> Board {
    board
        .row("Flow")
        .with(panel(Lines, "Taken in and let go", "Both lines of a stage should meet. Received above completed: it fills up; look at the stage.", "ops")
            .query("sum by (stage) (rate(payout_stage_items_received_total{JOB}[$__rate_interval]))", "{{stage}} in")
            .query(r#"sum by (stage) (rate(payout_stage_items_completed_total{JOB, outcome!="proved"}[$__rate_interval]))"#, "{{stage}} out"))
        .with(panel(Stack, "What became of payouts", "Successes should be nearly all. Parked ones are tried again; failed ones are final: promoctl promotion show groups them.", "ops")
            .query(r#"sum by (outcome) (rate(payout_stage_items_completed_total{JOB, stage=~"payer|retrier", outcome=~"success|failed|parked|held|discarded"}[$__rate_interval]))"#, "{{outcome}}"))
        .with(panel(Lines, "Failures", "Share of final results that are FAILED. Above what the campaign expects: stop it and ask. Runbook FailureRatioHigh.", "percentunit")
            .query(r#"sum(rate(payout_stage_items_completed_total{JOB, stage=~"payer|retrier", outcome="failed"}[5m])) / (sum(rate(payout_stage_items_completed_total{JOB, stage=~"payer|retrier", outcome=~"failed|success"}[5m])) > 0)"#, "failed")
            .limit(0.05))
        .with(panel(Lines, "Done", "Share of each running promotion that is final, and share of its money that is paid. Flat with work left: look at the promotion.", "percentunit")
            .query(r#"sum by (promotion) (max by (promotion, state) (payout_promotion_items{JOB, state=~"success|failed"})) / sum by (promotion) (max by (promotion, state) (payout_promotion_items{JOB}))"#, "{{promotion}} targets")
            .query(r#"max by (promotion) (payout_promotion_amount{JOB, state="success"}) / max by (promotion) (payout_promotion_planned_amount{JOB})"#, "{{promotion}} money"))
        .with(panel(Lines, "Time left", "At the rate of the last seconds. Beyond what was promised: more payers, or a higher limit.", "s")
            .query("clamp_min(max by (promotion) (payout_promotion_estimated_end_timestamp_seconds{JOB}) - time(), 0)", "promotion {{promotion}}"))
        .with(panel(Lines, "Backlog", "Published and not settled. It is full at the window while the dispatcher is ahead, which is well; it should empty at the end.", "short")
            .query("sum by (promotion) (max by (promotion, partition) (payout_promotion_backlog_items{JOB}))", "promotion {{promotion}}"))
        .with(panel(Lines, "Oldest that nobody took", "Rising: payers do not keep up, or do not read. Runbook BacklogAgeHigh.", "s")
            .query("time() - min by (promotion) (payout_promotion_oldest_undelivered_timestamp_seconds{JOB})", "promotion {{promotion}}")
            .limit(900.0))
        .with(panel(Lines, "Oldest under way", "Entries that wait for a person are among them. Rising without any: runbook UnacknowledgedAgeHigh.", "s")
            .query("time() - min by (promotion) (payout_promotion_oldest_pending_timestamp_seconds{JOB})", "promotion {{promotion}}"))
        .with(panel(Lines, "Tried again", "Unknown outcomes cost a look-up each: many of them, see Unknown on the board of money. Abandoned ones were held by a replica that died: see which with promoctl consumers list.", "ops")
            .query("sum by (reason) (rate(payout_retries_total{JOB}[$__rate_interval]))", "{{reason}}"))
        .with(panel(Stack, "Money", "By state, out of MySQL, some seconds old. Pending money may or may not be paid yet: wait, and never guess. Failed money: promoctl promotion show.", "short")
            .query(r#"sum by (promotion, state) (max by (promotion, state) (payout_promotion_amount{JOB, state=~"success|failed|pending|retrying"}))"#, "{{promotion}} {{state}}"))
        .with(panel(Lines, "Replicas", "As many as you started. A stage that is missing here: runbook StageMissing.", "short")
            .query("count by (stage) (payout_build_info{JOB})", "{{stage}}"))
        .with(panel(Lines, "In flight", "Entries that payers and retriers hold: follows their rate, payer.in_flight each at most. Low with a backlog: money is slow, the limit low or the breaker open.", "short")
            .query("sum by (stage) (payout_stage_items_in_flight{JOB})", "{{stage}}"))
        .with(panel(Lines, "Promotions", "By status; COMPLETED ones are not counted. READY ones that pile up: look at the dispatcher. LOADING that stays: start the same load again.", "short")
            .query("max by (status) (payout_promotions{JOB})", "{{status}}"))
        .with(panel(Number, "Running promotions", "One after another by default (dispatcher.max_active). None with READY ones waiting: look at the dispatcher.", "short")
            .query("count(count by (promotion) (payout_promotion_items{JOB})) or vector(0)", "promotions"))
}

fn told(board: Board) -> Board {
    board
        .row("Messages by webhook")
        .with(panel(Lines, "Messages waiting", "Not taken yet, those between two attempts included. Lasting: promoctl notifications list shows the last answers; mend the receiver.", "short")
            .query("max(payout_webhook_waiting_items{JOB})", "waiting"))
        .with(panel(Lines, "Attempts to tell", "refused is any answer but 2xx, no_answer none in time. Others than delivered: promoctl notifications list, then mend receiver, URL or secret.", "ops")
            .query("sum by (result) (rate(payout_webhook_attempts_total{JOB}[$__rate_interval]))", "{{result}}"))
        .with(panel(Lines, "Telling takes", "Near webhook.timeout a receiver works before it answers: have it answer first.", "s")
            .query("histogram_quantile(0.95, sum by (le) (rate(payout_webhook_attempt_duration_seconds_bucket{JOB}[$__rate_interval])))", "p95"))
}

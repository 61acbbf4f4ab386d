//! Is the money service well, and do we use what it gives us?

use super::Look::{Heat, Lines, Stack};
use super::{Board, panel};

pub(super) fn board() -> Board {
    let about = "Is the money service well, and do we use what it gives us?";
    outcomes(requests(Board::new("money", "Payout: money service", about)))
}

fn requests(board: Board) -> Board {
    board
        .row("Requests")
        .with(panel(Stack, "Requests", "Of all replicas, look-ups and cancels included: compare with money.max_rps. At it, more payers do not help.", "reqps")
            .query("sum by (kind) (rate(payout_money_requests_total{JOB}[$__rate_interval]))", "{{kind}}"))
        .with(panel(Lines, "Use of the limit", "Share of money.max_rps that is used, by all replicas together. Near 1 more payers do not help: ask for a higher limit. No line where there is none.", "percentunit")
            .query("sum(rate(payout_money_requests_total{JOB}[$__rate_interval])) / (max(payout_money_limit_requests_per_second{JOB}) > 0)", "used"))
        .with(panel(Stack, "What answers proved", "Nearly all should be paid. unknown costs a look-up each; fault and key_reused stop the promotion.", "reqps")
            .query("sum by (verdict) (rate(payout_money_requests_total{JOB}[$__rate_interval]))", "{{verdict}}"))
        .with(panel(Lines, "Breaker", "0 closed, 1 half open, 2 open: as each replica sees it. Open: runbook MoneyBreakerOpen.", "short")
            .query("max by (instance) (payout_money_breaker_state{JOB})", "{{instance}}")
            .words(&[(0, "closed", "green"), (1, "half open", "orange"), (2, "open", "red")]))
        .with(panel(Lines, "Honours keys", "1: money executes a key once. 0: money.idempotent is false, exactly once cannot be promised; see runbook PossibleDuplicateCharge.", "short")
            .query("min by (instance) (payout_money_exactly_once{JOB})", "{{instance}}")
            .words(&[(0, "no", "red"), (1, "yes", "green")]))
        .with(panel(Lines, "Answers take", "Near money.timeout they become unknown outcomes. Runbook MoneySlow.", "s")
            .query("histogram_quantile(0.5, sum by (le, kind) (rate(payout_money_request_duration_seconds_bucket{JOB}[$__rate_interval])))", "{{kind}} p50")
            .query("histogram_quantile(0.95, sum by (le, kind) (rate(payout_money_request_duration_seconds_bucket{JOB}[$__rate_interval])))", "{{kind}} p95")
            .query("histogram_quantile(0.99, sum by (le, kind) (rate(payout_money_request_duration_seconds_bucket{JOB}[$__rate_interval])))", "{{kind}} p99")
            .limit(2.5))
        .with(panel(Heat, "Charges take", "A second band far above the first: some of money's servers are ill; tell its operators. Near money.timeout: raise that.", "s")
            .query(r#"sum by (le) (increase(payout_money_request_duration_seconds_bucket{JOB, kind="charge"}[$__rate_interval]))"#, "{{le}}"))
        .with(panel(Lines, "Tokens of the limiter", "Requests that would pass at once, as each replica last heard. 0 under full load, which is well; 0 without load: see whether money asked us to hold back (429).", "short")
            .query("min by (instance) (payout_money_limiter_tokens{JOB})", "{{instance}}"))
        .with(panel(Lines, "Wait for the limit", "How long a request waits for its slot. High at the limit, which is well; high below it: promoctl doctor says whether it is held back.", "s")
            .query("histogram_quantile(0.5, sum by (le) (rate(payout_money_limiter_wait_seconds_bucket{JOB}[$__rate_interval])))", "p50")
            .query("histogram_quantile(0.99, sum by (le) (rate(payout_money_limiter_wait_seconds_bucket{JOB}[$__rate_interval])))", "p99"))
}

fn outcomes(board: Board) -> Board {
    board
        .row("Outcomes")
        .with(panel(Stack, "Attempts", "Answers to charges. Much retryable (not executed): see Turned away. Much unknown (may have been executed): see Answers take. Refused: promoctl promotion show, by code.", "ops")
            .query("sum by (result) (rate(payout_attempts_total{JOB}[$__rate_interval]))", "{{result}}"))
        .with(panel(Lines, "Turned away", "429, or no connection. Above a tenth: lower PAYOUT_MONEY_MAX_RPS. Runbook DownstreamThrottled.", "percentunit")
            .query(r#"sum(rate(payout_money_requests_total{JOB, verdict="not_executed"}[5m])) / (sum(rate(payout_money_requests_total{JOB}[5m])) > 0)"#, "not executed")
            .limit(0.1))
        .with(panel(Lines, "Unknown", "Share of charges whose outcome was unknown. Lasting: money loses answers (tell its operators), or money.timeout is short (compare Charges take).", "percentunit")
            .query(r#"sum(rate(payout_money_requests_total{JOB, kind="charge", verdict="unknown"}[5m])) / (sum(rate(payout_money_requests_total{JOB, kind="charge"}[5m])) > 0)"#, "unknown"))
        .with(panel(Lines, "Look-ups and cancels", "What was cleared up; not_seen is sent again under the same key. Mostly unknown or fault: look-up itself fails, so unknown outcomes stay; tell money's operators.", "reqps")
            .query(r#"sum by (kind, verdict) (rate(payout_money_requests_total{JOB, kind=~"look_up|cancel"}[$__rate_interval])) > 0"#, "{{kind}} {{verdict}}"))
        .with(panel(Lines, "Rejected as such", "Credentials, path or contract. Should be 0: runbook MoneyRejectsUs.", "short")
            .query(r#"sum by (verdict) (increase(payout_money_requests_total{JOB, verdict=~"fault|key_reused|key_expired"}[$__rate_interval]))"#, "{{verdict}}"))
        .with(panel(Lines, "Unlisted refusals", "Should be 0: each code must be known as final or not. Runbook RefusalCodeNotListed.", "short")
            .query(r#"sum(increase(payout_money_requests_total{JOB, verdict="refusal_not_listed"}[$__rate_interval]))"#, "refusals"))
}

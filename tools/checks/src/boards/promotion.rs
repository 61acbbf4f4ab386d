//! How is this promotion going, how much money is it, and when does it end?

use super::Look::{Lines, Number, Stack};
use super::{Board, panel};

pub(super) fn board() -> Board {
    let about =
        "How is this promotion going, how much money is it, and when does it end? Only running promotions are shown.";
    let board = Board::new("promotion", "Payout: promotion", about).variable(
        "promotion",
        "Promotion",
        "label_values(payout_promotion_items, promotion)",
    );
    progress(numbers(board))
}

fn numbers(board: Board) -> Board {
    board
        .row("Now")
        .with(panel(Number, "Done", "Share that is final. At 100 % for a minute and not COMPLETED: promoctl audit says what is missing.", "percentunit")
            .query(r#"sum(max by (promotion, state) (payout_promotion_items{JOB, promotion=~"$promotion", state=~"success|failed"})) / sum(max by (promotion, state) (payout_promotion_items{JOB, promotion=~"$promotion"}))"#, "done")
            .width(3))
        .with(panel(Number, "Rate", "Settled a second over 15 s. At the limit of money, more payers do not help.", "ops")
            .query(r#"sum(max by (promotion) (payout_promotion_rate_items_per_second{JOB, promotion=~"$promotion"}))"#, "rate")
            .width(3))
        .with(panel(Number, "Time left", "At that rate. None while it stands still: runbook PromotionDeadlineAtRisk.", "s")
            .query(r#"clamp_min(max(max by (promotion) (payout_promotion_estimated_end_timestamp_seconds{JOB, promotion=~"$promotion"})) - time(), 0)"#, "left")
            .width(3))
        .with(panel(Number, "Failed", "Final. promoctl promotion show groups them by code, with money.", "short")
            .query(r#"sum(max by (promotion) (payout_promotion_items{JOB, promotion=~"$promotion", state="failed"}))"#, "failed")
            .width(3))
        .with(panel(Number, "Unknown", "Nobody knows whether they were paid; look-ups clear most of them up within seconds. Staying: is money's look-up answered? Runbook UnknownOutcomeOld.", "short")
            .query(r#"sum(max by (promotion) (payout_promotion_unknown_items{JOB, promotion=~"$promotion"}))"#, "unknown")
            .width(3))
        .with(panel(Number, "Wait for a person", "The promotion cannot complete before each is resolved: promoctl resolve.", "short")
            .query(r#"sum(max by (promotion) (payout_promotion_held_items{JOB, promotion=~"$promotion"}))"#, "held")
            .limit(1.0)
            .width(3))
        .with(panel(Number, "Money", "Paid, by MySQL, some seconds old, and planned. Equal at the end but for what failed: promoctl promotion show.", "short")
            .query(r#"sum(max by (promotion) (payout_promotion_amount{JOB, promotion=~"$promotion", state="success"}))"#, "paid")
            .query(r#"sum(max by (promotion) (payout_promotion_planned_amount{JOB, promotion=~"$promotion"}))"#, "planned")
            .width(6))
}

fn progress(board: Board) -> Board {
    board
        .row("Over time")
        .with(panel(Stack, "Targets by state", "Grows from unpublished to success. A thick band of retrying or pending: money or a payer is ill.", "short")
            .query(r#"sum by (state) (max by (promotion, state) (payout_promotion_items{JOB, promotion=~"$promotion"}))"#, "{{state}}")
            .width(12))
        .with(panel(Stack, "Money by state", "Of what has a result. Pending money may or may not be paid: look a target up with promoctl targets show, and never resolve it by guessing.", "short")
            .query(r#"sum by (state) (max by (promotion, state) (payout_promotion_amount{JOB, promotion=~"$promotion", state=~"success|failed|pending|retrying"}))"#, "{{state}}")
            .width(12))
        .with(panel(Lines, "Settled a second", "Falls to what money takes. Zero with work left: see whether the breaker is open, or money is away.", "ops")
            .query(r#"max by (promotion) (payout_promotion_rate_items_per_second{JOB, promotion=~"$promotion"})"#, "promotion {{promotion}}"))
        .with(panel(Lines, "Backlog by partition", "Partitions should be alike. One that stays while the others empty: promoctl pending list.", "short")
            .query(r#"max by (promotion, partition) (payout_promotion_backlog_items{JOB, promotion=~"$promotion"})"#, "{{promotion}}:{{partition}}"))
        .with(panel(Lines, "Parked, held and unknown", "Parked ones wait for their backoff, held ones for promoctl resolve; unknown ones, by MySQL, are among both. From payer.max_parked in a partition on, payers take nothing new from it.", "short")
            .query(r#"max by (promotion) (payout_promotion_parked_items{JOB, promotion=~"$promotion"})"#, "{{promotion}} parked")
            .query(r#"max by (promotion) (payout_promotion_held_items{JOB, promotion=~"$promotion"})"#, "{{promotion}} held")
            .query(r#"max by (promotion) (payout_promotion_unknown_items{JOB, promotion=~"$promotion"})"#, "{{promotion}} unknown"))
        .with(panel(Lines, "Ages", "Of the oldest entry that nobody took, the oldest under way, the oldest unknown outcome (since it was first sent). Rising ones have runbooks of their own.", "s")
            .query(r#"time() - min by (promotion) (payout_promotion_oldest_undelivered_timestamp_seconds{JOB, promotion=~"$promotion"})"#, "{{promotion}} not taken")
            .query(r#"time() - min by (promotion) (payout_promotion_oldest_pending_timestamp_seconds{JOB, promotion=~"$promotion"})"#, "{{promotion}} under way")
            .query(r#"time() - min by (promotion) (payout_promotion_oldest_unknown_timestamp_seconds{JOB, promotion=~"$promotion"})"#, "{{promotion}} unknown"))
        .with(panel(Lines, "Does not add up", "Published less settled against the streams; counters beyond what MySQL proves. Must be 0 but for moments: runbook ReconciliationMismatch.", "short")
            .query(r#"max by (promotion) (payout_promotion_drift_items{JOB, promotion=~"$promotion"})"#, "{{promotion}} entries")
            .query(r#"max by (promotion) (payout_promotion_counts_excess_items{JOB, promotion=~"$promotion"})"#, "{{promotion}} counters")
            .limit(1.0))
        .with(panel(Lines, "Estimated end", "Should stay level. A line that moves away as fast as time passes: it stands still; promoctl doctor says why.", "dateTimeAsIso")
            .query(r#"1000 * max by (promotion) (payout_promotion_estimated_end_timestamp_seconds{JOB, promotion=~"$promotion"})"#, "promotion {{promotion}}"))
}

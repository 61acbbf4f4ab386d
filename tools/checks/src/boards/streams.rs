//! Do the streams hold what they should, and who holds it?

use super::Look::{Heat, Lines, Stack};
use super::{Board, panel};

pub(super) fn board() -> Board {
    let about =
        "Do the streams hold what they should? Who holds what, entry by entry, is shown by promoctl pending list.";
    let board = Board::new("streams", "Payout: streams and pending", about).variable(
        "promotion",
        "Promotion",
        "label_values(payout_promotion_items, promotion)",
    );
    repair(entries(board))
}

fn entries(board: Board) -> Board {
    board
        .row("Entries")
        .with(panel(Stack, "Backlog", "Published and not settled, our own count (the lag of XINFO GROUPS is wrong after deletions). Bounded by dispatcher.window. One partition that stays while the others empty: promoctl pending list.", "short")
            .query(r#"max by (promotion, partition) (payout_promotion_backlog_items{JOB, promotion=~"$promotion"})"#, "{{promotion}}:{{partition}}"))
        .with(panel(Lines, "Nobody has taken", "On a stream, without a delivery. Much of it is well while the dispatcher is ahead. Level while payers are idle: promoctl doctor.", "short")
            .query(r#"max by (promotion) (payout_promotion_items{JOB, promotion=~"$promotion", state="published"})"#, "promotion {{promotion}}"))
        .with(panel(Lines, "Under way", "Delivered to payers and retriers, or waiting for a person. Level with no progress: promoctl consumers list.", "short")
            .query(r#"max by (promotion) (payout_promotion_items{JOB, promotion=~"$promotion", state="pending"})"#, "promotion {{promotion}}"))
        .with(panel(Lines, "Parked for another attempt", "Grows when money fails. From payer.max_parked in a partition on, payers take nothing new from it.", "short")
            .query(r#"max by (promotion) (payout_promotion_parked_items{JOB, promotion=~"$promotion"})"#, "promotion {{promotion}}"))
        .with(panel(Lines, "Held for a person", "promoctl promotion show says what each waits for; promoctl resolve closes it.", "short")
            .query(r#"max by (promotion) (payout_promotion_held_items{JOB, promotion=~"$promotion"})"#, "promotion {{promotion}}")
            .limit(1.0))
        .with(panel(Lines, "Does not add up", "Must be 0 but for moments. The sweep makes it good; if not: promoctl audit, promoctl repair.", "short")
            .query(r#"max by (promotion) (payout_promotion_drift_items{JOB, promotion=~"$promotion"})"#, "promotion {{promotion}}")
            .limit(1.0))
        .with(panel(Lines, "Oldest that nobody took", "Rising: payers do not keep up. Runbook BacklogAgeHigh.", "s")
            .query(r#"time() - min by (promotion) (payout_promotion_oldest_undelivered_timestamp_seconds{JOB, promotion=~"$promotion"})"#, "promotion {{promotion}}")
            .limit(900.0))
        .with(panel(Lines, "Oldest under way", "Rising with nothing held for a person: runbook UnacknowledgedAgeHigh.", "s")
            .query(r#"time() - min by (promotion) (payout_promotion_oldest_pending_timestamp_seconds{JOB, promotion=~"$promotion"})"#, "promotion {{promotion}}"))
        .with(panel(Lines, "Dead letters", "Final failures and quarantined entries, by why, of all promotions. Others than refused: runbook DeadLetterGrowing.", "ops")
            .query("sum by (reason) (rate(payout_dead_letters_total{JOB}[$__rate_interval]))", "{{reason}}"))
}

fn repair(board: Board) -> Board {
    board
        .row("Repair")
        .with(panel(Lines, "Partitions rebuilt", "Each differed from MySQL and was made good. Should be 0: who touched Redis? Runbook PartitionRebuilt.", "short")
            .query("sum by (reason) (increase(payout_streams_rebuilt_total{JOB}[$__rate_interval]))", "{{reason}}"))
        .with(panel(Lines, "Streams and groups made again", "Should be 0: Redis was flushed, or lost data. Runbook StreamLost.", "short")
            .query("sum by (instance) (increase(payout_groups_recreated_total{JOB}[$__rate_interval]))", "{{instance}}"))
        .with(panel(Lines, "Memory of Redis", "Depends on the window, not on the campaign. Near the limit nothing is published: runbook RedisMemoryHigh.", "bytes")
            .query("max(payout_redis_memory_used_bytes{JOB})", "used")
            .query("max(payout_redis_memory_limit_bytes{JOB}) > 0", "limit"))
        .with(panel(Lines, "Dead letters dropped", "Should be 0: a stream of failures was full before subscribers read it. Runbook DeadLettersDropped.", "short")
            .query("sum(increase(payout_dead_letters_dropped_total{JOB}[$__rate_interval]))", "dropped"))
        .with(panel(Lines, "Taken from dead consumers", "Entries that a replica held for longer than the visibility timeout. After a crash well; always: it is too short.", "ops")
            .query(r#"sum(rate(payout_retries_total{JOB, reason="abandoned"}[$__rate_interval]))"#, "abandoned"))
        .with(panel(Heat, "Turns of the summarizer", "Must stay below summarizer.flush_interval, or public figures are late. Long ones: MySQL or Redis is slow.", "s")
            .query("sum by (le) (increase(payout_collector_duration_seconds_bucket{JOB}[$__rate_interval]))", "{{le}}"))
        .with(panel(Lines, "Turns that failed", "Should be 0. Runbook CollectorFailing.", "short")
            .query("sum by (instance) (increase(payout_collector_errors_total{JOB}[$__rate_interval]))", "{{instance}}"))
        .with(panel(Lines, "Quarantined", "Should be 0. Runbook EntryQuarantined.", "short")
            .query("sum by (instance) (increase(payout_quarantined_total{JOB}[$__rate_interval]))", "{{instance}}"))
}

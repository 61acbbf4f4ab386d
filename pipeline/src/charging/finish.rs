//! Steps 3 and 4: the outcome is written, and the row then says what becomes of the entry.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Shared;
use super::item::{Fate, Item};
use super::patience::Patience;
use crate::config::RetryConfig;
use crate::crash;
use crate::domain::decide::{Next, Request};
use crate::domain::outcome::Effect;
use crate::domain::requeue::{failed_unexecuted, failed_unpayable};
use crate::domain::{Counter, EntryId, Partition, ProcessStatus, Promotion, PromotionId, ResultRow, TargetId};
use crate::metrics::{self, Completed, DeadReason, ErrorClass, Resolved, RetryReason};
use crate::mutant::{self, Mutant};
use crate::record::{DeadLetter, VERSION};
use crate::store::Outcome;
use crate::streams::{Park, Parking, Settle, StreamsError};

/// An item that needs nothing more from `money`.
pub(super) enum Finished {
    /// Its outcome is to be written.
    Write(Box<Item>, Box<Outcome>),
    /// Its row stands as it should.
    Row(Box<Item>, Fate),
}

/// An item and its outcome, on their way to the table.
type Written = (Box<Item>, Box<Outcome>);

/// Gathers what is finished into batches, by size or by time, whichever comes first, and writes several of
/// them at the same time.
pub(super) async fn run(shared: Arc<Shared>, mut finished: Receiver<Finished>) {
    let config = Arc::clone(&shared.tools.config);
    let writers = Arc::new(Semaphore::new(config.payer.outcome_connections));
    loop {
        let mut batch = Vec::with_capacity(config.payer.batch);
        if finished.recv_many(&mut batch, config.payer.batch).await == 0 {
            return;
        }
        let full = tokio::time::sleep(config.payer.outcome_delay);
        tokio::pin!(full);
        while batch.len() < config.payer.batch {
            let room = config.payer.batch - batch.len();
            tokio::select! {
                biased;
                more = finished.recv_many(&mut batch, room) => if more == 0 { break },
                () = &mut full => break,
            }
        }
        let Ok(writer) = Arc::clone(&writers).acquire_owned().await else { return };
        tokio::spawn(write(Arc::clone(&shared), batch, writer));
    }
}

async fn write(shared: Arc<Shared>, batch: Vec<Finished>, writer: OwnedSemaphorePermit) {
    let mut done: Vec<Done> = Vec::with_capacity(batch.len());
    let mut by_promotion: HashMap<PromotionId, Vec<Written>> = HashMap::new();
    for finished in batch {
        match finished {
            Finished::Row(item, fate) => done.push(Done { fate, row: item.payout.row, code: None, item }),
            Finished::Write(item, outcome) => by_promotion.entry(item.promotion.id).or_default().push((item, outcome)),
        }
    }
    for writes in by_promotion.into_values() {
        let promotion = Arc::clone(&writes[0].0.promotion);
        if mutant::is(Mutant::SettleBeforeOutcome) {
            settle_first(&shared, &writes).await;
        }
        record(&shared, &promotion, writes, &mut done).await;
    }
    drop(writer);
    let_go(&shared, done).await;
}

/// An item with its row as it stands after the write.
struct Done {
    item: Box<Item>,
    row: ResultRow,
    fate: Fate,
    code: Option<String>,
}

/// Writes outcomes and goes on trying while the database is away: an outcome that is not written is looked up
/// later, but one that is known should not be thrown away. Writing twice is harmless, the rows are guarded; a
/// commit whose answer was lost shows itself when the statement is repeated and the rows are read back.
async fn record(shared: &Shared, promotion: &Promotion, mut writes: Vec<Written>, done: &mut Vec<Done>) {
    writes.sort_unstable_by_key(|(_, outcome)| outcome.target);
    let (items, mut outcomes): (Vec<_>, Vec<_>) = writes.into_iter().map(|(item, outcome)| (item, *outcome)).unzip();
    crash::point("charging.before_record");
    let mut patience = Patience::new(shared.tools.config.retry.visibility_timeout);
    let mut in_doubt = false;
    let mut rows = loop {
        if in_doubt {
            in_doubt = !resolved(shared, promotion, &outcomes).await;
            if in_doubt && patience.wait().await {
                continue;
            }
        }
        match shared.tools.store.record(&promotion.kind, promotion.id, &mut outcomes).await {
            Ok(rows) => break rows,
            Err(error) => {
                metrics::error(ErrorClass::Mysql);
                tracing::warn!(%error, outcomes = outcomes.len(), "cannot write outcomes");
                if !error.is_unavailable() || !patience.wait().await {
                    return;
                }
                in_doubt |= error.lost_its_answer();
            }
        }
    };
    crash::point("charging.recorded");
    rows.sort_unstable_by_key(|(target, _)| *target);
    for (item, outcome) in items.into_iter().zip(outcomes) {
        let Ok(at) = rows.binary_search_by_key(&outcome.target, |(target, _)| *target) else { continue };
        let row = rows[at].1;
        tell(&outcome, &row);
        let reopened = outcome.write.effect == Effect::Reopened;
        if reopened && shared.rules.reopened(&outcome.row, &row) == Next::Send(Request::Charge) {
            send_again(shared, item, row).await;
            continue;
        }
        done.push(Done { fate: Fate::of(&row), item, row, code: outcome.code });
    }
}

/// Charges what was reopened, within the time of the delivery that led to it.
async fn send_again(shared: &Shared, mut item: Box<Item>, row: ResultRow) {
    (item.payout.row, item.request, item.resent) = (row, Request::Charge, true);
    // The queue has room for everything that may be in flight: this never waits long.
    let _ = shared.calls.send(item).await;
}

/// Reads, on another connection, whether a write whose answer was lost had been committed. `false` while the
/// database does not say. The write is repeated either way: it changes no final row, and counts no attempt twice.
async fn resolved(shared: &Shared, promotion: &Promotion, outcomes: &[Outcome]) -> bool {
    let targets: Vec<TargetId> = outcomes.iter().map(|outcome| outcome.target).collect();
    let Ok(rows) = shared.tools.store.results(&promotion.kind, &targets).await else { return false };
    let rows: HashMap<TargetId, ResultRow> = rows.into_iter().collect();
    let written: Vec<bool> =
        outcomes.iter().filter_map(|outcome| is_written(outcome, rows.get(&outcome.target)?)).collect();
    if !written.is_empty() {
        let committed = written.contains(&true);
        metrics::commit_was_ambiguous(if committed { Resolved::Committed } else { Resolved::RolledBack });
    }
    true
}

/// Whether an outcome was written, by the row as it stands; nothing where the row would look the same.
fn is_written(outcome: &Outcome, row: &ResultRow) -> Option<bool> {
    match outcome.write.effect {
        Effect::Paid => Some(row.status == ProcessStatus::Success),
        Effect::Failed => Some(row.status == ProcessStatus::Failed),
        Effect::NotExecuted | Effect::NotCalled if !row.may_have_executed => {
            Some(row.status == ProcessStatus::Retrying)
        }
        Effect::NotExecuted | Effect::NotCalled | Effect::GiveUp | Effect::Unknown(_) | Effect::Reopened => None,
    }
}

fn tell(outcome: &Outcome, row: &ResultRow) {
    // What this outcome can never have made of the row was there before it came.
    let others = match outcome.write.effect {
        Effect::Paid => row.status == ProcessStatus::Failed,
        Effect::Failed | Effect::GiveUp => row.status == ProcessStatus::Success,
        Effect::NotExecuted | Effect::NotCalled | Effect::Unknown(_) | Effect::Reopened => row.status.is_final(),
    };
    if others || row.generation != outcome.row.generation {
        metrics::late_writes_refused(1);
        return;
    }
    match outcome.write.effect {
        Effect::Unknown(_) => metrics::retried(RetryReason::UnknownOutcome),
        Effect::NotExecuted | Effect::GiveUp => metrics::retried(RetryReason::NotExecuted),
        Effect::Paid | Effect::Failed | Effect::NotCalled | Effect::Reopened => {}
    }
}

/// Settles, parks and holds, one script a partition. Each is safe to repeat: settling counts only what it newly
/// acknowledges, and parking moves only what this consumer still owns. What cannot be let go because Redis stays
/// away, or refuses one partition's, is delivered again, and found final.
async fn let_go(shared: &Shared, done: Vec<Done>) {
    let now_ms = now_ms();
    let completed_at = shared.tools.store.now().format("%Y%m%d%H%M%S").to_string();
    let (settles, parks) = sort(&done, now_ms, &shared.tools.config.retry);
    let mut patience = Patience::new(shared.tools.config.retry.visibility_timeout);
    while !settles.is_empty() {
        match shared.tools.streams.settle(settles.clone(), &completed_at).await {
            Ok(_) => {
                crash::point("charging.settled");
                break;
            }
            Err(error) => {
                metrics::error(ErrorClass::Redis);
                tracing::warn!(%error, "cannot settle entries");
                if matches!(error, StreamsError::Refused(_)) {
                    break;
                }
                shared.tools.health.dependency("redis", false);
                if !patience.wait().await {
                    return;
                }
            }
        }
    }
    while !parks.is_empty() {
        match shared.tools.streams.park(parks.clone(), &shared.tools.consumer).await {
            Ok(_) => {
                crash::point("charging.parked");
                break;
            }
            Err(error) => {
                metrics::error(ErrorClass::Redis);
                tracing::warn!(%error, "cannot park entries");
                if matches!(error, StreamsError::Refused(_)) {
                    break;
                }
                if !patience.wait().await {
                    return;
                }
            }
        }
    }
    count(&done, now_ms);
}

/// What must never be done: counts payments whose rows do not say so yet.
async fn settle_first(shared: &Shared, writes: &[Written]) {
    for (item, _) in writes.iter().filter(|(_, outcome)| outcome.write.effect == Effect::Paid) {
        let entry = &item.entry;
        let by_counter = vec![(Counter::Success, vec![entry.id])];
        let settle = Settle { partition: entry.partition, by_counter, dead: Vec::new() };
        // Whoever breaks a rule does not look back.
        let _ = shared.tools.streams.settle(vec![settle], "").await;
    }
}

fn sort(done: &[Done], now_ms: i64, retry: &RetryConfig) -> (Vec<Settle>, Vec<Park>) {
    let mut settles: BTreeMap<Partition, BTreeMap<Counter, Vec<EntryId>>> = BTreeMap::new();
    let mut dead: BTreeMap<Partition, Vec<(EntryId, Vec<u8>)>> = BTreeMap::new();
    let mut parks: BTreeMap<(Partition, bool), Park> = BTreeMap::new();
    for Done { item, row, fate, code } in done {
        let entry = &item.entry;
        match fate {
            Fate::Settle(counter) => {
                settles.entry(entry.partition).or_default().entry(*counter).or_default().push(entry.id);
                if *counter == Counter::Fail {
                    let letter = dead_letter(item, row, code.as_deref(), now_ms);
                    dead.entry(entry.partition).or_default().push((entry.id, letter.encode()));
                }
            }
            Fate::Park | Fate::Hold => {
                let (partition, held) = (entry.partition, *fate == Fate::Hold);
                let to = if held { Parking::Held } else { Parking::Retry };
                let park =
                    parks.entry((partition, held)).or_insert_with(|| Park { partition, to, entries: Vec::new() });
                park.entries.push((entry.id, item.parked_as(row, retry), 0));
            }
        }
    }
    let settles = settles.into_iter().map(|(partition, by_counter)| Settle {
        partition,
        by_counter: by_counter.into_iter().collect(),
        dead: dead.remove(&partition).unwrap_or_default(),
    });
    (settles.collect(), parks.into_values().collect())
}

/// What subscribers are told of a payout that is given up.
pub(super) fn dead_letter(item: &Item, row: &ResultRow, code: Option<&str>, now_ms: i64) -> DeadLetter {
    DeadLetter {
        version: VERSION,
        kind: item.promotion.kind.code.clone(),
        promotion: item.promotion.id,
        target: item.entry.target,
        generation: row.generation,
        attempts: row.retry_count.saturating_add(1),
        reason: code.unwrap_or("FAILED").to_owned(),
        failed_at_ms: now_ms,
    }
}

/// Milliseconds since the epoch.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn count(done: &[Done], now_ms: i64) {
    let now = Instant::now();
    let mut completed: BTreeMap<Completed, usize> = BTreeMap::new();
    for Done { item, row, fate, code } in done {
        let outcome = match (fate, row.status) {
            (Fate::Settle(Counter::Fail), _) => {
                metrics::dead_lettered(dead_reason(code.as_deref()));
                Completed::Failed
            }
            (Fate::Settle(Counter::Success | Counter::RetrySuccess), _) => Completed::Success,
            (Fate::Park, _) => Completed::Parked,
            (Fate::Hold, _) => Completed::Held,
        };
        *completed.entry(outcome).or_default() += 1;
        if let (Fate::Settle(_), Some(published_at_ms)) = (fate, item.entry.published_at_ms) {
            metrics::settled_after(Duration::from_millis(now_ms.saturating_sub(published_at_ms).max(0).unsigned_abs()));
        }
        metrics::batch_took(now.saturating_duration_since(item.entry.since));
    }
    completed.into_iter().for_each(|(outcome, items)| metrics::completed(outcome, items));
}

fn dead_reason(code: Option<&str>) -> DeadReason {
    match code {
        Some("CANCELLED") => DeadReason::Cancelled,
        Some(code) if failed_unpayable(code) => DeadReason::Unpayable,
        Some(code) if failed_unexecuted(code) => DeadReason::Attempts,
        Some(_) | None => DeadReason::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_counted_by_why_its_row_failed() {
        for (code, reason) in [
            (Some("CANCELLED"), DeadReason::Cancelled),
            (Some("NO_AMOUNT"), DeadReason::Unpayable),
            (Some("HTTP_429"), DeadReason::Attempts),
            (Some("CONNECT_UNREACHABLE"), DeadReason::Attempts),
            (Some("TLS_HANDSHAKE"), DeadReason::Attempts),
            (Some("ACCOUNT_CLOSED"), DeadReason::Refused),
            (None, DeadReason::Refused),
        ] {
            assert_eq!(dead_reason(code).label(), reason.label(), "{code:?}");
        }
    }
}

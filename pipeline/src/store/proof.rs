//! What MySQL proves: how every target stands. Completion, rebuilding and auditing rest on it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::NaiveDateTime;
use futures::future::{try_join, try_join_all};
use sqlx::{Connection, Executor, MySqlConnection, Row};
use tokio::sync::watch;

use super::error::{FEW_ROWS, within};
use super::notifications::close_period;
use super::promotions::{SummaryRow, move_status, status_of, summary};
use super::sql::{TypeSql, text};
use super::{Bounds, Store, StoreError};
use crate::domain::{
    Amount, Counter, Counts, Event, Partition, ProcessStatus, Promotion, PromotionId, PromotionStatus, TargetId,
};
use crate::mutant::{self, Mutant};

/// Targets that a statement of the proof of the end reads, on an average: some 150 ms of one core.
const SPAN: u64 = 50_000;
/// Connections that read for the proof of the end at once, where the pool has them: nobody works on the promotion any more,
/// and whoever waits for its end waits for this.
const READERS: u64 = 4;

/// Targets that stand alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusCount {
    /// Their status; nothing where no result row exists yet.
    pub status: Option<ProcessStatus>,
    /// SUCCESS: whether it took more than the first attempt.
    pub again: bool,
    /// Whether `publish_status` still says PENDING: not published, or the mark is on its way or was lost.
    pub unmarked: bool,
    /// How many.
    pub targets: u64,
    /// Their money, the default where they have none of their own.
    pub amount: Amount,
    /// How many of them wait for a person.
    pub waiting: u64,
    /// PENDING: how many of them may have been executed without our knowing. The others are being paid.
    pub unknown: u64,
    /// When the key of the oldest of those was first sent.
    pub oldest: Option<NaiveDateTime>,
}

/// How every target of a promotion stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proof {
    /// Disjoint groups.
    pub groups: Vec<StatusCount>,
}

/// How a partition's targets stand, up to the last published one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionProof {
    /// Published and settled counts, as they must stand in Redis.
    pub counts: Counts,
    /// Published and not final, ascending.
    pub unfinished: Vec<TargetId>,
    /// There are more than were asked for: counts and targets are those up to this one, the last that is named.
    pub cut: Option<TargetId>,
}

/// A COMPLETED promotion that cannot be reopened while this lives.
pub struct HeldCompleted {
    transaction: sqlx::Transaction<'static, sqlx::MySql>,
    summary: SummaryRow,
}

impl HeldCompleted {
    /// What its summary ended with.
    pub fn summary(&self) -> SummaryRow {
        self.summary
    }

    /// Lets go of it.
    ///
    /// # Errors
    /// [`StoreError`]; it is let go of all the same.
    pub async fn release(self) -> Result<(), StoreError> {
        within(FEW_ROWS, async { Ok(self.transaction.rollback().await?) }).await
    }
}

impl Proof {
    /// Targets in all.
    pub fn targets(&self) -> u64 {
        self.groups.iter().map(|group| group.targets).sum()
    }

    /// Settled counts; `published` counts the targets.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { published: self.targets(), ..Counts::default() };
        for group in &self.groups {
            if let Some(counter) = counter(group.status, group.again) {
                counts.add(counter, group.targets);
            }
        }
        counts
    }

    /// Whether every target is final.
    pub fn is_complete(&self) -> bool {
        self.counts().settled() == self.targets()
    }

    /// Targets whose row waits for a person.
    pub fn waiting(&self) -> u64 {
        self.groups.iter().map(|group| group.waiting).sum()
    }

    /// Targets whose outcome is unknown.
    pub fn unknown(&self) -> u64 {
        self.groups.iter().map(|group| group.unknown).sum()
    }

    /// When the first of these was sent.
    pub fn oldest_unknown(&self) -> Option<NaiveDateTime> {
        self.groups.iter().filter_map(|group| group.oldest).min()
    }

    /// Targets that are not marked as published.
    pub fn unmarked(&self) -> u64 {
        self.groups.iter().filter(|group| group.unmarked).map(|group| group.targets).sum()
    }

    /// Money of the targets that nobody has begun with: those that are marked as published, or those that are not.
    pub fn amount_not_begun(&self, marked: bool) -> Amount {
        let groups = self.groups.iter().filter(|group| group.status.is_none() && group.unmarked != marked);
        groups.map(|group| group.amount).sum()
    }

    /// Money of the targets with a status.
    pub fn amount(&self, status: ProcessStatus) -> Amount {
        self.groups.iter().filter(|group| group.status == Some(status)).map(|group| group.amount).sum()
    }
}

impl Store {
    /// How every target of a promotion stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prove(&self, promotion: &Promotion) -> Result<Proof, StoreError> {
        let Some(bounds) = self.bounds(promotion).await? else { return Ok(Proof::default()) };
        let sql = self.sql_of(&promotion.kind)?;
        prove(&mut *self.pool.acquire().await?, &sql, promotion, bounds, self.slowest).await
    }

    /// IN_PROGRESS → COMPLETED, if MySQL proves that every target is final: while one transaction holds the
    /// promotion row it is asked, and the same transaction writes the final summary from the answer. Gives the proof when this call or an
    /// earlier one completed it. A promotion whose targets are no longer those that were sealed becomes FAILED.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn complete(&self, promotion: &Promotion) -> Result<Option<Proof>, StoreError> {
        within(self.slowest * 2, self.completed(promotion)).await
    }

    async fn completed(&self, promotion: &Promotion) -> Result<Option<Proof>, StoreError> {
        let bounds = self.bounds(promotion).await?;
        let sql = self.sql_of(&promotion.kind)?;
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        let row = sqlx::query("SELECT promotion_status FROM campaign_promotions WHERE promotion_id = ? FOR UPDATE")
            .bind(promotion.id.0)
            .fetch_optional(&mut *transaction)
            .await?;
        let status = row.map(|row| status_of(text(&row, 0)?)).transpose()?;
        if !matches!(status, Some(PromotionStatus::InProgress | PromotionStatus::Completed)) {
            transaction.rollback().await?;
            return Ok(None);
        }
        let proof = match bounds {
            Some(bounds) => self.prove_together(&mut transaction, &sql, promotion, bounds).await?,
            None => Proof::default(),
        };
        if status == Some(PromotionStatus::Completed) {
            transaction.rollback().await?;
            return Ok(Some(proof));
        }
        if !proof.is_complete() && !mutant::is(Mutant::CompletionByCounts) {
            transaction.rollback().await?;
            return Ok(None);
        }
        if proof.targets() != promotion.total_count {
            drop(transaction);
            let memo = format!("sealed with {} targets, and {} are there now", promotion.total_count, proof.targets());
            self.fail(promotion.id, PromotionStatus::InProgress, &memo).await?;
            return Ok(None);
        }
        move_status(&mut transaction, promotion.id, PromotionStatus::InProgress, PromotionStatus::Completed, now)
            .await?;
        let counts = proof.counts();
        sqlx::query(
            "UPDATE campaign_promotion_summary SET published_count = ?, success_count = ?, fail_count = ?, \
             retry_success_count = ?, completed_at = ?, updated_at = ? WHERE promotion_id = ?",
        )
        .bind(counts.published)
        .bind(counts.success)
        .bind(counts.fail)
        .bind(counts.retry_success)
        .bind(now)
        .bind(now)
        .bind(promotion.id.0)
        .execute(&mut *transaction)
        .await?;
        self.notify(&mut transaction, promotion.id, Event::Completed, Some(&proof)).await?;
        close_period(&mut transaction, promotion.id).await?;
        transaction.commit().await?;
        Ok(Some(proof))
    }

    /// The proof of a promotion whose row `own` holds locked, span by span, on `own` and on other connections of the pool. These
    /// see what was committed when they look, and not one moment: what is final stays so, because a requeue takes the
    /// promotion's row first.
    async fn prove_together(
        &self,
        own: &mut MySqlConnection,
        sql: &TypeSql,
        promotion: &Promotion,
        bounds: Bounds,
    ) -> Result<Proof, StoreError> {
        let spans = Spans::new(bounds, promotion.total_count);
        let (working, done) = watch::channel(());
        let own = async {
            let groups = self.prove_spans(own, sql, promotion, &spans).await;
            drop(working);
            groups
        };
        let others = (1..spans.pieces.min(READERS)).map(async |_| {
            let mut done = done.clone();
            tokio::select! {
                Ok(mut connection) = self.pool.acquire() => self.prove_spans(&mut connection, sql, promotion, &spans).await,
                // The pool had none to spare; one that cannot be had is no reason to end, it only takes longer.
                _ = done.changed() => Ok(Vec::new()),
            }
        });
        let (mut groups, others) = try_join(own, try_join_all(others)).await?;
        groups.extend(others.into_iter().flatten());
        Ok(Proof { groups })
    }

    async fn prove_spans(
        &self,
        connection: &mut MySqlConnection,
        sql: &TypeSql,
        promotion: &Promotion,
        spans: &Spans,
    ) -> Result<Vec<StatusCount>, StoreError> {
        let mut groups = Vec::new();
        while let Some(span) = spans.next() {
            groups.extend(prove(connection, sql, promotion, span, self.slowest).await?.groups);
        }
        Ok(groups)
    }

    /// Holds a COMPLETED promotion where it is until the guard is dropped or released: a requeue, which takes the
    /// same row first, cannot make it run again meanwhile. Nothing when it is not COMPLETED.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hold_completed(&self, promotion: PromotionId) -> Result<Option<HeldCompleted>, StoreError> {
        let mut transaction = within(FEW_ROWS, self.pool.begin()).await?;
        let query = sqlx::query("SELECT promotion_status FROM campaign_promotions WHERE promotion_id = ? FOR UPDATE");
        let row = within(FEW_ROWS, query.bind(promotion.0).fetch_optional(&mut *transaction)).await?;
        let status = row.map(|row| status_of(text(&row, 0)?)).transpose()?;
        if status != Some(PromotionStatus::Completed) {
            return Ok(None);
        }
        let summary = within(FEW_ROWS, summary(&mut transaction, promotion)).await?;
        Ok(Some(HeldCompleted { transaction, summary }))
    }

    /// Published and settled counts of the partitions that have targets, by their numbers, when all of them are published:
    /// one pass over the promotion.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn partition_counts(&self, promotion: &Promotion) -> Result<HashMap<u32, Counts>, StoreError> {
        let Some(bounds) = self.bounds(promotion).await? else { return Ok(HashMap::new()) };
        let sql = self.sql_of(&promotion.kind)?;
        self.counted(&mut *self.pool.acquire().await?, &sql, promotion.id, bounds, None).await
    }

    /// Published and settled counts of a partition, up to `last`. What is published and not settled is unfinished.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_partition(
        &self,
        promotion: &Promotion,
        partition: Partition,
        last: TargetId,
    ) -> Result<Counts, StoreError> {
        let Some(bounds) = self.bounds_to(promotion, last).await? else { return Ok(Counts::default()) };
        let sql = self.sql_of(&promotion.kind)?;
        let mut connection = self.pool.acquire().await?;
        let mut counts = self.counted(&mut connection, &sql, promotion.id, bounds, Some(partition.number)).await?;
        Ok(counts.remove(&partition.number).unwrap_or_default())
    }

    /// How a partition stands up to `last`, from one snapshot, so that counts and unfinished targets agree; of these the
    /// first `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prove_partition(
        &self,
        promotion: &Promotion,
        partition: Partition,
        last: TargetId,
        most: usize,
    ) -> Result<PartitionProof, StoreError> {
        let nothing = PartitionProof { counts: Counts::default(), unfinished: Vec::new(), cut: None };
        let Some(bounds) = self.bounds_to(promotion, last).await? else { return Ok(nothing) };
        let sql = self.sql_of(&promotion.kind)?;
        // Not put back into the pool: given up in the middle, it would carry its transaction to whoever is next.
        let mut connection = self.pool.acquire().await?.detach();
        within(FEW_ROWS, connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")).await?;
        within(FEW_ROWS, connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")).await?;
        let proof = self.snapshot(&mut connection, &sql, partition, bounds, most).await;
        // Ends the transaction, which has written nothing.
        drop(within(FEW_ROWS, connection.close()).await);
        proof
    }

    /// The promotion's bounds, but no further than `last`; nothing where it has no target up to there.
    async fn bounds_to(&self, promotion: &Promotion, last: TargetId) -> Result<Option<Bounds>, StoreError> {
        let bounds = self.bounds(promotion).await?.map(|bounds| Bounds { last: last.min(bounds.last), ..bounds });
        Ok(bounds.filter(|bounds| bounds.first <= bounds.last))
    }

    async fn snapshot(
        &self,
        connection: &mut MySqlConnection,
        sql: &TypeSql,
        partition: Partition,
        mut bounds: Bounds,
        most: usize,
    ) -> Result<PartitionProof, StoreError> {
        let query = sqlx::query_scalar(&sql.unfinished)
            .bind(partition.promotion.0)
            .bind(bounds.first.0)
            .bind(bounds.last.0)
            .bind(i64::from(partition.number))
            .bind(i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1));
        let mut unfinished: Vec<i64> = within(self.slowest, query.fetch_all(&mut *connection)).await?;
        let mut cut = None;
        if unfinished.len() > most {
            unfinished.truncate(most);
            cut = unfinished.last().copied().map(TargetId);
            bounds.last = cut.unwrap_or(bounds.last);
        }
        let mut counts = self.counted(connection, sql, partition.promotion, bounds, Some(partition.number)).await?;
        let counts = counts.remove(&partition.number).unwrap_or_default();
        Ok(PartitionProof { counts, unfinished: unfinished.into_iter().map(TargetId).collect(), cut })
    }

    async fn counted(
        &self,
        connection: &mut MySqlConnection,
        sql: &TypeSql,
        promotion: PromotionId,
        bounds: Bounds,
        only: Option<u32>,
    ) -> Result<HashMap<u32, Counts>, StoreError> {
        let only = only.map(i64::from);
        let query = sqlx::query(&sql.partition_proof)
            .bind(promotion.0)
            .bind(bounds.first.0)
            .bind(bounds.last.0)
            .bind(only)
            .bind(only);
        let rows = within(self.slowest, query.fetch_all(connection)).await?;
        let mut by_partition: HashMap<u32, Counts> = HashMap::new();
        for row in &rows {
            let number = u32::try_from(row.try_get::<i32, _>(0)?).unwrap_or(u32::MAX);
            let targets = row.try_get::<i64, _>(3)?.unsigned_abs();
            let counts = by_partition.entry(number).or_default();
            counts.published += targets;
            if let Some(counter) = counter(status(text(row, 1)?)?, row.try_get::<i64, _>(2)? != 0) {
                counts.add(counter, targets);
            }
        }
        Ok(by_partition)
    }
}

/// What several readers share: the ids that none of them has begun with, in pieces of equal width.
struct Spans {
    next: Mutex<Option<TargetId>>,
    last: TargetId,
    /// At most: as many as the targets ask for, however far apart their ids lie.
    pieces: u64,
    /// Ids of a piece.
    width: i64,
}

impl Spans {
    fn new(bounds: Bounds, targets: u64) -> Self {
        let Bounds { first, last } = bounds;
        let pieces = targets.div_ceil(SPAN).max(1);
        let width = (last.0.abs_diff(first.0) / pieces).saturating_add(1);
        let next = Mutex::new((first <= last).then_some(first));
        Self { next, last, pieces, width: i64::try_from(width).unwrap_or(i64::MAX) }
    }

    fn next(&self) -> Option<Bounds> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let first = (*next)?;
        let last = TargetId(first.0.saturating_add(self.width - 1)).min(self.last);
        *next = (last < self.last).then(|| TargetId(last.0 + 1));
        Some(Bounds { first, last })
    }
}

async fn prove(
    connection: &mut MySqlConnection,
    sql: &TypeSql,
    promotion: &Promotion,
    bounds: Bounds,
    bound: Duration,
) -> Result<Proof, StoreError> {
    let query = sqlx::query(&sql.proof)
        .bind(promotion.defaults.amount.map(Amount::decimal))
        .bind(promotion.id.0)
        .bind(bounds.first.0)
        .bind(bounds.last.0);
    let rows = within(bound, query.fetch_all(connection)).await?;
    let groups = rows.iter().map(|row| {
        Ok(StatusCount {
            status: status(text(row, 0)?)?,
            again: row.try_get::<i64, _>(1)? != 0,
            unmarked: row.try_get::<i64, _>(2)? != 0,
            targets: row.try_get::<i64, _>(3)?.unsigned_abs(),
            amount: Amount::from_row(row.try_get(4)?),
            waiting: row.try_get::<i64, _>(5)?.unsigned_abs(),
            unknown: row.try_get::<i64, _>(6)?.unsigned_abs(),
            oldest: row.try_get(7)?,
        })
    });
    Ok(Proof { groups: groups.collect::<Result<_, StoreError>>()? })
}

fn status(code: &str) -> Result<Option<ProcessStatus>, StoreError> {
    match code {
        "NONE" => Ok(None),
        code => match ProcessStatus::from_code(code) {
            Some(status) => Ok(Some(status)),
            None => Err(StoreError::Data(format!("process_status is {code:?}, which this product does not know"))),
        },
    }
}

fn counter(status: Option<ProcessStatus>, again: bool) -> Option<Counter> {
    match status? {
        ProcessStatus::Success if again => Some(Counter::RetrySuccess),
        ProcessStatus::Success => Some(Counter::Success),
        ProcessStatus::Failed => Some(Counter::Fail),
        ProcessStatus::Pending | ProcessStatus::Retrying => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_every_id_once_and_are_no_more_than_the_targets_ask_for() {
        // first, last, targets, spans
        let cases = [
            (1, 1, 1, 1),
            (7, 50_006, 50_000, 1),
            (7, 50_007, 50_001, 2),
            (1, 300_000, 300_000, 6),
            // Ids that another system chose.
            (-5, i64::MAX - 1, 200_000, 4),
            (i64::MIN, i64::MAX, 1, 3),
            (1, 3, 1_000_000, 3),
            (2, 1, 0, 0),
        ];
        for (first, last, targets, expected) in cases {
            let spans = Spans::new(Bounds { first: TargetId(first), last: TargetId(last) }, targets);
            let pieces: Vec<Bounds> = std::iter::from_fn(|| spans.next()).take(100).collect();
            assert_eq!(pieces.len(), expected, "{first} to {last}, {targets} targets");
            let Some((begin, end)) = pieces.first().zip(pieces.last()) else { continue };
            assert_eq!((begin.first.0, end.last.0), (first, last));
            assert!(pieces.iter().all(|piece| piece.first <= piece.last));
            assert!(pieces.windows(2).all(|two| two[0].last.0 + 1 == two[1].first.0), "{pieces:?}");
        }
    }
}

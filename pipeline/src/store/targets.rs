//! Targets: where a promotion's lie, the pages that are published, and the marks for people.

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::Row;

use super::error::{BATCH, FEW_ROWS, repeated, within};
use super::sql::maybe_text;
use super::{Store, StoreError, json};
use crate::domain::{Amount, CustomerUid, PayoutType, Promotion, PromotionId, Shape, Target, TargetId};

/// Targets of one statement when marks that may have been lost are set again.
const MARKED_AGAIN: usize = 10_000;

/// Between which ids a promotion's targets lie, both included. Other promotions' may lie there too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Lowest id.
    pub first: TargetId,
    /// Highest id.
    pub last: TargetId,
}

/// A target as the dispatcher sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRow {
    /// Its id.
    pub target: TargetId,
    /// Its partition.
    pub partition: u32,
    /// Whether it cannot be paid. It is published all the same, and the payer fails it.
    pub unpayable: bool,
}

/// What a scan of a promotion's targets found.
pub(super) struct Measured {
    pub(super) targets: u64,
    pub(super) amount: Amount,
    pub(super) out_of_range: u64,
    pub(super) bounds: Option<Bounds>,
    pub(super) changed_at: Option<NaiveDateTime>,
}

impl Store {
    /// Where the promotion's targets lie; nothing when it has none. Known since it was loaded or started.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn bounds(&self, promotion: &Promotion) -> Result<Option<Bounds>, StoreError> {
        let query = sqlx::query_as(
            "SELECT first_target_id, last_target_id FROM campaign_promotion_loads WHERE promotion_id = ?",
        );
        let known: Option<(Option<i64>, Option<i64>)> =
            within(FEW_ROWS, query.bind(promotion.id.0).fetch_optional(&self.pool)).await?;
        if let Some((Some(first), Some(last))) = known {
            return Ok(Some(Bounds { first: TargetId(first), last: TargetId(last) }));
        }
        Ok(self.measure(promotion).await?.bounds)
    }

    /// The next targets to publish, in ascending order of their ids: those above `after`, all partitions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn page(
        &self,
        promotion: &Promotion,
        after: TargetId,
        last: TargetId,
        limit: usize,
    ) -> Result<Vec<PageRow>, StoreError> {
        let sql = self.sql_of(&promotion.kind)?;
        let query = sqlx::query(&sql.page).bind(promotion.id.0).bind(after.0).bind(last.0).bind(limit as u64);
        let rows = within(BATCH, query.fetch_all(&self.pool)).await?;
        rows.iter()
            .map(|row| {
                let id = TargetId(row.try_get(0)?);
                let target = Target {
                    id,
                    customer: CustomerUid(0),
                    amount: row.try_get::<Option<Decimal>, _>(2)?.map(Amount::from_row),
                    reason: None,
                    expired_at: maybe_text(row, 3)?,
                    merchant_code: None,
                    voucher_number: match promotion.kind.shape {
                        Shape::Point => None,
                        Shape::Voucher => maybe_text(row, 4)?,
                    },
                    is_withdrawal: false,
                };
                let unpayable = target.unpayable(promotion.kind.shape, &promotion.defaults).is_some();
                Ok(PageRow { target: id, partition: row.try_get::<i32, _>(1)?.cast_unsigned(), unpayable })
            })
            .collect()
    }

    /// Marks a range of ids as published, and some of them as not payable. Marks are for people: losing or
    /// repeating one changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark(
        &self,
        kind: &PayoutType,
        promotion: PromotionId,
        first: TargetId,
        last: TargetId,
        unpayable: &[TargetId],
    ) -> Result<(), StoreError> {
        let sql = self.sql_of(kind)?;
        if !unpayable.is_empty() {
            let ids = json::ids(unpayable.iter().copied());
            repeated(|| sqlx::query(&sql.mark_unpayable).bind(&ids).execute(&self.pool)).await?;
        }
        repeated(|| sqlx::query(&sql.mark_published).bind(promotion.0).bind(first.0).bind(last.0).execute(&self.pool))
            .await?;
        Ok(())
    }

    /// Marks a range of ids again, page by page: what a crash or an error may have left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark_again(&self, promotion: &Promotion, first: TargetId, last: TargetId) -> Result<(), StoreError> {
        let mut after = TargetId(first.0 - 1);
        while after < last {
            let page = self.page(promotion, after, last, MARKED_AGAIN).await?;
            let Some(end) = page.last().map(|row| row.target) else { break };
            let unpayable: Vec<TargetId> = page.iter().filter(|row| row.unpayable).map(|row| row.target).collect();
            self.mark(&promotion.kind, promotion.id, TargetId(after.0 + 1), end, &unpayable).await?;
            after = end;
        }
        Ok(())
    }

    pub(super) async fn measure(&self, promotion: &Promotion) -> Result<Measured, StoreError> {
        let sql = self.sql_of(&promotion.kind)?;
        let query = sqlx::query(&sql.bounds)
            .bind(promotion.defaults.amount.map(Amount::decimal))
            .bind(i64::from(promotion.partition_count))
            .bind(promotion.id.0);
        let row = within(self.slowest, query.fetch_one(&self.pool)).await?;
        let first: Option<i64> = row.try_get(2)?;
        let last: Option<i64> = row.try_get(3)?;
        Ok(Measured {
            targets: row.try_get::<i64, _>(0)?.unsigned_abs(),
            amount: Amount::from_row(row.try_get(1)?),
            out_of_range: u64::try_from(row.try_get::<Decimal, _>(4)?).unwrap_or(u64::MAX),
            bounds: first.zip(last).map(|(first, last)| Bounds { first: TargetId(first), last: TargetId(last) }),
            changed_at: row.try_get(5)?,
        })
    }

    pub(super) async fn remember_bounds(
        &self,
        promotion: PromotionId,
        bounds: Option<Bounds>,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let query = sqlx::query(
            "INSERT INTO campaign_promotion_loads (promotion_id, first_target_id, last_target_id, created_at, updated_at) \
             VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE first_target_id = VALUES(first_target_id), \
             last_target_id = VALUES(last_target_id), updated_at = VALUES(updated_at)",
        )
        .bind(promotion.0)
        .bind(bounds.map(|bounds| bounds.first.0))
        .bind(bounds.map(|bounds| bounds.last.0))
        .bind(now)
        .bind(now);
        within(FEW_ROWS, query.execute(&self.pool)).await?;
        Ok(())
    }
}

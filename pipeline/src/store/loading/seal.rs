//! The seal: what stands in the table is compared with what the file says, and the promotion becomes READY.

use rust_decimal::Decimal;
use sqlx::{MySqlConnection, Row};

use super::super::error::within;
use super::super::promotions::move_status;
use super::super::sql::fill;
use super::super::{Store, StoreError};
use super::LoadProgress;
use crate::domain::{Amount, PayoutType, PromotionId, PromotionStatus};

/// What became of the attempt to seal a load.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sealed {
    /// The promotion is READY, by this call.
    Yes,
    /// It was sealed before: another loader of the same file, or a commit of ours whose answer was lost.
    Before,
    /// What stands there is not what the file says: how they differ. Nothing was changed.
    Differs(String),
}

impl Store {
    /// Seals a load whose file is done: counts and adds up what stands in the table, and moves LOADING to READY
    /// with these totals, in one transaction. Repeating it finds the seal and changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn seal(
        &self,
        kind: &PayoutType,
        promotion: PromotionId,
        done: &LoadProgress,
        default_amount: Option<Amount>,
    ) -> Result<Sealed, StoreError> {
        within(self.slowest * 2, self.sealed(kind, promotion, done, default_amount)).await
    }

    async fn sealed(
        &self,
        kind: &PayoutType,
        promotion: PromotionId,
        done: &LoadProgress,
        default_amount: Option<Amount>,
    ) -> Result<Sealed, StoreError> {
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        let row = sqlx::query(
            "SELECT byte_offset, loaded_count, rejected_count, loaded_amount, COALESCE(first_target_id, 0), \
             COALESCE(last_target_id, 0), sealed_at IS NOT NULL FROM campaign_promotion_loads WHERE promotion_id = ? FOR UPDATE",
        )
        .bind(promotion.0)
        .fetch_one(&mut *transaction)
        .await?;
        if row.try_get::<i64, _>(6)? != 0 {
            return Ok(Sealed::Before);
        }
        let recorded = LoadProgress {
            byte_offset: row.try_get::<i64, _>(0)?.unsigned_abs(),
            line_number: done.line_number,
            loaded: row.try_get::<i64, _>(1)?.unsigned_abs(),
            rejected: row.try_get::<i64, _>(2)?.unsigned_abs(),
            amount: Amount::from_row(row.try_get::<Decimal, _>(3)?),
        };
        if recorded != *done {
            return Ok(Sealed::Differs(format!(
                "the file has {}, the load has recorded {}",
                told(done),
                told(&recorded)
            )));
        }
        let (first, last) = (row.try_get::<i64, _>(4)?, row.try_get::<i64, _>(5)?);
        if let Some(difference) =
            measure(&mut transaction, kind, promotion, (first, last), done, default_amount).await?
        {
            return Ok(Sealed::Differs(difference));
        }
        sqlx::query("UPDATE campaign_promotions SET total_count = ?, total_amount = ? WHERE promotion_id = ? AND promotion_status = 'LOADING'")
            .bind(done.loaded)
            .bind(done.amount.decimal())
            .bind(promotion.0)
            .execute(&mut *transaction)
            .await?;
        if !move_status(&mut transaction, promotion, PromotionStatus::Loading, PromotionStatus::Ready, now).await? {
            return Ok(Sealed::Differs("the promotion is not LOADING any more".to_owned()));
        }
        sqlx::query("UPDATE campaign_promotion_loads SET sealed_at = ?, updated_at = ? WHERE promotion_id = ?")
            .bind(now)
            .bind(now)
            .bind(promotion.0)
            .execute(&mut *transaction)
            .await?;
        crate::crash::point("loader.before_seal");
        transaction.commit().await?;
        crate::crash::point("loader.sealed");
        Ok(Sealed::Yes)
    }
}

/// Compares the table with the file: between the remembered ids count and money, and over all ids the count.
async fn measure(
    connection: &mut MySqlConnection,
    kind: &PayoutType,
    promotion: PromotionId,
    (first, last): (i64, i64),
    done: &LoadProgress,
    default_amount: Option<Amount>,
) -> Result<Option<String>, StoreError> {
    let row = sqlx::query(&fill(include_str!("../sql/load_measure.sql"), kind))
        .bind(default_amount.map(Amount::decimal))
        .bind(promotion.0)
        .bind(first)
        .bind(last)
        .fetch_one(&mut *connection)
        .await?;
    let targets = row.try_get::<i64, _>(0)?.unsigned_abs();
    let amount = Amount::from_row(row.try_get::<Decimal, _>(1)?);
    // From the index on the customer alone, without a look at the rows.
    let everywhere = "SELECT COUNT(*) FROM {targets} FORCE INDEX (uk_promotion_customer) WHERE promotion_id = ?";
    let everywhere: i64 = sqlx::query_scalar(&fill(everywhere, kind)).bind(promotion.0).fetch_one(connection).await?;
    let (found_first, found_last) = (row.try_get::<i64, _>(2)?, row.try_get::<i64, _>(3)?);
    let agrees = targets == done.loaded
        && everywhere.unsigned_abs() == done.loaded
        && amount == done.amount
        && (found_first, found_last) == (first, last);
    Ok((!agrees).then(|| {
        format!(
            "the file has {}, in the table stand {everywhere} targets, {targets} of them between the ids {first} and {last}, with {amount} altogether",
            told(done)
        )
    }))
}

fn told(progress: &LoadProgress) -> String {
    let LoadProgress { byte_offset, line_number: _, loaded, rejected, amount } = progress;
    format!("{loaded} targets with {amount} altogether and {rejected} bad rows in {byte_offset} bytes")
}

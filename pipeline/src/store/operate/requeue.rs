//! Plans of what is to be tried again, as they stand in `payout_retry_plans` and `payout_retry_plan_targets`.

mod slice;

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

pub use slice::{Became, Moved, RequeueSlice, SliceRefused, Wanted};

use super::{MAX_FILTER, OperatorAct, cut, write_act};
use crate::domain::requeue::KeyTaken;
use crate::domain::{Amount, CustomerUid, PlanId, ProcessStatus, Promotion, PromotionId, TargetId};
use crate::store::error::repeated;
use crate::store::json::Rows;
use crate::store::sql::{fill, maybe_text, text};
use crate::store::{Store, StoreError};

/// Where a plan stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanStatus {
    /// It is being made, or whoever made it died. Nobody applies it.
    Draft,
    /// It can be applied.
    Ready,
    /// It is being applied; applying it again goes on.
    Applying,
    /// Nothing is left of it.
    Applied,
}

impl PlanStatus {
    const ALL: [Self; 4] = [Self::Draft, Self::Ready, Self::Applying, Self::Applied];

    /// The code in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Ready => "READY",
            Self::Applying => "APPLYING",
            Self::Applied => "APPLIED",
        }
    }
}

/// A plan, without its targets.
#[derive(Clone, Debug)]
pub struct RetryPlan {
    /// Its id.
    pub id: PlanId,
    /// Of which promotion.
    pub promotion: PromotionId,
    /// Where it stands.
    pub status: PlanStatus,
    /// The filter, in words.
    pub filter: String,
    /// How many targets it would try again.
    pub targets: u64,
    /// Their money.
    pub amount: Amount,
    /// SHA-256 over them; nothing while it is a draft.
    pub hash: Option<String>,
    /// What it leaves out and why, as JSON.
    pub left_out: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: NaiveDateTime,
    /// Who applied it first.
    pub applied_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub applied_at: Option<NaiveDateTime>,
    /// When nothing was left of it.
    pub finished_at: Option<NaiveDateTime>,
}

/// A target of a plan, as it stood when the plan was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Planned {
    /// The target.
    pub target: TargetId,
    /// Generation of its key.
    pub generation: u32,
    /// How often an operator had given it new attempts.
    pub requeues: u32,
    /// The key of its next attempts.
    pub takes: KeyTaken,
    /// How it failed.
    pub code: Option<String>,
    /// Its money.
    pub amount: Amount,
}

/// A target of a plan, and how it stands now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedNow {
    /// As it was planned.
    pub planned: Planned,
    /// Who is paid: a part of its key.
    pub customer: CustomerUid,
    /// Its partition.
    pub partition: u32,
    /// Whether it still stands as it was planned: FAILED in the same way, under the same key.
    pub unchanged: bool,
}

/// Targets of a plan that are alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanGroup {
    /// How they failed.
    pub code: Option<String>,
    /// The key of their next attempts.
    pub takes: KeyTaken,
    /// What came of them; nothing while they wait for it.
    pub became: Option<String>,
    /// How many.
    pub targets: u64,
    /// Their money.
    pub amount: Amount,
}

const PLAN: &str = "SELECT plan_id, promotion_id, plan_status, filter, target_count, amount, plan_hash, left_out, created_by, \
    created_at, applied_by, reason, applied_at, finished_at FROM payout_retry_plans";

impl Store {
    /// Begins a plan, as a draft.
    ///
    /// # Errors
    /// [`StoreError`]; a draft that was made unheard stays one.
    pub async fn draft_plan(&self, promotion: PromotionId, filter: &str, actor: &str) -> Result<PlanId, StoreError> {
        let done = sqlx::query(
            "INSERT INTO payout_retry_plans (promotion_id, plan_status, filter, created_by, created_at) VALUES (?, 'DRAFT', ?, ?, ?)",
        )
        .bind(promotion.0)
        .bind(cut(filter, MAX_FILTER))
        .bind(cut(actor, 100))
        .bind(self.now())
        .execute(&self.pool)
        .await?;
        Ok(PlanId(done.last_insert_id().cast_signed()))
    }

    /// Adds targets to a draft.
    ///
    /// # Errors
    /// [`StoreError`]; then the draft is given up.
    pub async fn add_planned(&self, plan: PlanId, targets: &[Planned]) -> Result<(), StoreError> {
        let mut rows = Rows::new();
        for planned in targets {
            rows.row(planned.target.0).number(planned.generation).number(planned.requeues);
            rows.text(Some(planned.takes.code())).text(planned.code.as_deref()).text(Some(&planned.amount.to_plain()));
            rows.end();
        }
        let json = rows.finish();
        repeated(|| {
            sqlx::query(
                "INSERT INTO payout_retry_plan_targets (plan_id, target_id, key_generation, requeues, takes, error_code, amount) \
                 SELECT ?, v.id, v.generation, v.requeues, v.takes, v.code, v.amount FROM JSON_TABLE(?, '$[*]' COLUMNS (\
                 id BIGINT PATH '$[0]', generation INT PATH '$[1]', requeues INT PATH '$[2]', takes VARCHAR(10) PATH '$[3]', \
                 code VARCHAR(50) PATH '$[4]', amount DECIMAL(15,2) PATH '$[5]')) v",
            )
            .bind(plan.0)
            .bind(&json)
            .execute(&self.pool)
        })
        .await?;
        Ok(())
    }

    /// DRAFT → READY, with what was found.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ready_plan(
        &self,
        plan: PlanId,
        (targets, amount): (u64, Amount),
        hash: &str,
        left_out: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE payout_retry_plans SET plan_status = 'READY', target_count = ?, amount = ?, plan_hash = ?, left_out = ? \
             WHERE plan_id = ? AND plan_status = 'DRAFT'",
        )
        .bind(targets)
        .bind(amount.decimal())
        .bind(hash)
        .bind(left_out)
        .bind(plan.0)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// One plan.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn retry_plan(&self, id: PlanId) -> Result<Option<RetryPlan>, StoreError> {
        let sql = format!("{PLAN} WHERE plan_id = ?");
        sqlx::query(&sql).bind(id.0).fetch_optional(&self.pool).await?.as_ref().map(plan).transpose()
    }

    /// Plans, newest first: those below `before`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn retry_plans(
        &self,
        promotion: Option<PromotionId>,
        before: Option<PlanId>,
        limit: u32,
    ) -> Result<Vec<RetryPlan>, StoreError> {
        let only = if promotion.is_some() { "AND promotion_id = ?" } else { "" };
        let sql = format!("{PLAN} WHERE plan_id < ? {only} ORDER BY plan_id DESC LIMIT ?");
        let mut query = sqlx::query(&sql).bind(before.map_or(i64::MAX, |id| id.0));
        if let Some(promotion) = promotion {
            query = query.bind(promotion.0);
        }
        query.bind(limit).fetch_all(&self.pool).await?.iter().map(plan).collect()
    }

    /// A plan's targets, grouped, most first; at most `limit` groups.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn plan_groups(&self, id: PlanId, limit: u32) -> Result<Vec<PlanGroup>, StoreError> {
        let rows = sqlx::query(
            "SELECT error_code, takes, became, COUNT(*), SUM(amount) FROM payout_retry_plan_targets WHERE plan_id = ? \
             GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT ?",
        )
        .bind(id.0)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let group = |row: &MySqlRow| {
            Ok(PlanGroup {
                code: maybe_text(row, 0)?,
                takes: takes(text(row, 1)?)?,
                became: maybe_text(row, 2)?,
                targets: row.try_get::<i64, _>(3)?.unsigned_abs(),
                amount: Amount::from_row(row.try_get::<Decimal, _>(4)?),
            })
        };
        rows.iter().map(group).collect()
    }

    /// A plan's targets above `after` with how they stand now, by ascending id, at most `limit`; those of which something
    /// has become already only when `open` is [`Open::All`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn planned(
        &self,
        plan: PlanId,
        promotion: &Promotion,
        after: TargetId,
        limit: u32,
        open: Open,
    ) -> Result<Vec<PlannedNow>, StoreError> {
        let only = match open {
            Open::All => "",
            Open::Left => "AND (p.became IS NULL OR p.became = 'UNPROVED')",
        };
        let sql = fill(
            "SELECT p.target_id, p.key_generation, p.requeues, p.takes, p.error_code, p.amount, t.customer_uid, t.partition_key, \
             r.process_status, r.key_generation, r.requeues, r.error_code, COALESCE(t.amount, ?) \
             FROM payout_retry_plan_targets p JOIN {targets} t ON t.{key} = p.target_id JOIN {results} r ON r.{key} = p.target_id \
             WHERE p.plan_id = ? AND p.target_id > ? AND t.promotion_id = ? {only} ORDER BY p.target_id LIMIT ?",
            &promotion.kind,
        )
        .replace("{only}", only);
        let rows = sqlx::query(&sql)
            .bind(promotion.defaults.amount.map(Amount::decimal))
            .bind(plan.0)
            .bind(after.0)
            .bind(promotion.id.0)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(planned_now).collect()
    }

    /// READY or APPLYING → APPLYING, with who does it and why, and its row in the audit trail. `false` when it is neither.
    ///
    /// # Errors
    /// [`StoreError`]; repeating is harmless, and stands in the audit trail twice.
    pub async fn begin_plan(&self, id: PlanId, act: &OperatorAct) -> Result<bool, StoreError> {
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE payout_retry_plans SET applied_by = COALESCE(applied_by, ?), reason = COALESCE(reason, ?), \
             applied_at = COALESCE(applied_at, ?), plan_status = 'APPLYING' WHERE plan_id = ? AND plan_status IN ('READY', 'APPLYING')",
        )
        .bind(cut(&act.actor, 100))
        .bind(cut(&act.reason, 500))
        .bind(now)
        .bind(id.0)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        write_act(&mut transaction, act, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// APPLYING → APPLIED, when nothing is left. Says whether nothing is.
    ///
    /// # Errors
    /// [`StoreError`]; repeating is harmless.
    pub async fn finish_plan(&self, id: PlanId) -> Result<bool, StoreError> {
        let left: Option<i64> = sqlx::query_scalar(
            "SELECT target_id FROM payout_retry_plan_targets WHERE plan_id = ? AND (became IS NULL OR became = 'UNPROVED') LIMIT 1",
        )
        .bind(id.0)
        .fetch_optional(&self.pool)
        .await?;
        if left.is_some() {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE payout_retry_plans SET plan_status = 'APPLIED', finished_at = ? WHERE plan_id = ? AND plan_status = 'APPLYING'",
        )
        .bind(self.now())
        .bind(id.0)
        .execute(&self.pool)
        .await?;
        Ok(true)
    }
}

/// Which targets of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// All of them.
    All,
    /// Those that were not tried again yet.
    Left,
}

fn plan(row: &MySqlRow) -> Result<RetryPlan, StoreError> {
    let status = text(row, 2)?;
    let status = PlanStatus::ALL
        .into_iter()
        .find(|known| known.code() == status)
        .ok_or_else(|| StoreError::Data(format!("plan_status is {status:?}, which this product does not know")))?;
    Ok(RetryPlan {
        id: PlanId(row.try_get(0)?),
        promotion: PromotionId(row.try_get(1)?),
        status,
        filter: text(row, 3)?.to_owned(),
        targets: row.try_get::<i64, _>(4)?.unsigned_abs(),
        amount: Amount::from_row(row.try_get::<Decimal, _>(5)?),
        hash: maybe_text(row, 6)?,
        left_out: maybe_text(row, 7)?,
        created_by: text(row, 8)?.to_owned(),
        created_at: row.try_get(9)?,
        applied_by: maybe_text(row, 10)?,
        reason: maybe_text(row, 11)?,
        applied_at: row.try_get(12)?,
        finished_at: row.try_get(13)?,
    })
}

fn planned_now(row: &MySqlRow) -> Result<PlannedNow, StoreError> {
    let count = |at: usize| row.try_get::<i32, _>(at).map(i32::cast_unsigned);
    let planned = Planned {
        target: TargetId(row.try_get(0)?),
        generation: count(1)?,
        requeues: count(2)?,
        takes: takes(text(row, 3)?)?,
        code: maybe_text(row, 4)?,
        amount: Amount::from_row(row.try_get::<Decimal, _>(5)?),
    };
    let amount = row.try_get::<Option<Decimal>, _>(12)?.map(Amount::from_row);
    let unchanged = text(row, 8)? == ProcessStatus::Failed.code()
        && (count(9)?, count(10)?) == (planned.generation, planned.requeues)
        && maybe_text(row, 11)? == planned.code
        && amount == Some(planned.amount);
    Ok(PlannedNow {
        customer: CustomerUid(row.try_get(6)?),
        partition: u32::try_from(row.try_get::<i32, _>(7)?).unwrap_or(0),
        planned,
        unchanged,
    })
}

fn takes(code: &str) -> Result<KeyTaken, StoreError> {
    KeyTaken::from_code(code)
        .ok_or_else(|| StoreError::Data(format!("a plan takes {code:?}, which this product does not know")))
}

//! One slice of a requeue: FAILED → RETRYING by compare-and-set, in one transaction that holds the promotion's row.

use std::collections::HashSet;

use sqlx::MySqlConnection;

use super::super::change;
use super::super::{OperatorAct, write_act};
use super::Planned;
use crate::domain::requeue::KeyTaken;
use crate::domain::result::AttemptToken;
use crate::domain::{Amount, PayoutType, PlanId, Promotion, PromotionStatus, TargetId};
use crate::store::json::Rows;
use crate::store::promotions::move_status;
use crate::store::sql::fill;
use crate::store::{Store, StoreError};

/// What came of a planned target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Became {
    /// It is tried again.
    Requeued,
    /// `money` says that it was paid: it is looked up, and becomes SUCCESS.
    Paid,
    /// It was not FAILED in the planned way any more: nothing was done.
    Changed,
    /// Nothing proves that it may get a later key: nothing was done. Applying the plan again tries it again.
    Unproved,
}

impl Became {
    /// The code in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::Requeued => "REQUEUED",
            Self::Paid => "PAID",
            Self::Changed => "CHANGED",
            Self::Unproved => "UNPROVED",
        }
    }
}

/// What is to be done with a planned target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// → RETRYING, with this key.
    Requeue(KeyTaken),
    /// → PENDING under its present key, to be looked up: `money` says that it was paid.
    LookUp,
    /// Nothing: it stands otherwise than planned.
    Changed,
    /// Nothing: nothing was proved.
    Unproved,
}

/// What a slice did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// What came of each target.
    pub became: Vec<(TargetId, Became)>,
    /// Money of those that are tried again.
    pub amount: Amount,
    /// Whether the promotion was COMPLETED and runs again.
    pub reopened: bool,
}

/// Why a slice was not begun. Nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SliceRefused {
    /// There is no such promotion.
    NotThere,
    /// Its status does not allow it: nothing would be sent.
    Status(PromotionStatus),
}

/// A slice that holds the promotion's row: it can be neither completed nor stopped, and its keys are not removed, until
/// this is written or dropped.
pub struct RequeueSlice {
    transaction: sqlx::Transaction<'static, sqlx::MySql>,
    status: PromotionStatus,
}

impl RequeueSlice {
    /// Whether the promotion is COMPLETED: its streams have to be made before the slice is written.
    pub fn is_completed(&self) -> bool {
        self.status == PromotionStatus::Completed
    }
}

impl Store {
    /// Begins a slice: takes the promotion's row first, as completion does. Only of a promotion that runs or is COMPLETED:
    /// a stopped one sends nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_requeue(&self, promotion: &Promotion) -> Result<Result<RequeueSlice, SliceRefused>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let Some(locked) = change::lock(&mut transaction, promotion.id).await? else {
            return Ok(Err(SliceRefused::NotThere));
        };
        match locked.status {
            PromotionStatus::InProgress | PromotionStatus::Completed => {
                Ok(Ok(RequeueSlice { transaction, status: locked.status }))
            }
            PromotionStatus::Loading | PromotionStatus::Ready | PromotionStatus::Stopped | PromotionStatus::Failed => {
                Ok(Err(SliceRefused::Status(locked.status)))
            }
        }
    }

    /// Writes a slice: rows, the plan's progress, the promotion's status and the audit trail, all or nothing. `act` gets
    /// the number and money of what is really tried again.
    ///
    /// # Errors
    /// [`StoreError`]; whether it was done is not known when the commit failed. The plan's progress tells.
    pub async fn write_requeue(
        &self,
        slice: RequeueSlice,
        promotion: &Promotion,
        plan: PlanId,
        wanted: &[(&Planned, Wanted)],
        act: &OperatorAct,
    ) -> Result<Moved, StoreError> {
        let RequeueSlice { mut transaction, status } = slice;
        let now = self.now();
        // A token that nobody else has: no answer to an earlier attempt can pass for one of this row's.
        let token = AttemptToken(rand::random::<u64>() >> 1);
        move_rows(&mut transaction, &promotion.kind, promotion, wanted, token, now).await?;
        let moved_rows = moved_rows(&mut transaction, &promotion.kind, wanted, token).await?;
        let mut moved = Moved::default();
        let mut items = 0;
        for (planned, wanted) in wanted {
            let became = match wanted {
                Wanted::Changed => Became::Changed,
                Wanted::Unproved => Became::Unproved,
                Wanted::Requeue(_) | Wanted::LookUp if !moved_rows.contains(&planned.target) => Became::Changed,
                Wanted::Requeue(_) => Became::Requeued,
                Wanted::LookUp => Became::Paid,
            };
            if matches!(became, Became::Requeued | Became::Paid) {
                items += 1;
                moved.amount = moved.amount + planned.amount;
            }
            moved.became.push((planned.target, became));
        }
        note_progress(&mut transaction, plan, &moved.became).await?;
        if items > 0 {
            if status == PromotionStatus::Completed {
                moved.reopened = reopen(&mut transaction, promotion, now).await?;
            }
            let act = OperatorAct { items, amount: moved.amount, ..act.clone() };
            write_act(&mut transaction, &act, now).await?;
        }
        transaction.commit().await?;
        Ok(moved)
    }
}

/// By compare-and-set on the row as it was planned. Repeating it changes nothing: `requeues` has moved on.
async fn move_rows(
    connection: &mut MySqlConnection,
    kind: &PayoutType,
    promotion: &Promotion,
    wanted: &[(&Planned, Wanted)],
    token: AttemptToken,
    now: chrono::NaiveDateTime,
) -> Result<(), StoreError> {
    let mut rows = Rows::new();
    for (planned, wanted) in wanted {
        let to = match wanted {
            Wanted::Requeue(takes) => takes.code(),
            Wanted::LookUp => "LOOK_UP",
            Wanted::Changed | Wanted::Unproved => continue,
        };
        rows.row(planned.target.0).number(planned.generation).number(planned.requeues).text(Some(to)).end();
    }
    let sql = fill(include_str!("../../sql/requeue.sql"), kind);
    sqlx::query(&sql)
        .bind(rows.finish())
        .bind(token.0.cast_signed())
        .bind(now)
        .bind(promotion.id.0)
        .execute(connection)
        .await?;
    Ok(())
}

async fn moved_rows(
    connection: &mut MySqlConnection,
    kind: &PayoutType,
    wanted: &[(&Planned, Wanted)],
    token: AttemptToken,
) -> Result<HashSet<TargetId>, StoreError> {
    let ids = crate::store::json::ids(wanted.iter().map(|(planned, _)| planned.target));
    let sql = fill(
        "SELECT r.{key} FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) j STRAIGHT_JOIN {results} r ON r.{key} = j.id \
         WHERE r.attempt_token = ?",
        kind,
    );
    let ids: Vec<i64> = sqlx::query_scalar(&sql).bind(ids).bind(token.0.cast_signed()).fetch_all(connection).await?;
    Ok(ids.into_iter().map(TargetId).collect())
}

async fn note_progress(
    connection: &mut MySqlConnection,
    plan: PlanId,
    became: &[(TargetId, Became)],
) -> Result<(), StoreError> {
    let mut rows = Rows::new();
    for (target, became) in became {
        rows.row(target.0).text(Some(became.code())).end();
    }
    // Two who apply the same plan at once: what came of a target first stays.
    sqlx::query(
        "UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', became VARCHAR(20) PATH '$[1]')) v \
         STRAIGHT_JOIN payout_retry_plan_targets p ON p.plan_id = ? AND p.target_id = v.id SET p.became = v.became \
         WHERE p.became IS NULL OR p.became = 'UNPROVED'",
    )
    .bind(rows.finish())
    .bind(plan.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// COMPLETED → IN_PROGRESS: its end is taken back, so that counts are flushed again.
async fn reopen(
    connection: &mut MySqlConnection,
    promotion: &Promotion,
    now: chrono::NaiveDateTime,
) -> Result<bool, StoreError> {
    let (from, to) = (PromotionStatus::Completed, PromotionStatus::InProgress);
    let moved = move_status(connection, promotion.id, from, to, now).await?;
    sqlx::query("UPDATE campaign_promotion_summary SET completed_at = NULL, updated_at = ? WHERE promotion_id = ?")
        .bind(now)
        .bind(promotion.id.0)
        .execute(connection)
        .await?;
    Ok(moved)
}

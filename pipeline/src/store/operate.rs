//! What operators see and do.
//!
//! Every change to targets and promotions stands in `payout_audit` in the same transaction as its effect, and moves a
//! promotion through the one function that moves promotions. Nothing here is on the hot path: the statements are filled in when
//! they are run.

mod acts;
mod change;
mod discard;
mod evidence;
mod export;
mod filter;
mod history;
mod issues;
mod listed;
mod listing;
mod notifications;
mod overview;
mod requeue;
mod reschedule;
mod resolve;
mod server;
mod types;

use chrono::NaiveDateTime;
use sqlx::MySqlConnection;

pub use acts::RecordedAct;
pub use change::{Changed, Refusal, resumes_to};
pub use evidence::{Evidence, Extent, Stray};
pub use export::{Export, ExportResult, ExportRow, ExportVoucher, Selection};
pub use filter::TargetFilter;
pub use history::{Attempt, LoadedFrom, ResultHistory, TargetHistory};
pub use issues::{IssueGroup, Waiting};
pub use listed::Listed;
pub use listing::{Standing, Stretch, TargetLine};
pub use notifications::Notification;
pub use overview::Overview;
pub use requeue::{
    Became, Moved, Open, PlanGroup, PlanStatus, Planned, PlannedNow, RequeueSlice, RetryPlan, SliceRefused, Wanted,
};
pub use reschedule::{Reservation, may_be_rescheduled};
pub use resolve::{Resolution, Unresolved};
pub use server::ServerSettings;
pub use types::{AddedType, TypeLine};

use super::{Store, StoreError};
use crate::domain::{Amount, PromotionId, TargetId};

/// What an operator does: a row of `payout_audit`.
#[derive(Clone, Debug)]
pub struct OperatorAct {
    /// Who.
    pub actor: String,
    /// What, as it is called on the command line: `promotion stop`.
    pub action: &'static str,
    /// To which promotion.
    pub promotion: Option<PromotionId>,
    /// To which target.
    pub target: Option<TargetId>,
    /// By which filter.
    pub filter: Option<String>,
    /// Why.
    pub reason: String,
    /// How many targets it concerns.
    pub items: u64,
    /// How much money they are.
    pub amount: Amount,
    /// More, as JSON.
    pub detail: Option<String>,
}

/// Widths of the columns.
const MAX_ACTOR: usize = 100;
const MAX_FILTER: usize = 1000;
const MAX_REASON: usize = 500;

impl Store {
    /// Records an act whose effect is not in MySQL (a rebuild), before it is done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_act(&self, act: &OperatorAct) -> Result<(), StoreError> {
        write_act(&mut *self.pool.acquire().await?, act, self.now()).await
    }
}

/// Adds the row to the audit trail, in the transaction of its effect.
async fn write_act(connection: &mut MySqlConnection, act: &OperatorAct, now: NaiveDateTime) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO payout_audit (at, actor, action, promotion_id, target_id, filter, reason, item_count, amount, detail) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(now)
    .bind(cut(&act.actor, MAX_ACTOR))
    .bind(act.action)
    .bind(act.promotion.map(|promotion| promotion.0))
    .bind(act.target.map(|target| target.0))
    .bind(act.filter.as_deref().map(|filter| cut(filter, MAX_FILTER)))
    .bind(cut(&act.reason, MAX_REASON))
    .bind(act.items)
    .bind(act.amount.decimal())
    .bind(act.detail.as_deref())
    .execute(connection)
    .await?;
    Ok(())
}

/// The first `width` characters.
fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

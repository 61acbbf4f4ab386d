//! Everything that is stored about one target.

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::issues::{status, waits};
use crate::domain::{Amount, CustomerUid, PayoutType, ProcessStatus, PromotionId, Shape, TargetId, Waits};
use crate::store::sql::{fill, maybe_text, text};
use crate::store::{Store, StoreError};

/// A target's row and its result, every column of them but a PIN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetHistory {
    /// Its id.
    pub target: TargetId,
    /// Its promotion.
    pub promotion: PromotionId,
    /// First part of its keys.
    pub campaign_code: String,
    /// Who is paid: personal data.
    pub customer: CustomerUid,
    /// Its partition.
    pub partition: u32,
    /// How much, the promotion's default included.
    pub amount: Option<Amount>,
    /// Whether the amount is the promotion's default.
    pub default_amount: bool,
    /// Merchant.
    pub merchant_code: Option<String>,
    /// Brand of the merchant; not sent.
    pub merchant_brand_code: Option<String>,
    /// Until when, `yyyy-MM-dd`, where it has an expiry of its own.
    pub expired_at: Option<String>,
    /// Why, where it has a reason of its own: may name a person.
    pub reason: Option<String>,
    /// Vouchers: which one.
    pub voucher_number: Option<String>,
    /// Vouchers: whether it is one for withdrawal.
    pub is_withdrawal: Option<bool>,
    /// `publish_status`.
    pub publish_status: String,
    /// When it was loaded.
    pub created_at: Option<NaiveDateTime>,
    /// When its row was changed by somebody else than the stages.
    pub updated_at: Option<NaiveDateTime>,
    /// Its result; nothing before its intent.
    pub result: Option<ResultHistory>,
}

/// A result row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResultHistory {
    /// Where it stands.
    pub status: ProcessStatus,
    /// `money`'s key of the payment.
    pub transaction_key: Option<String>,
    /// Error code of the last attempt that left one.
    pub code: Option<String>,
    /// Its message.
    pub message: Option<String>,
    /// Attempts after the first, since the last requeue.
    pub retry_count: u32,
    /// Whether an attempt under the present key may have been executed without our knowing.
    pub may_have_executed: bool,
    /// Generation of its key.
    pub generation: u32,
    /// How often an operator gave it new attempts.
    pub requeues: u32,
    /// When the present key was first sent.
    pub first_sent_at: Option<NaiveDateTime>,
    /// What it waits for, when it waits for a person.
    pub waits: Option<Waits>,
    /// Vouchers: the code.
    pub voucher_code: Option<String>,
    /// Vouchers: whether a PIN is stored.
    pub has_pin: bool,
    /// Vouchers: until when it can be used.
    pub voucher_expiry_at: Option<NaiveDateTime>,
    /// When the first intent was recorded.
    pub created_at: Option<NaiveDateTime>,
    /// When the row was last touched.
    pub updated_at: Option<NaiveDateTime>,
    /// Outcomes that were recorded, oldest first; the earliest are missing where there were too many. A plain payment at
    /// the first attempt is not among them.
    pub attempts: Vec<Attempt>,
}

/// What came of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// When it was recorded.
    pub at: NaiveDateTime,
    /// Generation of the key that was called.
    pub generation: u32,
    /// What it proved: PAID, FAILED, RETRY, UNKNOWN and so on.
    pub effect: String,
    /// Its error code.
    pub code: Option<String>,
}

impl Attempt {
    /// Reads one line of the column; nothing of one that was cut.
    fn read(line: &str) -> Option<Self> {
        let (at, rest) = line.split_at_checked(TIME.len())?;
        let at = NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M:%S").ok()?;
        let mut words = rest.split_ascii_whitespace();
        let generation = words.next()?.parse().ok()?;
        Some(Self { at, generation, effect: words.next()?.to_owned(), code: words.next().map(str::to_owned) })
    }
}

const TIME: &str = "2026-11-26 08:14:01";

/// From which file a promotion was loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadedFrom {
    /// Name of the file; nothing where another system wrote the promotion.
    pub file: Option<String>,
    /// When its targets were complete.
    pub sealed_at: Option<NaiveDateTime>,
}

const SELECT: &str = "SELECT t.promotion_id, p.campaign_code, t.customer_uid, t.partition_key, COALESCE(t.amount, p.default_amount), \
    t.amount IS NULL, t.merchant_code, t.merchant_brand_code, t.expired_at, t.reason, t.publish_status, t.created_at, t.updated_at, \
    r.process_status, r.transaction_key, r.error_code, r.error_message, COALESCE(r.retry_count, 0), \
    COALESCE(r.may_have_executed, 0) <> 0, COALESCE(r.key_generation, 1), COALESCE(r.requeues, 0), r.first_sent_at, r.waits_for, \
    r.created_at, r.updated_at, r.attempts";
const VOUCHER: &str =
    ", t.voucher_number, t.is_withdrawal <> 0, r.voucher_code, r.voucher_pin IS NOT NULL, r.voucher_expiry_at";
const FROM: &str = " FROM {targets} t LEFT JOIN {results} r ON r.{key} = t.{key} \
    JOIN campaign_promotions p ON p.promotion_id = t.promotion_id WHERE t.{key} = ?";

impl Store {
    /// Everything that is stored about a target.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, kind: &PayoutType, target: TargetId) -> Result<Option<TargetHistory>, StoreError> {
        let more = match kind.shape {
            Shape::Voucher => VOUCHER,
            Shape::Point => "",
        };
        let sql = fill(&format!("{SELECT}{more}{FROM}"), kind);
        let row = sqlx::query(&sql).bind(target.0).fetch_optional(&self.pool).await?;
        row.as_ref().map(|row| history(row, target, kind.shape)).transpose()
    }

    /// From which file a promotion was loaded; nothing before it was loaded or started.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn loaded_from(&self, promotion: PromotionId) -> Result<Option<LoadedFrom>, StoreError> {
        let row = sqlx::query("SELECT file_name, sealed_at FROM campaign_promotion_loads WHERE promotion_id = ?")
            .bind(promotion.0)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(LoadedFrom { file: maybe_text(&row, 0)?, sealed_at: row.try_get(1)? }))
    }
}

fn history(row: &MySqlRow, target: TargetId, shape: Shape) -> Result<TargetHistory, StoreError> {
    let voucher = shape == Shape::Voucher;
    let result = match maybe_text(row, 13)? {
        Some(code) => Some(result(row, status(&code)?, voucher)?),
        None => None,
    };
    Ok(TargetHistory {
        target,
        promotion: PromotionId(row.try_get(0)?),
        campaign_code: text(row, 1)?.to_owned(),
        customer: CustomerUid(row.try_get(2)?),
        partition: u32::try_from(row.try_get::<i32, _>(3)?).unwrap_or(0),
        amount: row.try_get::<Option<Decimal>, _>(4)?.map(Amount::from_row),
        default_amount: flag(row, 5)?,
        merchant_code: maybe_text(row, 6)?,
        merchant_brand_code: maybe_text(row, 7)?,
        expired_at: maybe_text(row, 8)?,
        reason: maybe_text(row, 9)?,
        voucher_number: if voucher { maybe_text(row, 26)? } else { None },
        is_withdrawal: if voucher { Some(flag(row, 27)?) } else { None },
        publish_status: text(row, 10)?.to_owned(),
        created_at: row.try_get(11)?,
        updated_at: row.try_get(12)?,
        result,
    })
}

fn result(row: &MySqlRow, status: ProcessStatus, voucher: bool) -> Result<ResultHistory, StoreError> {
    let count = |at: usize| -> Result<u32, StoreError> { Ok(u32::try_from(number(row, at)?).unwrap_or(0)) };
    Ok(ResultHistory {
        status,
        transaction_key: maybe_text(row, 14)?,
        code: maybe_text(row, 15)?,
        message: maybe_text(row, 16)?,
        retry_count: count(17)?,
        may_have_executed: flag(row, 18)?,
        generation: count(19)?,
        requeues: count(20)?,
        first_sent_at: row.try_get(21)?,
        waits: waits(maybe_text(row, 22)?),
        voucher_code: if voucher { maybe_text(row, 28)? } else { None },
        has_pin: voucher && flag(row, 29)?,
        voucher_expiry_at: if voucher { row.try_get(30)? } else { None },
        created_at: row.try_get(23)?,
        updated_at: row.try_get(24)?,
        attempts: maybe_text(row, 25)?.unwrap_or_default().lines().filter_map(Attempt::read).collect(),
    })
}

/// Servers differ in how wide the number of an expression is.
fn number(row: &MySqlRow, at: usize) -> Result<i64, StoreError> {
    Ok(row.try_get::<i64, _>(at).or_else(|_| row.try_get::<i32, _>(at).map(i64::from))?)
}

fn flag(row: &MySqlRow, at: usize) -> Result<bool, StoreError> {
    Ok(number(row, at)? != 0)
}

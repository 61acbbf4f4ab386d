//! Every target of a promotion with its result, page by page, as one moment shows them.

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::mysql::MySqlRow;
use sqlx::{Connection, Executor, MySqlConnection, Row};

use crate::domain::outcome::Pin;
use crate::domain::{Amount, CustomerUid, ProcessStatus, Promotion, PromotionId, PromotionStatus, Shape, TargetId};
use crate::store::pin::PinCipher;
use crate::store::promotions::status_of;
use crate::store::sql::{fill, maybe_text, text};
use crate::store::{Store, StoreError};

/// Rows that are read at a time: some 500 bytes each.
const PAGE: u64 = 2000;

/// Which targets are exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// Paid.
    Success,
    /// Known not paid, and not tried again by itself.
    Failed,
    /// Being paid, or of unknown outcome.
    Pending,
    /// Known not paid, and tried again.
    Retrying,
    /// Without a result row.
    NotBegun,
}

impl Selection {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Success, Self::Failed, Self::Pending, Self::Retrying, Self::NotBegun];

    /// How it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::NotBegun => "not-begun",
        }
    }

    /// The selection with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|selection| selection.name() == name)
    }

    fn condition(self) -> &'static str {
        match self {
            Self::Success => "AND r.process_status = 'SUCCESS'",
            Self::Failed => "AND r.process_status = 'FAILED'",
            Self::Pending => "AND r.process_status = 'PENDING'",
            Self::Retrying => "AND r.process_status = 'RETRYING'",
            Self::NotBegun => "AND r.{key} IS NULL",
        }
    }
}

/// A target and its result.
#[derive(Debug)]
pub struct ExportRow {
    /// Its id.
    pub target: TargetId,
    /// Who is paid: personal data.
    pub customer: CustomerUid,
    /// How much: its own, or the promotion's default.
    pub amount: Option<Amount>,
    /// Until when, as it stands there.
    pub expired_at: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Merchant.
    pub merchant_code: Option<String>,
    /// Its brand.
    pub merchant_brand_code: Option<String>,
    /// What only vouchers have.
    pub voucher: Option<ExportVoucher>,
    /// What became of it; nothing without a result row.
    pub result: Option<ExportResult>,
}

/// Columns of a voucher.
#[derive(Debug)]
pub struct ExportVoucher {
    /// Which voucher.
    pub number: Option<String>,
    /// Whether it is one for withdrawal.
    pub is_withdrawal: bool,
    /// The code that was issued.
    pub code: Option<String>,
    /// Its end.
    pub expiry_at: Option<NaiveDateTime>,
    /// Its PIN; read only where it was asked for.
    pub pin: Option<Pin>,
}

/// Columns of a result row.
#[derive(Debug)]
pub struct ExportResult {
    /// Where it stands.
    pub status: ProcessStatus,
    /// Money's key of the payment.
    pub transaction_key: Option<String>,
    /// Code of the last trouble.
    pub error_code: Option<String>,
    /// What money said about it.
    pub error_message: Option<String>,
    /// Attempts after the first.
    pub retry_count: u32,
    /// How often an operator gave it new attempts.
    pub requeues: u32,
    /// Why it waits for a person.
    pub waits_for: Option<String>,
    /// When its present key was first sent.
    pub first_sent_at: Option<NaiveDateTime>,
    /// When the row last moved.
    pub updated_at: Option<NaiveDateTime>,
}

/// An export under way: one snapshot, on a connection of its own, that is read from its first target to its last.
pub struct Export {
    connection: MySqlConnection,
    sql: String,
    promotion: PromotionId,
    shape: Shape,
    default_amount: Option<Amount>,
    after: i64,
    last: i64,
    pins: Option<PinCipher>,
    /// Where the promotion stood at that moment.
    pub status: PromotionStatus,
    /// That moment, in the configured zone.
    pub taken_at: NaiveDateTime,
}

const COLUMNS: &str = "t.{key}, t.customer_uid, t.amount, t.expired_at, t.reason, t.merchant_code, t.merchant_brand_code, \
    r.process_status, r.transaction_key, r.error_code, r.error_message, r.retry_count, r.requeues, r.waits_for, r.first_sent_at, \
    r.updated_at";
/// Where the columns of a shape begin.
const SHAPE_AT: usize = 16;

impl Store {
    /// Begins an export. PINs are read and decrypted only where a cipher is given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn export(
        &self,
        promotion: &Promotion,
        selection: Option<Selection>,
        pins: Option<PinCipher>,
    ) -> Result<Export, StoreError> {
        let bounds = self.bounds(promotion).await?;
        let mut connection = self.pool.acquire().await?.detach();
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT").await?;
        let taken_at = self.now();
        let row = sqlx::query("SELECT promotion_status FROM campaign_promotions WHERE promotion_id = ?")
            .bind(promotion.id.0)
            .fetch_one(&mut connection)
            .await?;
        let voucher = match (promotion.kind.shape, pins.is_some()) {
            (Shape::Point, _) => "",
            (Shape::Voucher, false) => ", t.voucher_number, t.is_withdrawal, r.voucher_code, r.voucher_expiry_at",
            (Shape::Voucher, true) => {
                ", t.voucher_number, t.is_withdrawal, r.voucher_code, r.voucher_expiry_at, r.voucher_pin"
            }
        };
        let condition = selection.map_or("", Selection::condition);
        let sql = format!(
            "SELECT {COLUMNS} {voucher} FROM {{targets}} t FORCE INDEX (PRIMARY) LEFT JOIN {{results}} r ON r.{{key}} = t.{{key}} \
             WHERE t.promotion_id = ? AND t.{{key}} > ? AND t.{{key}} <= ? {condition} ORDER BY t.{{key}} LIMIT {PAGE}"
        );
        Ok(Export {
            connection,
            sql: fill(&sql, &promotion.kind),
            promotion: promotion.id,
            shape: promotion.kind.shape,
            default_amount: promotion.defaults.amount,
            after: bounds.map_or(0, |bounds| bounds.first.0 - 1),
            last: bounds.map_or(-1, |bounds| bounds.last.0),
            pins,
            status: status_of(text(&row, 0)?)?,
            taken_at,
        })
    }
}

impl Export {
    /// The next rows, by ascending target id; none at the end.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Data`] where a PIN does not open under the key that was given.
    pub async fn page(&mut self) -> Result<Vec<ExportRow>, StoreError> {
        if self.after >= self.last {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(&self.sql)
            .bind(self.promotion.0)
            .bind(self.after)
            .bind(self.last)
            .fetch_all(&mut self.connection)
            .await?;
        let rows = rows.iter().map(|row| self.row(row)).collect::<Result<Vec<_>, _>>()?;
        self.after = rows.last().map_or(self.last, |row| row.target.0);
        Ok(rows)
    }

    /// Ends the snapshot.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written, so nothing is lost.
    pub async fn end(self) -> Result<(), StoreError> {
        Ok(self.connection.close().await?)
    }

    fn row(&self, row: &MySqlRow) -> Result<ExportRow, StoreError> {
        let target = TargetId(row.try_get(0)?);
        let voucher = match self.shape {
            Shape::Point => None,
            Shape::Voucher => Some(ExportVoucher {
                number: maybe_text(row, SHAPE_AT)?,
                is_withdrawal: row.try_get(SHAPE_AT + 1)?,
                code: maybe_text(row, SHAPE_AT + 2)?,
                expiry_at: row.try_get(SHAPE_AT + 3)?,
                pin: self.pin(row, target)?,
            }),
        };
        Ok(ExportRow {
            target,
            customer: CustomerUid(row.try_get(1)?),
            amount: row.try_get::<Option<Decimal>, _>(2)?.map(Amount::from_row).or(self.default_amount),
            expired_at: maybe_text(row, 3)?,
            reason: maybe_text(row, 4)?,
            merchant_code: maybe_text(row, 5)?,
            merchant_brand_code: maybe_text(row, 6)?,
            voucher,
            result: result(row)?,
        })
    }

    fn pin(&self, row: &MySqlRow, target: TargetId) -> Result<Option<Pin>, StoreError> {
        let Some(cipher) = &self.pins else { return Ok(None) };
        let Some(sealed) = row.try_get::<Option<Vec<u8>>, _>(SHAPE_AT + 4)? else { return Ok(None) };
        let opened = cipher.open(target, &sealed);
        opened.map(Some).map_err(|error| StoreError::Data(format!("the PIN of target {target}: {error}")))
    }
}

fn result(row: &MySqlRow) -> Result<Option<ExportResult>, StoreError> {
    let Some(code) = maybe_text(row, 7)? else { return Ok(None) };
    let status = ProcessStatus::from_code(&code)
        .ok_or_else(|| StoreError::Data(format!("process_status is {code:?}, which this product does not know")))?;
    Ok(Some(ExportResult {
        status,
        transaction_key: maybe_text(row, 8)?,
        error_code: maybe_text(row, 9)?,
        error_message: maybe_text(row, 10)?,
        retry_count: row.try_get::<i32, _>(11)?.cast_unsigned(),
        requeues: row.try_get::<i32, _>(12)?.cast_unsigned(),
        waits_for: maybe_text(row, 13)?,
        first_sent_at: row.try_get(14)?,
        updated_at: row.try_get(15)?,
    }))
}

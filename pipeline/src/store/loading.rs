//! Loads: the promotion that a file becomes, its targets batch by batch, and the seal.
//!
//! A promotion is LOADING from its first row on, and no stage starts it. Each batch commits together with how far
//! the file has been read, by compare-and-set on that position: so a killed load goes on where it stopped, a batch
//! whose commit was lost is noticed, and two loaders of one file store each batch once.

mod batch;
mod seal;

use std::borrow::Cow;
use std::sync::Arc;

use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use sqlx::{MySqlConnection, Row};

pub use batch::{LoadBatch, NewTarget};
use batch::{STATEMENT_ROWS, Values};
pub use seal::Sealed;

use super::error::{BATCH, FEW_ROWS, within};
use super::sql::{fill, maybe_text, text};
use super::{Store, StoreError};
use crate::domain::promotion::Defaults;
use crate::domain::{Amount, PayoutType, PromotionId, PromotionStatus};

/// What a load makes of its promotion. Frozen when the load begins.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    /// `promotion_type`.
    pub payout_type: String,
    /// Partitions, at least 1.
    pub partition_count: u32,
    /// Not before this time.
    pub reservation_at: Option<NaiveDateTime>,
    /// Lower goes first.
    pub priority: Option<i32>,
    /// What a target without its own gets.
    pub defaults: Defaults,
}

/// Which file is loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadFile {
    /// Its name without folders, at most 255 characters.
    pub name: String,
    /// SHA-256 of its bytes, in hex.
    pub hash: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of everything on the command line that decides what is loaded, in hex.
    pub options_hash: String,
}

/// A promotion about to be created.
#[derive(Clone, Copy, Debug)]
pub struct NewLoad<'a> {
    /// Unique key of the promotion.
    pub campaign_code: &'a str,
    /// What it becomes.
    pub settings: &'a LoadSettings,
    /// Where its targets come from.
    pub file: &'a LoadFile,
    /// Who loads it.
    pub created_by: &'a str,
}

/// How far a load has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LoadProgress {
    /// Bytes of the file that are done.
    pub byte_offset: u64,
    /// Lines of the file that are done.
    pub line_number: u64,
    /// Rows that became targets.
    pub loaded: u64,
    /// Rows that did not.
    pub rejected: u64,
    /// Money of the targets, defaults included.
    pub amount: Amount,
}

/// A promotion that exists under a campaign code.
#[derive(Clone, Debug)]
pub struct Load {
    /// Its id.
    pub promotion: PromotionId,
    /// Its UUID.
    pub external_id: String,
    /// Where it stands.
    pub status: String,
    /// What it was created with (or what was made of it since).
    pub settings: LoadSettings,
    /// Its file; nothing where another system wrote the promotion.
    pub file: Option<LoadFile>,
    /// How far its load has come.
    pub progress: LoadProgress,
    /// Whether all targets stand and the promotion has left LOADING.
    pub sealed: bool,
}

/// What became of the attempt to create a promotion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Created {
    /// It is LOADING now, without targets.
    Yes(PromotionId),
    /// Somebody else has created one with this campaign code.
    Taken,
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// It and its progress are committed, by this call.
    Yes,
    /// The load does not stand where this batch begins any more: the batch was stored before, by us or by another
    /// loader. Nothing was written.
    MovedOn,
}

impl Store {
    /// The promotion with this campaign code, and the load behind it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_load(&self, campaign_code: &str) -> Result<Option<Load>, StoreError> {
        let query = sqlx::query(
            "SELECT p.promotion_id, p.external_id, p.promotion_status, p.promotion_type, p.partition_count, p.reservation_at, \
             p.reservation_priority, p.default_amount, p.default_reason, p.default_expiry_at, l.file_name, l.file_hash, \
             l.file_bytes, l.options_hash, l.byte_offset, l.line_number, l.loaded_count, l.rejected_count, l.loaded_amount, \
             l.sealed_at FROM campaign_promotions p \
             LEFT JOIN campaign_promotion_loads l ON l.promotion_id = p.promotion_id WHERE p.campaign_code = ?",
        )
        .bind(campaign_code);
        let Some(row) = within(FEW_ROWS, query.fetch_optional(&self.pool)).await? else { return Ok(None) };
        let count = |name: &str| row.try_get::<Option<i64>, _>(name).map(|count| count.unwrap_or(0).unsigned_abs());
        let settings = LoadSettings {
            payout_type: text(&row, 3)?.to_owned(),
            partition_count: row.try_get::<i32, _>("partition_count")?.unsigned_abs(),
            reservation_at: row.try_get("reservation_at")?,
            priority: row.try_get("reservation_priority")?,
            defaults: Defaults {
                amount: row.try_get::<Option<Decimal>, _>("default_amount")?.map(Amount::from_row),
                reason: maybe_text(&row, 8)?.map(Arc::from),
                expiry_at: row.try_get("default_expiry_at")?,
            },
        };
        let file = match maybe_text(&row, 11)? {
            None => None,
            Some(hash) => Some(LoadFile {
                name: maybe_text(&row, 10)?.unwrap_or_default(),
                hash,
                bytes: count("file_bytes")?,
                options_hash: maybe_text(&row, 13)?.unwrap_or_default(),
            }),
        };
        let progress = LoadProgress {
            byte_offset: count("byte_offset")?,
            line_number: count("line_number")?,
            loaded: count("loaded_count")?,
            rejected: count("rejected_count")?,
            amount: Amount::from_row(row.try_get::<Option<Decimal>, _>("loaded_amount")?.unwrap_or_default()),
        };
        Ok(Some(Load {
            promotion: PromotionId(row.try_get("promotion_id")?),
            external_id: text(&row, 1)?.to_owned(),
            status: text(&row, 2)?.to_owned(),
            settings,
            file,
            progress,
            sealed: row.try_get::<Option<NaiveDateTime>, _>("sealed_at")?.is_some(),
        }))
    }

    /// Creates the promotion, LOADING, and its load, which has not begun. The unique campaign code decides between
    /// two loaders; repeating it after a lost commit finds the code taken, and the load behind it is ours.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_load(&self, new: NewLoad<'_>) -> Result<Created, StoreError> {
        within(FEW_ROWS, self.created(new)).await
    }

    async fn created(&self, new: NewLoad<'_>) -> Result<Created, StoreError> {
        let mut transaction = self.pool.begin().await?;
        match self.insert_load(&mut transaction, new).await {
            Ok(promotion) => {
                transaction.commit().await?;
                crate::crash::point("loader.promotion_made");
                Ok(Created::Yes(promotion))
            }
            Err(error) if error.is_duplicate() => Ok(Created::Taken),
            Err(error) => Err(error),
        }
    }

    async fn insert_load(&self, connection: &mut MySqlConnection, new: NewLoad<'_>) -> Result<PromotionId, StoreError> {
        let NewLoad { campaign_code, settings, file, created_by } = new;
        let now = self.now();
        let created = sqlx::query(
            "INSERT INTO campaign_promotions (campaign_code, external_id, promotion_type, promotion_status, partition_count, \
             reservation_at, reservation_priority, default_amount, default_reason, default_expiry_at, created_by, created_at, \
             updated_by, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(campaign_code)
        .bind(uuid::Uuid::new_v4().to_string())
        .bind(&settings.payout_type)
        .bind(PromotionStatus::Loading.code())
        .bind(settings.partition_count)
        .bind(settings.reservation_at)
        .bind(settings.priority)
        .bind(settings.defaults.amount.map(Amount::decimal))
        .bind(settings.defaults.reason.as_deref())
        .bind(settings.defaults.expiry_at)
        .bind(created_by)
        .bind(now)
        .bind(created_by)
        .bind(now)
        .execute(&mut *connection)
        .await?;
        let promotion = PromotionId(created.last_insert_id().cast_signed());
        sqlx::query(
            "INSERT INTO campaign_promotion_loads (promotion_id, file_name, file_hash, file_bytes, options_hash, created_at, \
             updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(promotion.0)
        .bind(&file.name)
        .bind(&file.hash)
        .bind(file.bytes)
        .bind(&file.options_hash)
        .bind(now)
        .bind(now)
        .execute(connection)
        .await?;
        Ok(promotion)
    }

    /// Stores a batch of targets and how far the file is done with it, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; after one that is unavailable, whether the batch stands is told by [`Store::find_load`].
    pub async fn store_batch(
        &self,
        kind: &PayoutType,
        promotion: PromotionId,
        batch: &LoadBatch,
    ) -> Result<Stored, StoreError> {
        within(BATCH, self.stored(kind, promotion, batch)).await
    }

    async fn stored(&self, kind: &PayoutType, promotion: PromotionId, batch: &LoadBatch) -> Result<Stored, StoreError> {
        let now = self.now();
        let mut transaction = self.pool.begin().await?;
        if !move_on(&mut transaction, promotion, batch, now).await? {
            return Ok(Stored::MovedOn);
        }
        let whole = insert_sql(kind, promotion, STATEMENT_ROWS);
        let mut first = None;
        for Values { rows, arguments } in batch.statements().iter().cloned() {
            let is_whole = rows == STATEMENT_ROWS;
            let sql = if is_whole { Cow::Borrowed(&whole) } else { Cow::Owned(insert_sql(kind, promotion, rows)) };
            let inserted = sqlx::query_with(&sql, arguments).persistent(is_whole).execute(&mut *transaction).await?;
            first = first.or(Some(inserted.last_insert_id().cast_signed()));
        }
        if let Some(first) = first {
            remember_ids(&mut transaction, kind, promotion, first).await?;
        }
        transaction.commit().await?;
        crate::crash::point("loader.batch_committed");
        Ok(Stored::Yes)
    }
}

/// The compare-and-set. From here on the transaction holds the load's row, and with it the right to add targets.
async fn move_on(
    connection: &mut MySqlConnection,
    promotion: PromotionId,
    batch: &LoadBatch,
    now: NaiveDateTime,
) -> Result<bool, StoreError> {
    let end = batch.end();
    let moved = sqlx::query(
        "UPDATE campaign_promotion_loads SET byte_offset = ?, line_number = ?, loaded_count = ?, rejected_count = ?, \
         loaded_amount = ?, updated_at = ? WHERE promotion_id = ? AND byte_offset = ? AND sealed_at IS NULL",
    )
    .bind(end.byte_offset)
    .bind(end.line_number)
    .bind(end.loaded)
    .bind(end.rejected)
    .bind(end.amount.decimal())
    .bind(now)
    .bind(promotion.0)
    .bind(batch.begin().byte_offset)
    .execute(connection)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Between which ids the targets lie. The highest is read backwards from the table's end: other loads may add to the
/// same table at the same time, but not much within one transaction.
async fn remember_ids(
    connection: &mut MySqlConnection,
    kind: &PayoutType,
    promotion: PromotionId,
    first: i64,
) -> Result<(), StoreError> {
    let highest = "SELECT {key} FROM {targets} FORCE INDEX (PRIMARY) WHERE promotion_id = ? AND {key} >= ? ORDER BY {key} DESC LIMIT 1";
    let last: i64 =
        sqlx::query_scalar(&fill(highest, kind)).bind(promotion.0).bind(first).fetch_one(&mut *connection).await?;
    sqlx::query(
        "UPDATE campaign_promotion_loads SET first_target_id = COALESCE(first_target_id, ?), last_target_id = ? \
         WHERE promotion_id = ?",
    )
    .bind(first)
    .bind(last)
    .bind(promotion.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// The targets of a load. They get ascending ids in the order of the list, which is the order of the file.
fn insert_sql(kind: &PayoutType, promotion: PromotionId, rows: usize) -> String {
    let columns = batch::columns(kind.shape);
    let row = format!("({promotion}{})", ", ?".repeat(columns.len()));
    let values = vec![row; rows].join(",");
    fill(&format!("INSERT INTO {{targets}} (promotion_id, {}) VALUES {values}", columns.join(", ")), kind)
}

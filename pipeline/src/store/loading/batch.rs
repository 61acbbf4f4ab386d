//! A batch of targets on its way into the table.

use std::borrow::Cow;

use chrono::NaiveDateTime;
use sqlx::Arguments;
use sqlx::mysql::MySqlArguments;

use super::LoadProgress;
use crate::domain::ids::partition_key;
use crate::domain::{Amount, CustomerUid, PromotionId, Shape};

/// Rows of a statement, always as many, so that it stays prepared; only what is left at the end of a batch is another.
/// With the longest texts they are 3 MB, below the smallest usual `max_allowed_packet` of 16 MiB.
pub(super) const STATEMENT_ROWS: usize = 1_000;
/// Memory for a row's values that is usually enough.
const ROW_BYTES: usize = 96;

/// A row of a file that becomes a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTarget<'a> {
    /// Who is paid.
    pub customer: CustomerUid,
    /// How much, where the row says so.
    pub amount: Option<Amount>,
    /// Why, where the row says so.
    pub reason: Option<Cow<'a, str>>,
    /// Until when, `yyyy-MM-dd`.
    pub expired_at: Option<Cow<'a, str>>,
    /// Merchant code.
    pub merchant_code: Option<Cow<'a, str>>,
    /// Merchant's brand.
    pub merchant_brand_code: Option<Cow<'a, str>>,
    /// Vouchers: which voucher.
    pub voucher_number: Option<Cow<'a, str>>,
    /// Vouchers: whether it is one for withdrawal.
    pub is_withdrawal: bool,
}

/// Targets and how far the file is done with them: one transaction. Built where the file is read, so that the
/// connection only has to send it.
pub struct LoadBatch {
    promotion: PromotionId,
    partition_count: u32,
    shape: Shape,
    made_at: NaiveDateTime,
    begin: LoadProgress,
    end: LoadProgress,
    statements: Vec<Values>,
    open: Values,
}

/// The values of one statement.
#[derive(Clone, Default)]
pub(super) struct Values {
    pub(super) rows: usize,
    pub(super) arguments: MySqlArguments,
}

impl Values {
    fn add<'q, T: sqlx::Encode<'q, sqlx::MySql> + sqlx::Type<sqlx::MySql> + 'q>(&mut self, value: T) -> &mut Self {
        self.arguments.add(value).expect("a number, a text or a time can be encoded");
        self
    }
}

impl LoadBatch {
    /// An empty batch that begins where the load stands. `made_at` becomes the targets' `created_at`.
    pub fn new(
        promotion: PromotionId,
        partition_count: u32,
        shape: Shape,
        begin: LoadProgress,
        made_at: NaiveDateTime,
    ) -> Self {
        let (statements, open) = (Vec::new(), Values::default());
        Self { promotion, partition_count, shape, made_at, begin, end: begin, statements, open }
    }

    /// Adds a target.
    pub fn push(&mut self, target: &NewTarget<'_>) {
        let values = &mut self.open;
        if values.rows == 0 {
            values.arguments.reserve(STATEMENT_ROWS * columns(self.shape).len(), STATEMENT_ROWS * ROW_BYTES);
        }
        values
            .add(target.customer.0)
            .add(partition_key(self.promotion, target.customer, self.partition_count))
            .add(target.amount.map(Amount::decimal))
            .add(target.reason.as_deref())
            .add(target.expired_at.as_deref())
            .add(target.merchant_code.as_deref())
            .add(target.merchant_brand_code.as_deref())
            .add(self.made_at)
            .add(self.made_at);
        match self.shape {
            Shape::Point => {}
            Shape::Voucher => {
                values.add(target.voucher_number.as_deref()).add(target.is_withdrawal);
            }
        }
        values.rows += 1;
        if values.rows == STATEMENT_ROWS {
            self.close_statement();
        }
    }

    /// Says how far the file is done once this batch stands, and makes it ready to be stored.
    pub fn finish(&mut self, end: LoadProgress) {
        self.end = end;
        self.close_statement();
    }

    /// Where the load must stand for this batch.
    pub fn begin(&self) -> &LoadProgress {
        &self.begin
    }

    /// Where it stands afterwards.
    pub fn end(&self) -> &LoadProgress {
        &self.end
    }

    pub(super) fn statements(&self) -> &[Values] {
        &self.statements
    }

    fn close_statement(&mut self) {
        if self.open.rows > 0 {
            self.statements.push(std::mem::take(&mut self.open));
        }
    }
}

/// The columns whose values a batch holds, in its order.
pub(super) fn columns(shape: Shape) -> &'static [&'static str] {
    const VOUCHER: &[&str] = &[
        "customer_uid",
        "partition_key",
        "amount",
        "reason",
        "expired_at",
        "merchant_code",
        "merchant_brand_code",
        "created_at",
        "updated_at",
        "voucher_number",
        "is_withdrawal",
    ];
    match shape {
        Shape::Point => &VOUCHER[..9],
        Shape::Voucher => VOUCHER,
    }
}

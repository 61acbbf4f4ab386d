//! A batch of targets on its way into the table.

use std::borrow::Cow;

use super::super::json::Rows;
use super::LoadProgress;
use crate::domain::ids::partition_key;
use crate::domain::{Amount, CustomerUid, PromotionId, Shape};

/// Rows a statement. Measured with 500 to 8,000, and against VALUES with 1,000 and 2,000 rows: 11 to 13 µs a row each
/// time, so the server's own work decides; fewer statements leave more of the processor to it.
const STATEMENT_ROWS: usize = 2_000;
/// Bytes a statement, well below the smallest usual `max_allowed_packet` of 16 MiB.
const STATEMENT_BYTES: usize = 4 << 20;

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
    begin: LoadProgress,
    end: LoadProgress,
    statements: Vec<String>,
    open: Rows,
    open_rows: usize,
    open_bytes: usize,
}

impl LoadBatch {
    /// An empty batch that begins where the load stands.
    pub fn new(promotion: PromotionId, partition_count: u32, shape: Shape, begin: LoadProgress) -> Self {
        let open = Rows::new();
        Self {
            promotion,
            partition_count,
            shape,
            begin,
            end: begin,
            statements: Vec::new(),
            open,
            open_rows: 0,
            open_bytes: 0,
        }
    }

    /// Adds a target.
    pub fn push(&mut self, target: &NewTarget<'_>) {
        let partition = partition_key(self.promotion, target.customer, self.partition_count);
        self.open.row(target.customer.0).number(partition);
        match target.amount {
            // As text: a JSON number may pass through a float.
            Some(amount) => self.open.number(format_args!("\"{}\"", amount.decimal())),
            None => self.open.text(None),
        };
        self.open
            .text(target.reason.as_deref())
            .text(target.expired_at.as_deref())
            .text(target.merchant_code.as_deref())
            .text(target.merchant_brand_code.as_deref());
        match self.shape {
            Shape::Point => {}
            Shape::Voucher => {
                self.open.text(target.voucher_number.as_deref()).number(u8::from(target.is_withdrawal));
            }
        }
        self.open.end();
        self.open_rows += 1;
        self.open_bytes += longest_json(target);
        if self.open_rows == STATEMENT_ROWS || self.open_bytes > STATEMENT_BYTES {
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

    pub(super) fn statements(&self) -> &[String] {
        &self.statements
    }

    fn close_statement(&mut self) {
        if self.open_rows > 0 {
            self.statements.push(std::mem::replace(&mut self.open, Rows::new()).finish());
            self.open_rows = 0;
            self.open_bytes = 0;
        }
    }
}

/// What a row may take at most: its numbers, and its texts with every character escaped.
fn longest_json(target: &NewTarget<'_>) -> usize {
    let texts = [
        &target.reason,
        &target.expired_at,
        &target.merchant_code,
        &target.merchant_brand_code,
        &target.voucher_number,
    ];
    128 + texts.into_iter().flatten().map(|text| text.len() * 2).sum::<usize>()
}

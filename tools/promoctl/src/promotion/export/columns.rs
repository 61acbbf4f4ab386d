//! The columns of the result file: those of the loader's file, and what became of each target.

use chrono::NaiveDateTime;
use pipeline::domain::Shape;
use pipeline::store::{ExportRow, ExportVoucher};

use super::cell::Cell;
use crate::session::Session;

const TARGET: [&str; 7] =
    ["target_id", "customer_uid", "amount", "reason", "expired_at", "merchant_code", "merchant_brand_code"];
const VOUCHER: [&str; 4] = ["voucher_number", "is_withdrawal", "voucher_code", "voucher_expiry_at"];
const RESULT: [&str; 9] = [
    "process_status",
    "transaction_key",
    "error_code",
    "error_message",
    "attempts",
    "requeues",
    "waits_for",
    "first_sent_at",
    "updated_at",
];

/// Which columns stand in the file.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub(super) shape: Shape,
    pub(super) pins: bool,
}

impl Columns {
    pub(super) fn names(self) -> Vec<&'static str> {
        let mut names = TARGET.to_vec();
        match self.shape {
            Shape::Point => {}
            Shape::Voucher => {
                names.extend(VOUCHER);
                names.extend(self.pins.then_some("voucher_pin"));
            }
        }
        names.extend(RESULT);
        names
    }

    /// A row's cells. What tells who somebody is, or is worth money to whoever reads it, is masked.
    pub(super) fn cells(self, session: &Session, row: ExportRow) -> Vec<Cell> {
        let hidden = |value: Option<String>| Cell::text(value.map(|value| session.personal(&value)));
        let mut cells = vec![
            Cell::Plain(row.target.to_string()),
            hidden(Some(row.customer.0.to_string())),
            row.amount.map_or(Cell::Empty, |amount| Cell::Plain(amount.to_string())),
            hidden(row.reason),
            row.expired_at.map_or(Cell::Empty, Cell::Date),
            Cell::text(row.merchant_code),
            Cell::text(row.merchant_brand_code),
        ];
        if let Some(ExportVoucher { number, is_withdrawal, code, expiry_at, pin }) = row.voucher {
            cells.extend([hidden(number), plain(u8::from(is_withdrawal)), hidden(code), time(expiry_at)]);
            if self.pins {
                cells.push(Cell::text(pin.map(|pin| pin.0)));
            }
        }
        match row.result {
            None => {
                cells.push(Cell::Plain(super::NOT_BEGUN.to_owned()));
                cells.extend(std::iter::repeat_n(Cell::Empty, RESULT.len() - 1));
            }
            Some(result) => cells.extend([
                Cell::Plain(result.status.code().to_owned()),
                Cell::text(result.transaction_key),
                Cell::text(result.error_code),
                Cell::text(session.message(row.customer, result.error_message.as_deref())),
                plain(result.retry_count + 1),
                plain(result.requeues),
                Cell::text(result.waits_for),
                time(result.first_sent_at),
                time(result.updated_at),
            ]),
        }
        cells
    }
}

fn plain(number: impl ToString) -> Cell {
    Cell::Plain(number.to_string())
}

fn time(at: Option<NaiveDateTime>) -> Cell {
    at.map_or(Cell::Empty, |at| Cell::Plain(at.format("%Y-%m-%d %H:%M:%S").to_string()))
}

//! A row: from its cells to a target, or to what is wrong with it.

use std::borrow::Cow;

use chrono::NaiveDate;
use pipeline::domain::{Amount, CustomerUid, Shape};
use pipeline::store::NewTarget;

use super::cell::{BadRow, Code, shown};
use super::encoding::Encoding;
use super::header::{Column, Header};
use super::record::{Field, MAX_RECORD, Record, RecordFault};

/// What rows are read by: the same in every pass over a file.
#[derive(Clone, Debug)]
pub struct RowRules {
    /// Where the columns stand.
    pub header: Header,
    /// How text is decoded.
    pub encoding: Encoding,
    /// Which columns a target needs.
    pub shape: Shape,
    /// What a row without an amount is worth.
    pub default_amount: Option<Amount>,
}

/// A row that does not become a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RowError {
    /// Its bytes are not the encoding's: the whole file is read wrongly.
    NotText,
    /// Something is wrong with it.
    Bad(BadRow),
}

/// What a cell's reader finds wrong.
struct BadCell {
    code: Code,
    reason: String,
}

impl RowRules {
    /// Reads a row. The first thing that is wrong counts: the row as such, then its cells in the order of the columns.
    pub fn read<'r>(&self, record: &Record<'r>) -> Result<NewTarget<'r>, RowError> {
        let whole = |column: &'static str, code, reason| {
            Err(RowError::Bad(BadRow { line: record.line, column, code, reason, customer: None }))
        };
        match record.fault {
            Some(RecordFault::TooLong) => {
                return whole("", Code::LineTooLong, format!("expected at most {MAX_RECORD} bytes"));
            }
            Some(RecordFault::StrayQuote(place)) => {
                let column = self.header.columns().get(place).map_or("", |column| column.name());
                let reason = "a cell with a quote must stand in quotes, with each of its own quotes doubled".to_owned();
                return whole(column, Code::StrayQuote, reason);
            }
            None => {}
        }
        let expected = self.header.columns().len();
        if record.field_count != expected {
            let reason = format!("expected {expected} cells as in the header, found {}", record.field_count);
            return whole("", Code::Columns, reason);
        }
        self.cells(record)
    }

    /// What a target is worth.
    pub fn amount(&self, target: &NewTarget<'_>) -> Amount {
        target.amount.or(self.default_amount).unwrap_or_default()
    }

    fn cells<'r>(&self, record: &Record<'r>) -> Result<NewTarget<'r>, RowError> {
        let cell = |column| self.cell(record, column, None);
        let uid = cell(Column::CustomerUid)?;
        let customer = customer(uid.as_deref()).map_err(|bad| at(record, Column::CustomerUid, None, bad))?;
        let cell = |column| self.cell(record, column, Some(customer));
        let bad = |column, bad| at(record, column, Some(customer), bad);

        let amount_text = cell(Column::Amount)?;
        let amount = self.own_amount(amount_text.as_deref()).map_err(|found| bad(Column::Amount, found))?;
        let expired_at = cell(Column::ExpiredAt)?;
        expiry(expired_at.as_deref()).map_err(|found| bad(Column::ExpiredAt, found))?;
        let voucher_number = cell(Column::VoucherNumber)?;
        match self.shape {
            Shape::Voucher if voucher_number.is_none() => {
                let reason = "a voucher needs a number".to_owned();
                return Err(bad(Column::VoucherNumber, BadCell { code: Code::NoVoucherNumber, reason }));
            }
            Shape::Voucher | Shape::Point => {}
        }
        let flag_text = cell(Column::IsWithdrawal)?;
        let is_withdrawal = flag(flag_text.as_deref()).map_err(|found| bad(Column::IsWithdrawal, found))?;
        Ok(NewTarget {
            customer,
            amount,
            reason: cell(Column::Reason)?,
            expired_at,
            merchant_code: cell(Column::MerchantCode)?,
            merchant_brand_code: cell(Column::MerchantBrandCode)?,
            voucher_number,
            is_withdrawal,
        })
    }

    /// The text of a cell; nothing where it is empty or the file has no such column.
    fn cell<'r>(
        &self,
        record: &Record<'r>,
        column: Column,
        customer: Option<CustomerUid>,
    ) -> Result<Option<Cow<'r, str>>, RowError> {
        let Some(field) = self.header.place(column).and_then(|place| record.fields.get(place)) else { return Ok(None) };
        let bytes = record.bytes.get(field.begin..field.end).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(None);
        }
        let text = self.encoding.decode(bytes).ok_or(RowError::NotText)?;
        let text = if field.escaped { Cow::Owned(text.replace("\"\"", "\"")) } else { text };
        check_text(*field, column, &text).map_err(|bad| at(record, column, customer, bad))?;
        Ok(Some(text))
    }

    fn own_amount(&self, text: Option<&str>) -> Result<Option<Amount>, BadCell> {
        match text {
            Some(text) => match Amount::parse(text) {
                Ok(amount) => Ok(Some(amount)),
                Err(error) => {
                    Err(BadCell { code: Code::BadAmount, reason: format!("{error}; {}", shown(Column::Amount, text)) })
                }
            },
            None if self.default_amount.is_some() => Ok(None),
            None => Err(BadCell { code: Code::NoAmount, reason: "no amount, and no --default-amount".to_owned() }),
        }
    }
}

fn at(record: &Record<'_>, column: Column, customer: Option<CustomerUid>, bad: BadCell) -> RowError {
    let BadCell { code, reason } = bad;
    RowError::Bad(BadRow { line: record.line, column: column.name(), code, reason, customer })
}

/// What holds for every text: it fits its column, and holds nothing that a person could not have meant.
fn check_text(field: Field, column: Column, text: &str) -> Result<(), BadCell> {
    let limit = column.max_chars();
    // A character takes at least one byte.
    if text.len() > limit && text.chars().count() > limit {
        let reason = format!("expected at most {limit} characters; {}", shown(column, text));
        return Err(BadCell { code: Code::TooLong, reason });
    }
    match text.bytes().find(|byte| *byte < 0x20 || *byte == 0x7f) {
        None => Ok(()),
        Some(0) => Err(BadCell { code: Code::Nul, reason: "a NUL byte".to_owned() }),
        Some(_)
            if field.quoted && text.bytes().all(|byte| (byte >= 0x20 && byte != 0x7f) || b"\t\r\n".contains(&byte)) =>
        {
            Ok(())
        }
        Some(b'\t') => Ok(()),
        Some(other) => {
            Err(BadCell { code: Code::ControlCharacter, reason: format!("the control character 0x{other:02x}") })
        }
    }
}

fn customer(text: Option<&str>) -> Result<CustomerUid, BadCell> {
    let Some(text) = text else {
        return Err(BadCell { code: Code::NoCustomer, reason: "no customer".to_owned() });
    };
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(uid) if plain => Ok(CustomerUid(uid)),
        _ => {
            let reason =
                format!("expected a whole number from 1 to {}; {}", i64::MAX, shown(Column::CustomerUid, text));
            Err(BadCell { code: Code::BadCustomer, reason })
        }
    }
}

fn expiry(text: Option<&str>) -> Result<(), BadCell> {
    let Some(text) = text else { return Ok(()) };
    let date = || -> Option<NaiveDate> {
        let digits = |range: std::ops::Range<usize>| {
            let part = text.get(range)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten()
        };
        let dashes = text.len() == 10 && text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
        let year = i32::try_from(digits(0..4)?).ok()?;
        dashes.then(|| NaiveDate::from_ymd_opt(year, digits(5..7)?, digits(8..10)?)).flatten()
    };
    match date() {
        Some(_) => Ok(()),
        None => {
            let reason = format!("expected a date of the form yyyy-MM-dd; {}", shown(Column::ExpiredAt, text));
            Err(BadCell { code: Code::BadExpiry, reason })
        }
    }
}

fn flag(text: Option<&str>) -> Result<bool, BadCell> {
    let is = |words: &[&str]| text.is_some_and(|text| words.iter().any(|word| text.eq_ignore_ascii_case(word)));
    match text {
        None => Ok(false),
        Some(_) if is(&["true", "1", "y"]) => Ok(true),
        Some(_) if is(&["false", "0", "n"]) => Ok(false),
        Some(text) => {
            let reason = format!("expected true or false, 1 or 0, Y or N; {}", shown(Column::IsWithdrawal, text));
            Err(BadCell { code: Code::BadFlag, reason })
        }
    }
}

#[cfg(test)]
mod tests;

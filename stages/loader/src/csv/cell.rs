//! What can be wrong with a row.

use std::fmt;

use pipeline::domain::CustomerUid;

use super::header::Column;

/// Why a row is not loaded. The codes stand in reports and in the rejected file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// More bytes than a row may have.
    LineTooLong,
    /// A quote where none may be.
    StrayQuote,
    /// Another number of cells than the header has.
    Columns,
    /// A NUL byte.
    Nul,
    /// A control character.
    ControlCharacter,
    /// More characters than the column holds.
    TooLong,
    /// No customer.
    NoCustomer,
    /// Not a customer's number.
    BadCustomer,
    /// The customer stands in an earlier row.
    Duplicate,
    /// Neither an amount nor a default.
    NoAmount,
    /// Not an amount.
    BadAmount,
    /// Not a date.
    BadExpiry,
    /// A voucher without a number.
    NoVoucherNumber,
    /// Neither true nor false.
    BadFlag,
}

impl Code {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::LineTooLong => "LINE_TOO_LONG",
            Self::StrayQuote => "STRAY_QUOTE",
            Self::Columns => "COLUMNS",
            Self::Nul => "NUL",
            Self::ControlCharacter => "CONTROL_CHARACTER",
            Self::TooLong => "TOO_LONG",
            Self::NoCustomer => "NO_CUSTOMER",
            Self::BadCustomer => "BAD_CUSTOMER",
            Self::Duplicate => "DUPLICATE",
            Self::NoAmount => "NO_AMOUNT",
            Self::BadAmount => "BAD_AMOUNT",
            Self::BadExpiry => "BAD_EXPIRY",
            Self::NoVoucherNumber => "NO_VOUCHER_NUMBER",
            Self::BadFlag => "BAD_FLAG",
        }
    }
}

/// A row that is not loaded: the first thing that is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRow {
    /// Line on which the row begins.
    pub line: u64,
    /// Name of the column; empty where it is the whole row.
    pub column: &'static str,
    /// What is wrong.
    pub code: Code,
    /// The same in words, with the value where it may be shown.
    pub reason: String,
    /// Who stands in the row, where that can be read: a later row of the same customer is a duplicate all the same.
    pub customer: Option<CustomerUid>,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.column.is_empty() {
            write!(f, ", column {}", self.column)?;
        }
        write!(f, ": {}: {}", self.code.name(), self.reason)
    }
}

/// Most characters of a value that are shown.
const SHOWN: usize = 32;

/// A value as a report may show it: personal data by its length and its end alone.
pub fn shown(column: Column, value: &str) -> String {
    let length = value.chars().count();
    if !column.is_personal() {
        let cut = if length > SHOWN { "…" } else { "" };
        return format!("found \"{}{cut}\"", value.chars().take(SHOWN).collect::<String>().escape_debug());
    }
    match value.char_indices().rev().nth(1) {
        Some((at, _)) if length > 4 => {
            format!("found {length} characters ending in \"{}\"", value[at..].escape_debug())
        }
        _ => format!("found {length} characters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_is_masked_and_long_values_are_cut() {
        let table = [
            (Column::CustomerUid, "010-1234-5678", "found 13 characters ending in \"78\""),
            (Column::CustomerUid, "12x", "found 3 characters"),
            (Column::VoucherNumber, "V000011", "found 7 characters ending in \"11\""),
            (Column::Amount, "1e3", "found \"1e3\""),
            (Column::Amount, "1\n", "found \"1\\n\""),
            (Column::Amount, &"9".repeat(40), &format!("found \"{}…\"", "9".repeat(32))),
        ];
        for (column, value, expected) in table {
            assert_eq!(shown(column, value), expected);
        }
    }
}

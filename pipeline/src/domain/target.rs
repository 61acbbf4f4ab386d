//! A target: one customer who is to be paid once.

use super::promotion::Defaults;
use super::{Amount, CustomerUid, TargetId};

/// A row of a target table, as far as paying it needs it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its id.
    pub id: TargetId,
    /// Who is paid.
    pub customer: CustomerUid,
    /// How much, where it has an amount of its own.
    pub amount: Option<Amount>,
    /// Why, where it has a reason of its own.
    pub reason: Option<String>,
    /// Until when, `yyyy-MM-dd`, where it has an expiry of its own.
    pub expired_at: Option<String>,
    /// Merchant code.
    pub merchant_code: Option<String>,
    /// Vouchers: which voucher.
    pub voucher_number: Option<String>,
    /// Vouchers: whether it is one for withdrawal.
    pub is_withdrawal: bool,
}

/// Why a target cannot be paid. Its row becomes FAILED without a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unpayable {
    /// Neither the target nor its promotion has an amount.
    NoAmount,
    /// The amount is zero or less, or has more than two places.
    BadAmount,
    /// The expiry is not a date of the form `yyyy-MM-dd`.
    BadExpiry,
    /// A voucher without a number.
    NoVoucherNumber,
}

impl Unpayable {
    /// The code that stands in `error_code` and in the dead-letter record.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoAmount => "NO_AMOUNT",
            Self::BadAmount => "BAD_AMOUNT",
            Self::BadExpiry => "BAD_EXPIRY",
            Self::NoVoucherNumber => "NO_VOUCHER_NUMBER",
        }
    }
}

impl Target {
    /// What this target is paid.
    pub fn amount(&self, defaults: &Defaults) -> Option<Amount> {
        self.amount.or(defaults.amount)
    }

    /// Whether and why this target cannot be paid. Frozen with the promotion's defaults: asked before
    /// every call, it always gives the same answer.
    pub fn unpayable(&self, shape: super::Shape, defaults: &Defaults) -> Option<Unpayable> {
        let bad_expiry =
            |text: &String| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_err() || text.len() != 10;
        match self.amount(defaults) {
            None => Some(Unpayable::NoAmount),
            Some(amount) if !amount.is_payable() => Some(Unpayable::BadAmount),
            Some(_) if self.expired_at.as_ref().is_some_and(bad_expiry) => Some(Unpayable::BadExpiry),
            Some(_) => match shape {
                super::Shape::Voucher if self.voucher_number.as_deref().is_none_or(str::is_empty) => {
                    Some(Unpayable::NoVoucherNumber)
                }
                super::Shape::Voucher | super::Shape::Point => None,
            },
        }
    }
}

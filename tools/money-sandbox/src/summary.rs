//! Counts and sums of the ledger, kept while it grows so that asking costs nothing.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Running totals of one campaign in one shard.
#[derive(Debug, Default, Clone)]
pub(crate) struct Totals {
    pub paid_count: u64,
    pub paid_total: Decimal,
    pub distinct_paid_keys: u64,
    pub keys_paid_more_than_once: u64,
    pub declined: u64,
    pub cancelled: u64,
}

impl Totals {
    /// Counts a payment, the `nth` of its key.
    pub(crate) fn paid(&mut self, amount: Decimal, nth: u16) {
        self.paid_count += 1;
        self.paid_total = self.paid_total.saturating_add(amount);
        match nth {
            1 => self.distinct_paid_keys += 1,
            2 => self.keys_paid_more_than_once += 1,
            _ => {}
        }
    }

    pub(crate) fn add(&mut self, other: Option<&Self>) {
        let Some(other) = other else { return };
        self.paid_count += other.paid_count;
        self.paid_total = self.paid_total.saturating_add(other.paid_total);
        self.distinct_paid_keys += other.distinct_paid_keys;
        self.keys_paid_more_than_once += other.keys_paid_more_than_once;
        self.declined += other.declined;
        self.cancelled += other.cancelled;
    }
}

/// The answer of `GET /ledger/summary`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Payments.
    pub paid_count: u64,
    /// Their exact sum, without trailing zeros.
    pub paid_total: String,
    /// Keys with a payment.
    pub distinct_paid_keys: u64,
    /// Keys with more than one: 0 unless the sandbox was told to break its contract.
    pub keys_paid_more_than_once: u64,
    /// Recorded refusals.
    pub declined: u64,
    /// Burnt keys.
    pub cancelled: u64,
}

impl From<Totals> for Summary {
    fn from(totals: Totals) -> Self {
        Self {
            paid_count: totals.paid_count,
            paid_total: totals.paid_total.normalize().to_string(),
            distinct_paid_keys: totals.distinct_paid_keys,
            keys_paid_more_than_once: totals.keys_paid_more_than_once,
            declined: totals.declined,
            cancelled: totals.cancelled,
        }
    }
}

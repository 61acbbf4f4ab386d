//! Rows against ledger, in bounded memory.
//!
//! The ledger is in the order of its payments, the rows are in the order of their ids. So the rows are kept, 40 bytes
//! each and sorted by customer, and every entry of the ledger is posted to its row as it streams by: a million targets
//! are 40 MB, whatever the length of the ledger. Rows are read before the ledger: a row that is SUCCESS was paid before,
//! so its payment must be there.

use std::hash::{DefaultHasher, Hash, Hasher};

use pipeline::domain::ProcessStatus;
use pipeline::store::Evidence;

use super::ledger::{Entry, Kind};

/// No amount.
const NO_CENTS: i64 = i64::MIN;

/// What stands in a row, and what was posted to it.
#[derive(Clone, Copy)]
struct Row {
    customer: i64,
    target: i64,
    cents: i64,
    /// Hash of `transaction_key`; of money's key, once a row that has none was paid.
    money_key: u64,
    status: Option<ProcessStatus>,
    payments: u8,
    wrong: u8,
}

const WRONG_AMOUNT: u8 = 1;
const WRONG_CUSTOMER: u8 = 2;
const WRONG_CAMPAIGN: u8 = 4;
const WRONG_MONEY_KEY: u8 = 8;

/// What is wrong with a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrong {
    /// SUCCESS, and no payment.
    NotPaid,
    /// More than one payment.
    PaidTwice,
    /// FAILED, and paid.
    FailedButPaid,
    /// RETRYING, and paid.
    RetryingButPaid,
    /// No result row, and paid.
    PaidWithoutIntent,
    /// The ledger has another amount.
    Amount,
    /// The ledger names another customer than the key.
    Customer,
    /// The ledger names another campaign.
    Campaign,
    /// `transaction_key` is not money's key.
    MoneyKey,
}

impl Wrong {
    /// In words.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::NotPaid => "SUCCESS without a payment",
            Self::PaidTwice => "paid more than once",
            Self::FailedButPaid => "FAILED but paid",
            Self::RetryingButPaid => "RETRYING but paid",
            Self::PaidWithoutIntent => "paid without an intent",
            Self::Amount => "another amount in the ledger",
            Self::Customer => "another customer in the ledger",
            Self::Campaign => "another campaign in the ledger",
            Self::MoneyKey => "transaction_key is not the ledger's moneyKey",
        }
    }
}

/// A row that is not as it should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    /// Which.
    pub(super) target: i64,
    /// Why.
    pub(super) wrong: Wrong,
    /// Whether the row may have moved on between the two readings: it is read again.
    pub(super) in_flight: bool,
    /// Hash of money's key.
    pub(super) money_key: u64,
}

/// The rows of a promotion, and what the ledger says about them.
#[derive(Default)]
pub(super) struct Book {
    rows: Vec<Row>,
    /// Money that was paid under keys of this campaign.
    pub(super) paid_cents: i128,
    /// Payments under keys of this campaign.
    pub(super) payments: u64,
    /// Entries of the ledger that belong to this campaign.
    pub(super) entries: u64,
}

/// Where an entry of the ledger belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Posted {
    /// To a row.
    Yes,
    /// To another campaign.
    Elsewhere,
    /// To this campaign, and to none of its targets: money was paid that nobody asked for.
    NoTarget,
}

impl Book {
    /// Room for a promotion.
    pub(super) fn with_capacity(targets: u64) -> Self {
        Self { rows: Vec::with_capacity(usize::try_from(targets).unwrap_or(0)), ..Self::default() }
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: &Evidence) {
        self.rows.push(Row {
            customer: row.customer.0,
            target: row.target.0,
            cents: row.cents.unwrap_or(NO_CENTS),
            money_key: row.transaction_key.as_deref().map_or(0, hash),
            status: row.status,
            payments: 0,
            wrong: 0,
        });
    }

    /// Ends adding.
    pub(super) fn close(&mut self) {
        self.rows.sort_unstable_by_key(|row| row.customer);
    }

    /// Posts an entry of the ledger.
    pub(super) fn post(&mut self, campaign: &str, entry: &Entry<'_>) -> Posted {
        let owner = entry.key.0.rsplit_once('_');
        let ours = owner.is_some_and(|(code, _)| code == campaign);
        if !ours {
            let strange = entry.kind == Kind::Paid && entry.campaign() == Some(campaign);
            return if strange { Posted::NoTarget } else { Posted::Elsewhere };
        }
        self.entries += 1;
        if entry.kind == Kind::Paid {
            self.payments += 1;
            self.paid_cents += i128::from(entry.cents().unwrap_or(0));
        }
        let customer = owner.and_then(|(_, rest)| customer_of(rest));
        let found = customer.and_then(|customer| self.rows.binary_search_by_key(&customer, |row| row.customer).ok());
        let Some(row) = found.and_then(|at| self.rows.get_mut(at)) else {
            return if entry.kind == Kind::Paid { Posted::NoTarget } else { Posted::Elsewhere };
        };
        if entry.campaign().is_some_and(|code| code != campaign) {
            row.wrong |= WRONG_CAMPAIGN;
        }
        match entry.kind {
            Kind::Cancelled | Kind::Other => return Posted::Yes,
            Kind::Declined | Kind::Paid => {}
        }
        if entry.customer_uid != Some(row.customer) {
            row.wrong |= WRONG_CUSTOMER;
        }
        if entry.cents() != Some(row.cents) {
            row.wrong |= WRONG_AMOUNT;
        }
        if entry.kind == Kind::Paid {
            row.payments = row.payments.saturating_add(1);
            let key = entry.money_key.as_ref().map_or(0, |key| hash(&key.0));
            match row.status {
                Some(ProcessStatus::Success) if row.money_key != key => row.wrong |= WRONG_MONEY_KEY,
                Some(ProcessStatus::Success) => {}
                Some(ProcessStatus::Pending | ProcessStatus::Retrying | ProcessStatus::Failed) | None => {
                    row.money_key = key
                }
            }
        }
        Posted::Yes
    }

    /// Rows that were compared.
    pub(super) fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Everything that is not as it should be.
    pub(super) fn suspects(&self) -> Vec<Suspect> {
        let mut suspects = Vec::new();
        for row in &self.rows {
            let mut add = |wrong, in_flight| {
                suspects.push(Suspect { target: row.target, wrong, in_flight, money_key: row.money_key });
            };
            match (row.status, row.payments) {
                (_, 2..) => add(Wrong::PaidTwice, false),
                (Some(ProcessStatus::Success), 0) => add(Wrong::NotPaid, false),
                (Some(ProcessStatus::Success | ProcessStatus::Pending), _) | (_, 0) => {}
                (Some(ProcessStatus::Failed), 1) => add(Wrong::FailedButPaid, true),
                (Some(ProcessStatus::Retrying), 1) => add(Wrong::RetryingButPaid, true),
                (None, 1) => add(Wrong::PaidWithoutIntent, true),
            }
            for (bit, wrong) in [
                (WRONG_AMOUNT, Wrong::Amount),
                (WRONG_CUSTOMER, Wrong::Customer),
                (WRONG_CAMPAIGN, Wrong::Campaign),
                (WRONG_MONEY_KEY, Wrong::MoneyKey),
            ] {
                if row.wrong & bit != 0 {
                    add(wrong, false);
                }
            }
        }
        suspects.sort_unstable_by_key(|suspect| suspect.target);
        suspects
    }
}

/// What a suspect is, now that its row was read again.
pub(super) fn judge_again(suspect: &Suspect, row: &Evidence) -> Option<Wrong> {
    match row.status {
        None => Some(Wrong::PaidWithoutIntent),
        Some(ProcessStatus::Failed) => Some(Wrong::FailedButPaid),
        Some(ProcessStatus::Retrying) => Some(Wrong::RetryingButPaid),
        Some(ProcessStatus::Pending) => None,
        Some(ProcessStatus::Success) => {
            (row.transaction_key.as_deref().map(hash) != Some(suspect.money_key)).then_some(Wrong::MoneyKey)
        }
    }
}

/// The customer in the last part of a key, `42` or `42.g2`.
fn customer_of(rest: &str) -> Option<i64> {
    let (customer, generation) = match rest.split_once(".g") {
        Some((customer, generation)) => (customer, generation.parse::<u32>().ok()?),
        None => (rest, 1),
    };
    (generation > 0).then(|| customer.parse().ok()).flatten()
}

/// 64 bits tell a million keys apart: two of them meet with a probability of 3 in 100 million, and then a wrong key
/// would have to be the one that meets the right one.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use pipeline::domain::{CustomerUid, TargetId};

    use super::*;
    use crate::audit::ledger::parse;

    fn row(target: i64, status: Option<ProcessStatus>) -> Evidence {
        Evidence {
            target: TargetId(target),
            customer: CustomerUid(target + 100),
            partition: 0,
            cents: Some(1_000_050),
            status,
            transaction_key: (status == Some(ProcessStatus::Success)).then(|| "mk1".to_owned()),
            retry_count: 0,
            requeues: 0,
            generation: 1,
            intent: true,
            sent_or_unpayable: true,
            own_promotion: true,
        }
    }

    fn paid(key: &str, more: &str) -> String {
        let base = r#""customerUid":101,"campaignCode":"C","amount":"10000.50","moneyKey":"mk1""#;
        let fields = if more.is_empty() { base } else { more };
        format!(r#"{{"kind":"paid","key":"{key}",{fields},"at":1}}"#)
    }

    fn wrongs(status: Option<ProcessStatus>, lines: &[String]) -> Vec<Wrong> {
        let mut book = Book::with_capacity(1);
        book.add(&row(1, status));
        book.close();
        for line in lines {
            book.post("C", &parse(line.as_bytes()).unwrap());
        }
        book.suspects().into_iter().map(|suspect| suspect.wrong).collect()
    }

    #[test]
    fn a_row_is_paid_once_exactly_when_it_is_success() {
        use ProcessStatus::{Failed, Pending, Retrying, Success};
        let (none, once) = (vec![], vec![paid("C_101", "")]);
        let twice = vec![paid("C_101", ""), paid("C_101.g2", "")];
        assert_eq!(wrongs(Some(Success), &once), []);
        assert_eq!(wrongs(Some(Success), &none), [Wrong::NotPaid]);
        assert_eq!(wrongs(Some(Success), &twice), [Wrong::PaidTwice]);
        assert_eq!(wrongs(Some(Pending), &none), []);
        assert_eq!(wrongs(Some(Pending), &once), []);
        assert_eq!(wrongs(Some(Pending), &twice), [Wrong::PaidTwice]);
        assert_eq!(wrongs(Some(Failed), &none), []);
        assert_eq!(wrongs(Some(Failed), &once), [Wrong::FailedButPaid]);
        assert_eq!(wrongs(Some(Retrying), &once), [Wrong::RetryingButPaid]);
        assert_eq!(wrongs(None, &once), [Wrong::PaidWithoutIntent]);
    }

    #[test]
    fn the_ledgers_words_are_the_targets() {
        let success = Some(ProcessStatus::Success);
        let with = |more: &str| wrongs(success, &[paid("C_101", more)]);
        assert_eq!(with(r#""customerUid":101,"campaignCode":"C","amount":"10000.5","moneyKey":"mk1""#), []);
        assert_eq!(with(r#""customerUid":101,"campaignCode":"C","amount":10000.50,"moneyKey":"mk1""#), []);
        assert_eq!(with(r#""customerUid":101,"campaignCode":"C","amount":"10000","moneyKey":"mk1""#), [Wrong::Amount]);
        assert_eq!(
            with(r#""customerUid":102,"campaignCode":"C","amount":"10000.50","moneyKey":"mk1""#),
            [Wrong::Customer]
        );
        assert_eq!(
            with(r#""customerUid":101,"campaignCode":"D","amount":"10000.50","moneyKey":"mk1""#),
            [Wrong::Campaign]
        );
        assert_eq!(
            with(r#""customerUid":101,"campaignCode":"C","amount":"10000.50","moneyKey":"mk2""#),
            [Wrong::MoneyKey]
        );
    }

    #[test]
    fn a_payment_in_our_namespace_belongs_to_a_target() {
        let mut book = Book::with_capacity(1);
        book.add(&row(1, None));
        book.close();
        let mut post = |campaign: &str, line: String| book.post(campaign, &parse(line.as_bytes()).unwrap());
        assert_eq!(post("C", paid("C_101", "")), Posted::Yes);
        assert_eq!(post("C", paid("C_102", "")), Posted::NoTarget);
        assert_eq!(post("C", paid("C_x", "")), Posted::NoTarget);
        // The campaign C_1 is another one, though its keys begin as ours do.
        assert_eq!(post("C", paid("C_1_101", r#""campaignCode":"C_1""#)), Posted::Elsewhere);
        assert_eq!(post("C", paid("D_101", r#""campaignCode":"D""#)), Posted::Elsewhere);
        assert_eq!(post("C", paid("D_101", "")), Posted::NoTarget);
    }
}

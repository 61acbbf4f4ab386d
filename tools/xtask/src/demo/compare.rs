//! Every row against every line of the ledger, in both directions.

use std::collections::HashMap;
use std::io::BufRead;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::books::{Rows, Target};
use super::load::Load;
use super::targets::Kind;
use crate::http;

/// Differences that are shown; all are counted.
const SHOWN: usize = 10;

/// A number of payouts and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    pub(crate) amount: Decimal,
}

impl Sum {
    fn add(&mut self, amount: Decimal) {
        self.count += 1;
        self.amount += amount;
    }
}

/// The three books of one promotion, and where they differ.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) kind: Kind,
    pub(crate) promotion_id: i64,
    pub(crate) status: String,
    pub(crate) targets: Sum,
    pub(crate) success: Sum,
    pub(crate) failed: Sum,
    /// Without a final result.
    pub(crate) open: Sum,
    pub(crate) ledger: Sum,
    /// The first few, in words.
    pub(crate) differences: Vec<String>,
    pub(crate) difference_count: usize,
}

impl Books {
    /// Whether they say the same, and everything is over.
    pub(crate) fn balance(&self) -> bool {
        self.difference_count == 0
    }

    fn differ(&mut self, text: impl FnOnce() -> String) {
        self.difference_count += 1;
        if self.differences.len() < SHOWN {
            self.differences.push(text());
        }
    }
}

/// A line of the ledger.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    kind: String,
    key: String,
    #[serde(rename = "type")]
    payout_type: Option<String>,
    customer_uid: Option<u64>,
    amount: Option<String>,
    money_key: Option<String>,
}

/// What `GET /ledger/summary` answers, as far as it is compared.
#[derive(Debug, Deserialize)]
struct LedgerSummary {
    paid_count: u64,
    paid_total: String,
    keys_paid_more_than_once: u64,
}

/// Compares the rows of a promotion with the sandbox's ledger.
pub(crate) fn with_ledger(load: &Load, rows: Rows, money: SocketAddr) -> Result<Books> {
    let campaign = load.kind.campaign();
    let answer = http::get(money, &format!("/ledger?campaign={campaign}"))?;
    if answer.status != 200 {
        bail!("the sandbox's ledger answered {}", answer.status);
    }
    let mut books = compare(load, &rows, answer.body.lines())?;
    let summary = http::get_text(money, &format!("/ledger/summary?campaign={campaign}"))?;
    let summary: LedgerSummary = serde_json::from_str(&summary).context("the ledger's summary is not understood")?;
    let total: Decimal = summary.paid_total.parse()?;
    if (Sum { count: summary.paid_count, amount: total }) != books.ledger || summary.keys_paid_more_than_once != 0 {
        books.differ(|| format!("the ledger's lines and its own summary differ: {summary:?}"));
    }
    Ok(books)
}

fn compare(load: &Load, rows: &Rows, lines: impl Iterator<Item = std::io::Result<String>>) -> Result<Books> {
    let mut books = Books {
        kind: load.kind,
        promotion_id: load.promotion_id,
        status: rows.promotion_status.clone(),
        targets: Sum::default(),
        success: Sum::default(),
        failed: Sum::default(),
        open: Sum::default(),
        ledger: Sum::default(),
        differences: Vec::new(),
        difference_count: 0,
    };
    let mut paid: HashMap<u64, u32> = HashMap::with_capacity(rows.targets.len());
    for line in lines {
        let line = line.context("the ledger ended in the middle")?;
        let line: Line = serde_json::from_str(&line).with_context(|| format!("not a line of a ledger: {line}"))?;
        if line.kind == "paid" {
            check_payment(&mut books, rows, &mut paid, &line)?;
        }
    }
    for (customer, target) in &rows.targets {
        check_target(&mut books, *customer, target, paid.get(customer).copied().unwrap_or(0));
    }
    check_sums(&mut books, load, rows);
    Ok(books)
}

/// A payment must be that of a target, to the hundredth, under a key of this customer.
fn check_payment(books: &mut Books, rows: &Rows, paid: &mut HashMap<u64, u32>, line: &Line) -> Result<()> {
    let amount: Decimal = line.amount.as_deref().context("a payment without an amount")?.parse()?;
    books.ledger.add(amount);
    let customer = line.customer_uid.context("a payment without a customer")?;
    *paid.entry(customer).or_default() += 1;
    let Some(target) = rows.targets.get(&customer) else {
        books.differ(|| format!("customer {customer} was paid and is no target"));
        return Ok(());
    };
    if target.amount != amount {
        books.differ(|| format!("customer {customer} was paid {amount} instead of {}", target.amount));
    }
    if target.transaction_key.is_some() && target.transaction_key != line.money_key {
        books.differ(|| format!("customer {customer} has another transaction key than the ledger"));
    }
    let own = format!("{}_{customer}", books.kind.campaign());
    let key_is_own = line.key == own || line.key.starts_with(&format!("{own}.g"));
    if !key_is_own || line.payout_type.as_deref() != Some(books.kind.name()) {
        books.differ(|| format!("customer {customer} was paid under the key or type of another"));
    }
    Ok(())
}

/// SUCCESS is paid once, FAILED is not paid, and nothing else may be left.
fn check_target(books: &mut Books, customer: u64, target: &Target, payments: u32) {
    books.targets.add(target.amount);
    let status = target.status.as_deref();
    let expected = match status {
        Some("SUCCESS") => {
            books.success.add(target.amount);
            1
        }
        Some("FAILED") => {
            books.failed.add(target.amount);
            0
        }
        other => {
            books.open.add(target.amount);
            books.differ(|| format!("customer {customer} has no final result but {}", other.unwrap_or("none")));
            return;
        }
    };
    if payments != expected {
        books.differ(|| format!("customer {customer} is {} and was paid {payments} times", status.unwrap_or_default()));
    }
    if status == Some("SUCCESS") && target.transaction_key.is_none() {
        books.differ(|| format!("customer {customer} is SUCCESS without a transaction key"));
    }
}

/// The promotion's own numbers must be those of its rows, and those of the file.
fn check_sums(books: &mut Books, load: &Load, rows: &Rows) {
    let all = books.targets.count;
    for (name, said, counted) in [
        ("customers", rows.count, all),
        ("total_count", rows.total_count, all),
        ("published_count", rows.published, all),
        ("success_count + retry_success_count", rows.succeeded, books.success.count),
        ("fail_count", rows.failed, books.failed.count),
    ] {
        if said != counted {
            books.differ(|| format!("{name} says {said}, the rows say {counted}"));
        }
    }
    let amount = books.targets.amount;
    if rows.total_amount != amount || load.total != amount {
        books.differ(|| format!("the file has {}, total_amount {}, the rows {amount}", load.total, rows.total_amount));
    }
    if books.status != "COMPLETED" {
        let status = books.status.clone();
        books.differ(|| format!("the promotion is {status}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two targets, one paid and one refused, as everything should be.
    fn balanced() -> (Load, Rows, Vec<String>) {
        let load = Load { kind: Kind::Point, promotion_id: 1, total: Decimal::new(1550, 2) };
        let target = |amount: i64, status: &str, key: Option<&str>| Target {
            amount: Decimal::new(amount, 2),
            status: Some(status.to_owned()),
            transaction_key: key.map(str::to_owned),
        };
        let rows = Rows {
            targets: HashMap::from([(7, target(1050, "SUCCESS", Some("mk1"))), (8, target(500, "FAILED", None))]),
            count: 2,
            promotion_status: "COMPLETED".to_owned(),
            total_count: 2,
            total_amount: Decimal::new(1550, 2),
            published: 2,
            succeeded: 1,
            failed: 1,
        };
        let lines = vec![
            line(7, "10.5", "mk1"),
            r#"{"kind":"declined","key":"DEMO-POINT_8","type":"point","customerUid":8,"amount":"5","moneyKey":null}"#
                .to_owned(),
        ];
        (load, rows, lines)
    }

    fn line(customer: u64, amount: &str, money_key: &str) -> String {
        format!(
            r#"{{"kind":"paid","key":"DEMO-POINT_{customer}","type":"point","customerUid":{customer},"amount":"{amount}","moneyKey":"{money_key}"}}"#
        )
    }

    fn differences(change: impl FnOnce(&mut Rows, &mut Vec<String>)) -> Vec<String> {
        let (load, mut rows, mut lines) = balanced();
        change(&mut rows, &mut lines);
        compare(&load, &rows, lines.into_iter().map(Ok)).unwrap().differences
    }

    #[test]
    fn books_that_agree_balance() {
        let (load, rows, lines) = balanced();
        let books = compare(&load, &rows, lines.into_iter().map(Ok)).unwrap();
        assert!(books.balance(), "{:?}", books.differences);
        assert_eq!(books.ledger, Sum { count: 1, amount: Decimal::new(105, 1) });
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        type Change = fn(&mut Rows, &mut Vec<String>);
        let cases: [(&str, Change); 11] = [
            ("was paid 2 times", |_, lines| lines.push(line(7, "10.5", "mk1"))),
            ("was paid 0 times", |_, lines| drop(lines.remove(0))),
            ("is FAILED and was paid 1 times", |_, lines| lines.push(line(8, "5", "mk2"))),
            ("is no target", |_, lines| lines.push(line(9, "5", "mk2"))),
            ("was paid 10 instead of 10.50", |_, lines| lines[0] = line(7, "10", "mk1")),
            ("another transaction key", |_, lines| lines[0] = line(7, "10.5", "mk9")),
            ("under the key or type of another", |_, lines| lines[0] = lines[0].replace("POINT_7", "POINT_78")),
            ("no final result but PENDING", |rows, _| {
                rows.targets.get_mut(&8).unwrap().status = Some("PENDING".to_owned());
            }),
            ("no final result but none", |rows, _| rows.targets.get_mut(&8).unwrap().status = None),
            ("fail_count says 2", |rows, _| rows.failed = 2),
            ("the promotion is IN_PROGRESS", |rows, _| rows.promotion_status = "IN_PROGRESS".to_owned()),
        ];
        for (expected, change) in cases {
            let found = differences(change);
            assert!(found.iter().any(|text| text.contains(expected)), "{expected}: {found:?}");
        }
    }
}

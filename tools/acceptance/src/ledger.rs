//! The money ledger, as its export says: one JSON line a payment, refusal or cancel.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde_json::Value;

/// One line of the ledger.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `paid`, `declined` or `cancelled`.
    pub kind: String,
    /// The idempotency key.
    pub key: String,
    /// Who was paid.
    pub customer: i64,
    /// How much.
    pub amount: Decimal,
    /// The key of the payment.
    pub money_key: String,
    /// When, in µs since 1970.
    pub at_us: u64,
}

/// All lines of one campaign, by idempotency key.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: HashMap<String, Vec<Entry>>,
}

impl Ledger {
    /// From the export.
    ///
    /// # Panics
    /// On a line that is none.
    pub fn read(lines: &str) -> Self {
        let mut entries: HashMap<String, Vec<Entry>> = HashMap::new();
        for line in lines.lines() {
            let entry = entry(line);
            entries.entry(entry.key.clone()).or_default().push(entry);
        }
        Self { entries }
    }

    /// What was paid under a key; more than one is a double payment.
    pub fn paid(&self, key: &str) -> Vec<&Entry> {
        self.of(key, "paid")
    }

    /// Whether a refusal or a cancel stands under a key.
    pub fn is_closed(&self, key: &str) -> bool {
        !self.of(key, "declined").is_empty() || !self.of(key, "cancelled").is_empty()
    }

    /// Everything that was paid.
    pub fn payments(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().flatten().filter(|entry| entry.kind == "paid")
    }

    /// Lines of a kind.
    pub fn count(&self, kind: &str) -> usize {
        self.entries.values().flatten().filter(|entry| entry.kind == kind).count()
    }

    fn of(&self, key: &str, kind: &str) -> Vec<&Entry> {
        self.entries.get(key).into_iter().flatten().filter(|entry| entry.kind == kind).collect()
    }
}

fn entry(line: &str) -> Entry {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the ledger's line {line}"));
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let amount = text("amount");
    Entry {
        kind: text("kind"),
        key: text("key"),
        customer: value["customerUid"].as_i64().unwrap_or_default(),
        amount: if amount.is_empty() { Decimal::ZERO } else { amount.parse().expect("an amount is a decimal number") },
        money_key: text("moneyKey"),
        at_us: value["at"].as_u64().unwrap_or_default(),
    }
}

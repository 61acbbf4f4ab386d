//! Reading ledger lines: at start to take up where the last process ended, and to filter by campaign.

use std::borrow::Cow;
use std::io::{BufRead, BufReader};

use anyhow::{Context as _, bail};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::contract::{self, Charge};
use crate::digest::KeyId;
use crate::ledger::Ledger;

/// A reader's buffer; also the size of a piece of a streamed answer.
pub(crate) const READ_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    kind: &'a str,
    #[serde(borrow)]
    key: Cow<'a, str>,
    r#type: Option<String>,
    campaign_code: String,
    amount: Option<&'a str>,
    money_key: Option<&'a str>,
    at: u64,
    fingerprint: Option<&'a str>,
    error_code: Option<String>,
    voucher_expiry_at: Option<&'a str>,
}

/// Reads the whole log into the ledger.
pub(crate) fn load(ledger: &Ledger) -> anyhow::Result<()> {
    let mut reader = BufReader::with_capacity(READ_BYTES, ledger.log().reader()?);
    let mut line = Vec::new();
    let mut number = 0u64;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        number += 1;
        take(ledger, &line).with_context(|| format!("ledger line {number}"))?;
    }
}

fn take(ledger: &Ledger, line: &[u8]) -> anyhow::Result<()> {
    let line: Line<'_> = serde_json::from_slice(line)?;
    if line.kind == "cancelled" {
        ledger.restore_cancel(&line.key, line.at);
        return Ok(());
    }
    let number = match (line.kind, line.money_key) {
        ("paid", Some(key)) => contract::money_key_number(key).context("moneyKey")?,
        ("declined", None) => 0,
        _ => bail!("unknown kind {}", line.kind),
    };
    let expiry_day = line.voucher_expiry_at.and_then(|at| contract::parse_day(at.get(..10)?));
    let charge = Charge {
        key: KeyId::of(&line.key),
        fingerprint: u64::from_str_radix(line.fingerprint.context("fingerprint")?, 16)?,
        amount: Decimal::from_str_exact(line.amount.context("amount")?)?,
        campaign_code: line.campaign_code.into(),
        voucher: line.r#type.as_deref() == Some("voucher"),
        expiry_day: expiry_day.unwrap_or(0),
        ledger_fields: String::new(),
    };
    let refusal = (line.kind == "declined").then(|| line.error_code.unwrap_or_default());
    ledger.restore_charge(&charge, number, refusal.as_deref(), line.at);
    Ok(())
}

/// Whether a ledger line belongs to a campaign.
pub(crate) fn is_of_campaign(line: &[u8], campaign: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Campaign<'a> {
        #[serde(borrow)]
        campaign_code: Cow<'a, str>,
    }
    serde_json::from_slice::<Campaign<'_>>(line).is_ok_and(|line| line.campaign_code == campaign)
}

//! The words of the `money` contract: request bodies, answers, the values in them.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::digest::{Dice, Fingerprint, KeyId};

/// A request body larger than this is refused: the contract's bodies have a few hundred bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// A key longer than this is refused; the product's have at most 50 + 1 + 20 + a generation.
pub const MAX_KEY_BYTES: usize = 200;
/// The code of an answer for a key that was cancelled.
pub const CANCELLED: &str = "CANCELLED";
/// The code of an answer while the key's first request is still executing.
pub const IN_PROGRESS: &str = "IN_PROGRESS";
/// The code of an answer for a key that was used with another body.
pub const KEY_REUSED: &str = "KEY_REUSED";

/// Why a charge is malformed (HTTP 400).
#[derive(Debug, thiserror::Error)]
pub enum BadCharge {
    /// Not JSON, a field missing, of the wrong type, unknown or given twice.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The amount is not a plain non-negative decimal number of at most 28 digits.
    #[error("amount must be a plain decimal number")]
    Amount,
    /// `expiredAt` is neither null nor `yyyy-MM-dd`.
    #[error("expiredAt must be yyyy-MM-dd or null")]
    ExpiredAt,
}

/// Borrowed from the body unless the text has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChargeBody<'a> {
    customer_uid: u64,
    #[serde(borrow)]
    merchant_code: Option<Text<'a>>,
    #[serde(borrow)]
    campaign_code: Text<'a>,
    #[serde(borrow)]
    amount: &'a RawValue,
    #[serde(borrow)]
    voucher_number: Option<Text<'a>>,
    #[serde(borrow)]
    description: Option<Text<'a>>,
    #[serde(borrow)]
    expired_at: Option<Text<'a>>,
    is_withdrawal: Option<bool>,
}

/// A well-formed charge, ready to be executed under its key.
#[derive(Debug)]
pub struct Charge {
    /// The key's id.
    pub key: KeyId,
    /// Equal for equal fields; amounts compare as numbers.
    pub fingerprint: u64,
    /// Exactly what is to be paid.
    pub amount: Decimal,
    /// The campaign, by which totals are kept.
    pub campaign_code: Box<str>,
    /// Whether the answer carries voucher fields.
    pub voucher: bool,
    /// The day `expiredAt` as days since 1970, 0 for none.
    pub expiry_day: u32,
    /// The middle of the ledger line: key, type, customer, campaign, merchant, amount, fingerprint.
    pub ledger_fields: String,
}

impl Charge {
    /// Reads a charge of the payout type `kind` under `key` from its body.
    ///
    /// # Errors
    /// The body breaks the contract.
    pub fn parse(kind: &str, key: &str, body: &[u8]) -> Result<Self, BadCharge> {
        let body: ChargeBody<'_> = serde_json::from_slice(body)?;
        let raw_amount = body.amount.get();
        let plain = raw_amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !plain {
            return Err(BadCharge::Amount);
        }
        let amount = Decimal::from_str_exact(raw_amount).map_err(|_| BadCharge::Amount)?;
        let expired_at = text(&body.expired_at);
        let expiry_day = match expired_at {
            Some(day) => parse_day(day).ok_or(BadCharge::ExpiredAt)?,
            None => 0,
        };
        let normal = amount.normalize();
        let mantissa = normal.mantissa().unsigned_abs();
        let fingerprint = Fingerprint::new()
            .field(Some(kind))
            .number(body.customer_uid)
            .field(text(&body.merchant_code))
            .field(Some(&body.campaign_code.0))
            .number(mantissa as u64)
            .number((mantissa >> 64) as u64)
            .number(u64::from(normal.scale()))
            .field(text(&body.voucher_number))
            .field(text(&body.description))
            .field(expired_at)
            .number(body.is_withdrawal.map_or(2, u64::from))
            .finish();

        let mut fields = String::with_capacity(224);
        fields.push_str("\"key\":");
        push_json(&mut fields, key);
        fields.push_str(",\"type\":");
        push_json(&mut fields, kind);
        let _ = write!(fields, ",\"customerUid\":{}", body.customer_uid);
        fields.push_str(",\"campaignCode\":");
        push_json(&mut fields, &body.campaign_code.0);
        fields.push_str(",\"merchantCode\":");
        match text(&body.merchant_code) {
            Some(code) => push_json(&mut fields, code),
            None => fields.push_str("null"),
        }
        let _ = write!(fields, ",\"amount\":\"{raw_amount}\",\"fingerprint\":\"{fingerprint:016x}\"");
        Ok(Self {
            key: KeyId::of(key),
            fingerprint,
            amount,
            campaign_code: body.campaign_code.0.as_ref().into(),
            voucher: kind == "voucher",
            expiry_day,
            ledger_fields: fields,
        })
    }
}

fn text<'a>(field: &'a Option<Text<'_>>) -> Option<&'a str> {
    field.as_ref().map(|text| text.0.as_ref())
}

/// Appends `text` as a JSON string.
pub fn push_json(out: &mut String, text: &str) {
    let plain = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    out.push('"');
    if plain {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                c if (c as u32) < 0x20 => {
                    let _ = write!(out, "\\u{:04x}", c as u32);
                }
                c => out.push(c),
            }
        }
    }
    out.push('"');
}

/// The values that a payment's answer carries. All of them follow from its number, so that ten million payments
/// need no strings in memory and a replay gives the first answer again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The payment's number; unique in a ledger.
    pub number: u64,
    /// Whether it is a voucher.
    pub voucher: bool,
    /// The voucher's last day as days since 1970.
    pub expiry_day: u32,
}

/// The key under which the payment is known at `money`.
pub fn money_key(number: u64) -> String {
    format!("mk{number:014}")
}

/// The number in a [`money_key`].
pub fn money_key_number(key: &str) -> Option<u64> {
    key.strip_prefix("mk")?.parse().ok()
}

/// The code of a voucher.
pub fn voucher_code(number: u64) -> String {
    format!("VC{:016X}", Dice::new(0x5643, number).bits())
}

/// The PIN of a voucher: looks random, starts with the prefix, and follows from the payment's number, so that a
/// test can search for it where it must not be.
pub fn voucher_pin(prefix: &str, number: u64) -> String {
    let digits = Dice::new(0x50_494e, number).bits() % 1_000_000_000_000;
    format!("{prefix}{digits:012}")
}

/// `2026-12-31T23:59:59`: the end of a voucher's last day, in local time like all times of the product.
pub fn voucher_expiry(day: u32) -> String {
    let (year, month, date) = civil(day);
    format!("{year:04}-{month:02}-{date:02}T23:59:59")
}

impl Receipt {
    /// The answer's body.
    pub fn body(&self, pin_prefix: &str) -> Bytes {
        let mut out = String::with_capacity(224);
        let _ = write!(out, "{{\"data\":{{\"moneyKey\":\"mk{:014}\"", self.number);
        if self.voucher {
            let _ = write!(out, ",\"voucherCode\":\"{}\",\"voucherPin\":", voucher_code(self.number));
            push_json(&mut out, &voucher_pin(pin_prefix, self.number));
            let _ = write!(out, ",\"voucherExpiryAt\":\"{}\"", voucher_expiry(self.expiry_day));
        }
        out.push_str("},\"meta\":{\"result\":\"SUCCESS\"}}");
        out.into()
    }
}

/// The body of every answer that is not a payment.
pub fn fail_body(code: &str, message: &str) -> Bytes {
    let mut out = String::with_capacity(96 + message.len());
    out.push_str("{\"data\":null,\"meta\":{\"result\":\"FAIL\",\"errorCode\":");
    push_json(&mut out, code);
    out.push_str(",\"message\":");
    push_json(&mut out, message);
    out.push_str("}}");
    out.into()
}

/// The body of an acknowledged cancel.
pub const CANCEL_BODY: &[u8] = br#"{"data":null,"meta":{"result":"SUCCESS"}}"#;

/// Days since 1970 of `yyyy-MM-dd`.
pub fn parse_day(text: &str) -> Option<u32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let part = |from: usize, to: usize| -> Option<u32> {
        bytes[from..to].iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    let (year, month, date) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || date == 0 {
        return None;
    }
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + date - 1;
    let day = day.checked_sub(719_468)?;
    (civil(day) == (year, month, date)).then_some(day) // not the 30th of February
}

/// Year, month and day of a day since 1970 (Howard Hinnant's `civil_from_days`).
fn civil(day: u32) -> (u32, u32, u32) {
    let z = day + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u32::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

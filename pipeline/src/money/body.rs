//! The body of a charge. An idempotency key must always go with the same body, so it is written field by
//! field, in one order, from what is frozen when the promotion is READY.

use bytes::Bytes;

use crate::domain::{Amount, PayoutType, Promotion, Shape, Target};
use crate::mutant::{self, Mutant};

/// The JSON that asks `money` to pay `target`: the same bytes for the same rows, whoever asks and whenever.
/// The amount is a plain decimal number and never was a float. A target without any amount, which is not
/// payable and never sent, would get null.
pub fn charge_body(kind: &PayoutType, promotion: &Promotion, target: &Target) -> Bytes {
    let defaults = &promotion.defaults;
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(b"{\"customerUid\":");
    body.extend_from_slice(target.customer.0.to_string().as_bytes());
    text_or_null(&mut body, "merchantCode", target.merchant_code.as_deref());
    text_or_null(&mut body, "campaignCode", Some(&promotion.campaign_code));
    field(&mut body, "amount");
    match target.amount(defaults) {
        Some(amount) => body.extend_from_slice(plain(amount).as_bytes()),
        None => body.extend_from_slice(b"null"),
    }
    if kind.shape == Shape::Voucher {
        text_or_null(&mut body, "voucherNumber", target.voucher_number.as_deref());
    }
    text_or_null(&mut body, "description", target.reason.as_deref().or(defaults.reason.as_deref()));
    let default_expiry = || defaults.expiry_at.map(|at| at.format("%Y-%m-%d").to_string());
    text_or_null(&mut body, "expiredAt", target.expired_at.clone().or_else(default_expiry).as_deref());
    if kind.shape == Shape::Voucher {
        field(&mut body, "isWithdrawal");
        body.extend_from_slice(if target.is_withdrawal { b"true" } else { b"false" });
    }
    body.push(b'}');
    body.into()
}

fn plain(amount: Amount) -> String {
    let exact = amount.to_plain();
    if mutant::is(Mutant::AmountIsAFloat) {
        exact.parse::<f32>().map_or(exact, |float| float.to_string())
    } else {
        exact
    }
}

fn field(body: &mut Vec<u8>, name: &str) {
    body.extend_from_slice(b",\"");
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(b"\":");
}

fn text_or_null(body: &mut Vec<u8>, name: &str, text: Option<&str>) {
    field(body, name);
    // Writing a text, or null, to memory cannot fail.
    let _ = serde_json::to_writer(body, &text);
}

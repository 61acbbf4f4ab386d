//! The body of a charge, byte by byte.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use chrono::NaiveDate;
use pipeline::domain::promotion::Defaults;
use pipeline::domain::{
    Amount, CustomerUid, PayoutType, Promotion, PromotionId, PromotionStatus, SummaryId, Target, TargetId,
};
use pipeline::money::charge_body;
use proptest::prelude::*;

fn promotion(defaults: Defaults) -> Promotion {
    Promotion {
        id: PromotionId(1),
        summary: SummaryId(1),
        campaign_code: "SPRING".into(),
        kind: Arc::new(PayoutType::point()),
        status: PromotionStatus::InProgress,
        total_count: 1,
        total_amount: Amount::ZERO,
        partition_count: 4,
        reservation_at: None,
        reservation_priority: None,
        defaults,
    }
}

fn bare() -> Target {
    Target {
        id: TargetId(9),
        customer: CustomerUid(42),
        amount: None,
        reason: None,
        expired_at: None,
        merchant_code: None,
        voucher_number: None,
        is_withdrawal: false,
    }
}

fn full() -> Target {
    Target {
        amount: Some(Amount::parse("10000.5").unwrap()),
        reason: Some("say \"hi\"\n가".to_owned()),
        expired_at: Some("2026-12-31".to_owned()),
        merchant_code: Some("M1".to_owned()),
        voucher_number: Some("V1".to_owned()),
        is_withdrawal: true,
        ..bare()
    }
}

fn defaults() -> Defaults {
    Defaults {
        amount: Some(Amount::parse("300").unwrap()),
        reason: Some("thanks".into()),
        expiry_at: NaiveDate::from_ymd_opt(2027, 1, 2).and_then(|day| day.and_hms_opt(23, 59, 59)),
    }
}

fn body(kind: &PayoutType, defaults: Defaults, target: &Target) -> String {
    String::from_utf8(charge_body(kind, &promotion(defaults), target).to_vec()).unwrap()
}

#[test]
#[rustfmt::skip]
fn a_body_has_the_fields_of_the_contract_in_one_order() {
    let (point, voucher) = (PayoutType::point(), PayoutType::voucher());
    assert_eq!(body(&point, Defaults::default(), &full()),
        r#"{"customerUid":42,"merchantCode":"M1","campaignCode":"SPRING","amount":10000.50,"description":"say \"hi\"\n가","expiredAt":"2026-12-31"}"#);
    assert_eq!(body(&voucher, Defaults::default(), &full()),
        r#"{"customerUid":42,"merchantCode":"M1","campaignCode":"SPRING","amount":10000.50,"voucherNumber":"V1","description":"say \"hi\"\n가","expiredAt":"2026-12-31","isWithdrawal":true}"#);
}

#[test]
#[rustfmt::skip]
fn the_promotion_gives_what_the_target_lacks_and_null_stands_for_the_rest() {
    let (point, voucher) = (PayoutType::point(), PayoutType::voucher());
    assert_eq!(body(&point, defaults(), &bare()),
        r#"{"customerUid":42,"merchantCode":null,"campaignCode":"SPRING","amount":300,"description":"thanks","expiredAt":"2027-01-02"}"#);
    assert_eq!(body(&voucher, Defaults { amount: defaults().amount, ..Defaults::default() }, &bare()),
        r#"{"customerUid":42,"merchantCode":null,"campaignCode":"SPRING","amount":300,"voucherNumber":null,"description":null,"expiredAt":null,"isWithdrawal":false}"#);
    assert!(body(&point, defaults(), &full()).contains(r#""amount":10000.50,"description":"say"#), "the target's own come first");
}

#[test]
fn the_largest_amount_is_written_exactly() {
    let largest = Amount::from_row("9999999999999.99".parse().unwrap());
    let target = Target { amount: Some(largest), ..bare() };
    assert!(body(&PayoutType::point(), Defaults::default(), &target).contains(r#""amount":9999999999999.99,"#));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_row_holds_the_body_is_the_same_json_each_time(reason in ".*", merchant in ".*", number in ".*") {
        let target = Target {
            reason: Some(reason.clone()), merchant_code: Some(merchant.clone()), voucher_number: Some(number.clone()), ..bare()
        };
        let first = body(&PayoutType::voucher(), defaults(), &target);
        prop_assert_eq!(&first, &body(&PayoutType::voucher(), defaults(), &target.clone()));
        let read: serde_json::Value = serde_json::from_str(&first).unwrap();
        prop_assert_eq!(read["description"].as_str(), Some(reason.as_str()));
        prop_assert_eq!(read["merchantCode"].as_str(), Some(merchant.as_str()));
        prop_assert_eq!(read["voucherNumber"].as_str(), Some(number.as_str()));
    }
}

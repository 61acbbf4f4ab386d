//! What each answer of `money` proves, and what no answer whatever may prove.

#![allow(clippy::unwrap_used)]

#[path = "money/answers.rs"]
mod answers;
#[path = "money/document.rs"]
mod document;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use answers::{ANSWERS, PAGE, PAID};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pipeline::domain::CustomerUid;
use pipeline::domain::decide::Request::{self, Cancel, Charge, LookUp};
use pipeline::domain::outcome::Verdict::{
    Cancelled, Executing, Fault, KeyExpired, KeyReused, NotExecuted, NotSeen, Paid, RefusalNotListed, Refused, Unknown,
};
use pipeline::domain::outcome::{Answer, Pin};
use pipeline::keys::IdempotencyKey;
use pipeline::money::{BodyProblem, ConnectProblem, Contract, Exchange, MoneyConfigError, Silence};
use proptest::prelude::*;

fn contract() -> Contract {
    Contract::new(vec!["CLOSED".to_owned()], chrono_tz::Asia::Seoul).unwrap()
}

fn key() -> IdempotencyKey {
    IdempotencyKey::new("SPRING", CustomerUid(42), 1)
}

fn headers(lines: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.lines() {
        let (name, value) = line.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, value.trim_start().parse().unwrap());
    }
    headers
}

/// JSON unless the lines say otherwise.
fn complete(status: u16, lines: &str, body: &[u8]) -> Exchange {
    let mut headers = headers(lines);
    if !lines.contains("content-type") {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    if lines.contains("x-content-type: none") {
        headers.remove("content-type");
    }
    Exchange::Complete { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::copy_from_slice(body) }
}

fn classify(request: Request, exchange: &Exchange) -> Answer {
    contract().classify(request, &key(), exchange, SystemTime::now())
}

fn charged(body: &str) -> Answer {
    classify(Charge, &complete(200, "", body.as_bytes()))
}

#[test]
fn every_answer_proves_what_the_contract_says_and_no_more() {
    assert!(ANSWERS.len() >= 120);
    let mut wrong = Vec::new();
    for (request, status, lines, body, verdict, code) in ANSWERS {
        let answer = classify(*request, &complete(*status, lines, body.as_bytes()));
        if (answer.verdict, answer.code.as_ref()) != (*verdict, *code) {
            let got = (answer.verdict, answer.code);
            wrong.push(format!("{request:?} {status} [{lines}] {body}: expected {verdict:?} {code}, got {got:?}"));
        }
        assert_eq!(answer.receipt.is_some(), answer.verdict == Paid, "{request:?} {status} {body}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_an_answer_only_the_phase_counts() {
    for request in [Charge, LookUp, Cancel] {
        for problem in ConnectProblem::ALL {
            let expected = if problem == ConnectProblem::TlsCertificate { Fault } else { NotExecuted };
            let answer = classify(request, &Exchange::NotConnected { problem, detail: "why".to_owned() });
            assert_eq!((answer.verdict, answer.code.as_ref()), (expected, problem.code()));
        }
        for silence in Silence::ALL {
            let answer = classify(request, &Exchange::NoAnswer(silence));
            assert_eq!((answer.verdict, answer.code.as_ref()), (Unknown, silence.code()));
        }
        for problem in BodyProblem::ALL {
            for status in [200, 201, 302, 401, 404, 409, 410, 422, 429, 500, 503] {
                let status = StatusCode::from_u16(status).unwrap();
                let headers = headers("payout-executed: false");
                let answer = classify(request, &Exchange::HeadersOnly { status, headers, problem });
                assert_eq!((answer.verdict, answer.code.as_ref()), (Unknown, problem.code()));
            }
        }
        assert_eq!(classify(request, &Exchange::NotBuilt).verdict, Fault);
    }
}

#[test]
fn text_that_is_not_utf8_proves_nothing() {
    let mut body = PAID.as_bytes().to_vec();
    body[13] = 0xff;
    assert_eq!(classify(Charge, &complete(200, "", &body)).code, "NOT_UTF8");
}

#[test]
fn a_money_key_longer_than_its_column_proves_nothing() {
    let body = |length| format!(r#"{{"data":{{"moneyKey":"{}"}},"meta":{{"result":"SUCCESS"}}}}"#, "é".repeat(length));
    assert_eq!(charged(&body(100)).verdict, Paid);
    assert_eq!(charged(&body(101)).verdict, Unknown);
}

#[test]
fn nesting_that_would_exhaust_a_stack_proves_nothing() {
    let body = format!("{}{}", r#"{"data":"#, "[".repeat(60_000));
    assert_eq!(charged(&body).code, "JSON_TOO_DEEP");
}

fn receipt_with(field: &str) -> Answer {
    charged(&format!(r#"{{"data":{{"moneyKey":"mk1",{field}}},"meta":{{"result":"SUCCESS"}}}}"#))
}

#[test]
fn a_receipt_carries_what_money_gave() {
    let answer = receipt_with(r#""voucherCode":"VC1","voucherPin":"0042","voucherExpiryAt":"2026-12-31T23:59:59""#);
    let receipt = answer.receipt.unwrap();
    assert_eq!(receipt.money_key, "mk1");
    assert_eq!(receipt.voucher_code.as_deref(), Some("VC1"));
    assert_eq!(receipt.voucher_pin, Some(Pin("0042".to_owned())));
    assert_eq!(receipt.voucher_expiry_at.unwrap().to_string(), "2026-12-31 23:59:59");
    assert_eq!(answer.message, None);
}

#[test]
fn a_voucher_expires_in_the_local_time_of_the_configured_zone() {
    #[rustfmt::skip]
    let table = [
        ("2026-12-31 23:59:59", "2026-12-31 23:59:59"),
        ("2026-12-31T23:59:59", "2026-12-31 23:59:59"),
        ("2026-12-31T23:59:59.987", "2026-12-31 23:59:59"),
        ("2026-12-31T15:00:00Z", "2027-01-01 00:00:00"),
        ("2026-12-31T15:00:00.5Z", "2027-01-01 00:00:00"),
        ("2026-12-31T15:00:00+00:00", "2027-01-01 00:00:00"),
        ("2026-12-31T23:59:59+09:00", "2026-12-31 23:59:59"),
        ("2026-12-31T23:59:59+0900", "2026-12-31 23:59:59"),
        ("2026-12-31", "2026-12-31 23:59:59"),
    ];
    for (text, expected) in table {
        let answer = receipt_with(&format!(r#""voucherExpiryAt":"{text}""#));
        assert_eq!(answer.receipt.unwrap().voucher_expiry_at.unwrap().to_string(), expected, "{text}");
    }
}

#[test]
fn an_unreadable_voucher_field_is_dropped_and_the_payment_stays_paid() {
    let long = |name: &str, length: usize| format!(r#""{name}":"{}""#, "9".repeat(length));
    let fields = [
        (r#""voucherExpiryAt":"31.12.2026""#.to_owned(), "voucherExpiryAt"),
        (r#""voucherExpiryAt":"2026-02-30""#.to_owned(), "voucherExpiryAt"),
        (r#""voucherExpiryAt":"2026-12-31T25:00:00""#.to_owned(), "voucherExpiryAt"),
        (r#""voucherExpiryAt":"0999-12-31""#.to_owned(), "voucherExpiryAt"),
        (r#""voucherExpiryAt":"9999-12-31T23:59:59Z""#.to_owned(), "voucherExpiryAt"),
        (r#""voucherExpiryAt":1767225599"#.to_owned(), "voucherExpiryAt"),
        (r#""voucherExpiryAt":"２０２６-12-31""#.to_owned(), "voucherExpiryAt"),
        (r#""voucherCode":{"a":1}"#.to_owned(), "voucherCode"),
        (long("voucherCode", 51), "voucherCode"),
        (r#""voucherPin":1234"#.to_owned(), "voucherPin"),
        (long("voucherPin", 65), "voucherPin"),
    ];
    for (field, name) in fields {
        let answer = receipt_with(&field);
        let receipt = answer.receipt.unwrap();
        assert_eq!(answer.verdict, Paid, "{field}");
        assert_eq!((receipt.voucher_code, receipt.voucher_pin, receipt.voucher_expiry_at), (None, None, None));
        assert_eq!(answer.message.unwrap(), format!("paid, but {name} could not be read"));
    }
}

#[test]
fn a_message_is_short_and_holds_neither_control_characters_nor_the_key() {
    let body = |message: &str| {
        let message = serde_json::to_string(message).unwrap();
        format!(r#"{{"data":null,"meta":{{"result":"FAIL","errorCode":"LIMIT","message":{message}}}}}"#)
    };
    assert_eq!(charged(&body("a\r\nb\u{7}c\u{0}")).message.unwrap(), "abc");
    assert_eq!(charged(&body("SPRING_\n42 is known")).message.unwrap(), "(key) is known");
    assert_eq!(charged(&body(&"가".repeat(900))).message.unwrap().chars().count(), 500);
    let later = IdempotencyKey::new("SPRING", CustomerUid(42), 2);
    let content = complete(401, "", body("Bearer t0ps3cret for SPRING_42, not SPRING_42.g2").as_bytes());
    let hiding = contract().hiding(Some("t0ps3cret".to_owned()));
    let answer = hiding.classify(Charge, &later, &content, SystemTime::now());
    assert_eq!(answer.message.unwrap(), "LIMIT: Bearer (token) for (key), not (key).g2");
    let cut = charged(&body(&format!("{}SPRING_42", "x".repeat(495)))).message.unwrap();
    assert!(!cut.contains("SPRING"), "{cut}");
}

#[test]
fn a_code_is_at_most_50_plain_characters() {
    let body = format!(r#"{{"data":null,"meta":{{"result":"FAIL","errorCode":"{} \u0007!"}}}}"#, "A".repeat(60));
    assert_eq!(charged(&body).code, "A".repeat(50));
}

#[test]
fn only_what_can_be_a_refusal_is_taken_onto_the_list() {
    for bad in ["", "IN_PROGRESS", "PROCESSING", "KEY_REUSED", "two words", "가", &"A".repeat(51)] {
        let refused = Contract::new(vec![bad.to_owned()], chrono_tz::Asia::Seoul);
        assert!(matches!(refused, Err(MoneyConfigError::FinalCode(code)) if code == bad), "{bad}");
    }
}

#[test]
fn money_may_ask_for_a_wait_of_at_most_ten_minutes() {
    // Sun, 06 Nov 1994 08:49:37 GMT
    let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
    #[rustfmt::skip]
    let table = [
        (429, "retry-after: 7", Some(7)),
        (429, "retry-after: 0", Some(0)),
        (429, "retry-after: 601", Some(600)),
        (429, "retry-after: 99999999999999999999999", Some(600)),
        (429, "retry-after: Sun, 06 Nov 1994 08:49:57 GMT", Some(20)),
        (429, "retry-after: Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
        (429, "retry-after: Mon, 07 Nov 1994 08:49:37 GMT", Some(600)),
        (429, "retry-after: soon", None),
        (429, "retry-after: -5", None),
        (429, "retry-after: 1.5", None),
        (429, "x: 1", None),
        (503, "retry-after: 7", Some(7)),
        (409, "retry-after: 7", Some(7)),
        (401, "retry-after: 7", None),
    ];
    for (status, lines, seconds) in table {
        let answer = contract().classify(Charge, &key(), &complete(status, lines, b""), now);
        assert_eq!(answer.retry_after, seconds.map(Duration::from_secs), "{status} {lines}");
    }
}

/// Bodies near the contract, which random bytes would never reach.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just(r#"{"moneyKey":"mk1"}"#.to_owned()),
        Just(r#"{"moneyKey":""}"#.to_owned()),
        Just(r#"{"moneyKey":"mk1","voucherPin":"1"}"#.to_owned()),
        Just(r#"{"result":"SUCCESS"}"#.to_owned()),
        Just(r#"{"result":"FAIL","errorCode":"CLOSED"}"#.to_owned()),
        "[A-Z_]{1,12}".prop_map(|code| format!(r#"{{"result":"FAIL","errorCode":"{code}"}}"#)),
        ".{0,40}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let name = prop_oneof![3 => Just("data"), 3 => Just("meta"), 1 => Just("x")];
    let object = prop::collection::vec((name, value), 0..4).prop_map(|fields| {
        let fields: Vec<_> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(",")).into_bytes()
    });
    prop_oneof![3 => object, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_whatever_proves_more_than_it_may(
        status in prop_oneof![2 => 100_u16..=999, 3 => prop::sample::select(&[200_u16, 201, 400, 402, 404, 409, 422, 429, 503][..])],
        lines in prop::sample::select(&["", "payout-executed: false", "payout-executed: true", PAGE, "retry-after: 5"][..]),
        noise in prop::collection::vec(any::<u8>(), 0..40),
        request in prop::sample::select(&[Charge, LookUp, Cancel][..]),
        body in body(),
    ) {
        let mut exchange = complete(status, lines, &body);
        if let (Exchange::Complete { headers, .. }, Ok(value)) = (&mut exchange, HeaderValue::from_bytes(&noise)) {
            headers.append("retry-after", value.clone());
            headers.append("x-noise", value);
        }
        let answer = classify(request, &exchange);
        let said = String::from_utf8_lossy(&body);
        match answer.verdict {
            Paid => {
                prop_assert!(answer.receipt.is_some_and(|receipt| !receipt.money_key.trim().is_empty()));
                prop_assert!(said.contains("moneyKey") && said.contains("SUCCESS") && [200, 201, 409].contains(&status));
            }
            Refused => {
                let pays = said.contains(r#""data":{"moneyKey""#);
                prop_assert!(said.contains("CLOSED") && said.contains("FAIL") && !pays);
            }
            Cancelled => prop_assert!(request == Cancel && status == 200),
            NotSeen => prop_assert!(request == LookUp && status == 404),
            NotExecuted => prop_assert!(status < 500 || (status == 503 && lines == "payout-executed: false")),
            RefusalNotListed | Executing | Unknown | KeyReused | KeyExpired | Fault => {}
        }
        prop_assert!(!answer.code.is_empty() && answer.code.len() <= 50);
        prop_assert!(answer.retry_after.is_none_or(|wait| wait <= Duration::from_secs(600)));
    }
}

//! Answers of `money`: whatever comes, nothing is taken for paid without a payment, and nothing for refused without a
//! code on the list.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pipeline::domain::CustomerUid;
use pipeline::domain::decide::Request;
use pipeline::domain::outcome::{Answer, Verdict};
use pipeline::keys::IdempotencyKey;
use pipeline::money::{BodyProblem, ConnectProblem, Contract, Exchange, Silence};
use serde::Deserialize;
use serde_json::Value;

use crate::input::Input;

const LISTED: [&str; 3] = ["CLOSED", "CUSTOMER_NOT_ELIGIBLE", "CANCELLED"];
const NAMES: [&str; 6] =
    ["content-type", "payout-executed", "retry-after", "content-encoding", "location", "set-cookie"];
const VALUES: [&str; 8] = ["application/json", "text/html", "false", "true", "5", "gzip", "identity", "soon"];
const STATUSES: [u16; 16] = [200, 201, 202, 204, 301, 400, 401, 402, 404, 409, 410, 422, 425, 429, 500, 503];
/// Most headers that are made.
const MAX_HEADERS: u8 = 5;
/// Most characters of a code, and of a message: those of their columns.
const MAX_TEXT: (usize, usize) = (50, 500);
/// Longest wait that money may ask for.
const MAX_WAIT: Duration = Duration::from_secs(600);

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let codes = LISTED.map(str::to_owned).to_vec();
    Contract::new(codes, chrono_tz::Asia::Seoul).expect("codes that may be listed")
});
static KEY: LazyLock<IdempotencyKey> = LazyLock::new(|| IdempotencyKey::new("SPRING", CustomerUid(42), 1));

/// Makes an exchange of the bytes and classifies it.
///
/// # Panics
/// When a rule is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let request = input.pick(&[Request::Charge, Request::LookUp, Request::Cancel]);
    let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let exchange = exchange(&mut input);
    let answer = CONTRACT.classify(request, &KEY, &exchange, now);
    fits_its_columns(&answer);
    match &exchange {
        Exchange::Complete { status, headers, body } => complete(request, status.as_u16(), headers, body, &answer),
        Exchange::NotConnected { .. } => {
            assert!(matches!(answer.verdict, Verdict::NotExecuted | Verdict::Fault), "{answer:?}");
        }
        Exchange::NoAnswer(_) | Exchange::HeadersOnly { .. } => assert_eq!(answer.verdict, Verdict::Unknown),
        Exchange::NotBuilt => assert_eq!(answer.verdict, Verdict::Fault),
    }
    same_whenever_it_comes(request, &exchange, &answer, now);
}

fn exchange(input: &mut Input<'_>) -> Exchange {
    let phase = input.byte();
    let status = if phase & 0x80 == 0 { input.pick(&STATUSES) } else { 100 + (input.number() % 900) as u16 };
    let status = StatusCode::from_u16(status).expect("from 100 to 999");
    match phase & 0x0f {
        0 => Exchange::NotBuilt,
        1 => Exchange::NotConnected { problem: input.pick(&ConnectProblem::ALL), detail: input.text() },
        2 => Exchange::NoAnswer(input.pick(&Silence::ALL)),
        3 => Exchange::HeadersOnly { status, headers: headers(input), problem: input.pick(&BodyProblem::ALL) },
        _ => {
            let headers = headers(input);
            Exchange::Complete { status, headers, body: Bytes::copy_from_slice(input.rest()) }
        }
    }
}

fn headers(input: &mut Input<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for _ in 0..input.byte() % (MAX_HEADERS + 1) {
        let form = input.byte();
        let name = HeaderName::from_static(input.pick(&NAMES));
        let value = if form & 1 == 0 {
            Ok(HeaderValue::from_static(input.pick(&VALUES)))
        } else {
            HeaderValue::from_bytes(input.short())
        };
        if let Ok(value) = value {
            headers.append(name, value);
        }
    }
    headers
}

/// Whether a body is exactly a payment and nothing else, with nothing that could make it unreadable.
fn pays_plainly(headers: &HeaderMap, said: &Value, body: &[u8]) -> bool {
    let only = |value: &Value, fields: usize| value.as_object().is_some_and(|object| object.len() == fields);
    let plain = |key: &str| !key.trim().is_empty() && !key.chars().any(char::is_control) && key.chars().count() <= 100;
    let said_once = serde_json::to_vec(said).is_ok_and(|text| text.len() == body.len());
    let is_json = !headers.contains_key("content-type") && !headers.contains_key("content-encoding");
    let pays = said["meta"]["result"] == "SUCCESS" && said["data"]["moneyKey"].as_str().is_some_and(plain);
    is_json && pays && said_once && only(said, 2) && only(&said["data"], 1) && only(&said["meta"], 1)
}

/// What decides in a body. Whatever stands in its other fields decides nothing, and need not be readable.
#[derive(Deserialize, Default)]
struct Said {
    meta: Meta,
}

/// The same of a payment.
#[derive(Deserialize)]
struct SaidPaid {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default, rename = "moneyKey")]
    money_key: Value,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default)]
    result: Value,
    #[serde(default, rename = "errorCode")]
    code: Value,
}

/// What the answer proves must stand in it, by another reader's account; and a payment is never taken for less than an
/// unknown outcome.
fn complete(request: Request, status: u16, headers: &HeaderMap, body: &[u8], answer: &Answer) {
    let pays = pays_plainly(headers, &serde_json::from_slice(body).unwrap_or_default(), body);
    let Said { meta: Meta { result, code } } = serde_json::from_slice(body).unwrap_or_default();
    let executed = headers.get("payout-executed").map(|value| value.as_bytes().to_ascii_lowercase());
    match answer.verdict {
        Verdict::Paid => {
            let receipt = answer.receipt.as_ref().expect("a payment has a receipt");
            assert!(result == "SUCCESS" && [200, 201, 409].contains(&status), "{answer:?}");
            let said: SaidPaid = serde_json::from_slice(body).expect("a payment is said");
            assert_eq!(said.data.money_key, receipt.money_key);
            assert!(!receipt.money_key.trim().is_empty() && receipt.money_key.chars().count() <= 100);
        }
        Verdict::Refused => {
            let listed = code.as_str().is_some_and(|code| LISTED.contains(&code));
            assert!(result == "FAIL" && listed && !pays, "{answer:?}");
        }
        Verdict::RefusalNotListed => {
            let listed = code.as_str().is_some_and(|code| LISTED.contains(&code));
            assert!(result == "FAIL" && code.is_string() && !listed, "{answer:?}");
        }
        Verdict::Cancelled => assert!(request == Request::Cancel && status == 200 && !pays, "{answer:?}"),
        Verdict::NotSeen => assert!(request == Request::LookUp && status == 404 && !pays, "{answer:?}"),
        Verdict::NotExecuted => {
            let told = status == 503 && executed.as_deref().map(<[u8]>::trim_ascii) == Some(b"false");
            assert!((told || [421, 425, 429].contains(&status)) && !pays, "{answer:?}");
        }
        Verdict::Fault => {
            assert!((300..=405).contains(&status) || (406..=511).contains(&status), "{answer:?}");
            assert!(!pays && ![408, 409, 410, 422, 429, 500, 502, 503, 504].contains(&status), "{answer:?}");
        }
        Verdict::KeyReused => assert!(status == 422 && !pays, "{answer:?}"),
        Verdict::KeyExpired => assert!(status == 410 && !pays, "{answer:?}"),
        // A look-up's 409 is believed whatever stands below it: it only means asking again.
        Verdict::Executing => {
            assert!([200, 201, 402, 409].contains(&status) && (!pays || request == Request::LookUp), "{answer:?}");
        }
        Verdict::Unknown => {}
    }
}

fn fits_its_columns(answer: &Answer) {
    assert_eq!(answer.receipt.is_some(), answer.verdict == Verdict::Paid, "{answer:?}");
    assert!(!answer.code.is_empty() && answer.code.len() <= MAX_TEXT.0, "{answer:?}");
    if let Some(message) = &answer.message {
        assert!(message.chars().count() <= MAX_TEXT.1 && !message.chars().any(char::is_control), "{answer:?}");
        assert!(!message.contains(KEY.as_str()) && !answer.code.contains(KEY.as_str()), "{answer:?}");
    }
    assert!(answer.retry_after.is_none_or(|wait| wait <= MAX_WAIT), "{answer:?}");
}

/// The clock decides about waiting, never about money.
fn same_whenever_it_comes(request: Request, exchange: &Exchange, answer: &Answer, now: SystemTime) {
    let later = CONTRACT.classify(request, &KEY, exchange, now + Duration::from_secs(86_400));
    assert_eq!((later.verdict, &later.code, &later.receipt), (answer.verdict, &answer.code, &answer.receipt));
}

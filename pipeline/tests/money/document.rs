//! docs/money.md says of each answer of `money` what the classifier makes of it.

use std::collections::BTreeSet;

use pipeline::domain::decide::Request;
use pipeline::domain::outcome::Verdict;

use super::answers::PAID;
use super::{classify, complete};

const DOCUMENT: &str = include_str!("../../../docs/money.md");
const REQUESTS: [Request; 3] = [Request::Charge, Request::LookUp, Request::Cancel];
const ANSWERS: std::ops::RangeInclusive<u16> = 200..=599;
const ACKNOWLEDGED: &str = r#"{"data":null,"meta":{"result":"SUCCESS"}}"#;

fn verdict(request: Request, status: u16, headers: &str, body: &str) -> Verdict {
    classify(request, &complete(status, headers, body.as_bytes())).verdict
}

/// The verdict that the document calls so.
fn named(name: &str) -> Verdict {
    match name {
        "paid" => Verdict::Paid,
        "refused" => Verdict::Refused,
        "not final" => Verdict::RefusalNotListed,
        "executing" => Verdict::Executing,
        "cancelled" => Verdict::Cancelled,
        "not seen" => Verdict::NotSeen,
        "not executed" => Verdict::NotExecuted,
        "key reused" => Verdict::KeyReused,
        "key forgotten" => Verdict::KeyExpired,
        "our fault" => Verdict::Fault,
        "nothing" => Verdict::Unknown,
        other => panic!("no verdict is called {other:?}"),
    }
}

/// The rows of the table with this head: the first cell, and one for each request.
fn rows(head: &str) -> Vec<(&'static str, [&'static str; 3])> {
    let table = DOCUMENT.split(head).nth(1).unwrap().split("\n\n").next().unwrap();
    let cells = |row: &'static str| {
        let [_, first, charge, look_up, cancel, _] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        (first, [charge, look_up, cancel])
    };
    table.lines().skip(2).map(cells).collect()
}

/// `404`, `405 to 407`, `3xx`, separated by commas.
fn statuses(text: &str) -> BTreeSet<u16> {
    let number = |text: &str| text.trim().parse::<u16>().unwrap();
    let part = |part: &str| match (part.split_once(" to "), part.trim().strip_suffix("xx")) {
        (Some((from, to)), _) => number(from)..=number(to),
        (None, Some(hundred)) => number(hundred) * 100..=number(hundred) * 100 + 99,
        (None, None) => number(part)..=number(part),
    };
    text.split(',').flat_map(part).collect()
}

#[test]
fn a_body_proves_at_exactly_these_statuses_what_the_document_says() {
    let rows = rows("| answer | charge | look-up | cancel |");
    assert_eq!(rows.len(), 6);
    for (answer, cells) in rows {
        let codes: Vec<&str> = match answer {
            "FAIL with a final code" => vec!["CLOSED"],
            "FAIL with another code" => vec!["OTHER"],
            _ => answer.split('`').skip(1).step_by(2).filter(|_| answer.starts_with("FAIL")).collect(),
        };
        let fail = |code: &&str| format!(r#"{{"data":null,"meta":{{"result":"FAIL","errorCode":"{code}"}}}}"#);
        let bodies = match answer {
            "SUCCESS with `moneyKey`" => vec![PAID.to_owned()],
            "SUCCESS without it" => vec![ACKNOWLEDGED.to_owned()],
            _ => codes.iter().map(fail).collect(),
        };
        assert!(!bodies.is_empty(), "{answer}");
        for ((request, cell), body) in
            REQUESTS.into_iter().zip(cells).flat_map(|pair| bodies.iter().map(move |b| (pair, b)))
        {
            let (name, told) = cell.split_once(": ").unwrap();
            let (name, told) = (named(name), statuses(told));
            let found: BTreeSet<u16> = ANSWERS.filter(|status| verdict(request, *status, "", body) == name).collect();
            // Many a status proves nothing by itself.
            let same = if name == Verdict::Unknown { found.is_superset(&told) } else { found == told };
            assert!(same, "{answer}, {request:?}: told {told:?}, found {found:?}");
        }
    }
}

#[test]
fn every_status_proves_by_itself_what_the_document_says() {
    let rows = rows("| status | charge | look-up | cancel |");
    let mut told = [[None::<Verdict>; 600]; 3];
    let mut unexecuted = Vec::new();
    for (label, cells) in &rows {
        let (plain, by_header) = label.split_once("; ").unwrap_or((label, ""));
        if let Some((status, "`Payout-Executed: false`")) = by_header.split_once(" with ") {
            unexecuted.extend(
                REQUESTS.into_iter().zip(cells).map(|(request, cell)| (request, statuses(status), named(cell))),
            );
        }
        let covered: BTreeSet<u16> = match plain {
            "any other" => ANSWERS.filter(|status| told[0][usize::from(*status)].is_none()).collect(),
            plain => statuses(plain),
        };
        for (request, cell) in told.iter_mut().zip(cells) {
            for status in &covered {
                let before = request[usize::from(*status)].replace(named(cell));
                assert_eq!(before, None, "{status} is told twice");
            }
        }
    }
    assert_eq!(unexecuted.len(), 3);
    for (request, statuses, name) in unexecuted {
        assert!(
            statuses.into_iter().all(|status| verdict(request, status, "payout-executed: false", "") == name),
            "{request:?}"
        );
    }
    for (request, told) in REQUESTS.into_iter().zip(told) {
        for status in ANSWERS {
            assert_eq!(Some(verdict(request, status, "", "")), told[usize::from(status)], "{request:?} {status}");
        }
    }
}

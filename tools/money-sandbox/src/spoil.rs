//! Carrying out faults: instead of the execution, or on its answer.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::time::sleep;

use crate::body::{Body, Cut};
use crate::contract::fail_body;
use crate::digest::Dice;
use crate::faults::{Fault, Faults};
use crate::reply::{Reply, fail};
use crate::server::json;

/// What goes wrong between client and service, in place of JSON.
const GARBAGE: [&[u8]; 6] = [
    b"",
    b"{}",
    b"null",
    b"{\"data\":{\"moneyKey\":",
    b"<html><body>upstream said something else</body></html>",
    b"\x00\xff\xfe\x80 not even text",
];

/// Faults before the execution: what happens instead of it, if anything.
pub(crate) async fn instead(fault: Fault, faults: &Faults) -> Result<Option<Reply>, Cut> {
    let (status, code) = match fault {
        Fault::FailBefore => (faults.fail_status, "INTERNAL"),
        Fault::Unavailable => (503, "UNAVAILABLE"),
        Fault::TooMany => (429, "TOO_MANY_REQUESTS"),
        Fault::Reset => return Err(Cut::Reset),
        Fault::HangBefore => {
            sleep(Duration::from_millis(faults.hang_ms)).await;
            return Err(Cut::Close);
        }
        Fault::None
        | Fault::FailAfter
        | Fault::Lose
        | Fault::HangAfter
        | Fault::Garbage
        | Fault::Truncate
        | Fault::Oversize
        | Fault::Drip
        | Fault::Late
        | Fault::Unauthorized => return Ok(None),
    };
    Ok(Some(fail(status_of(status), code, "injected")))
}

/// Faults after the execution: what becomes of the answer.
pub(crate) async fn spoil(
    fault: Fault,
    faults: &Faults,
    dice: &mut Dice,
    status: StatusCode,
    bytes: Bytes,
) -> Result<Response<Body>, Cut> {
    Ok(match fault {
        Fault::FailAfter => json(status_of(faults.fail_status), fail_body("INTERNAL", "injected")),
        // A look-up or cancel that comes late is one whose answer is lost.
        Fault::Lose | Fault::Late => return Err(Cut::Close),
        Fault::HangAfter => {
            sleep(Duration::from_millis(faults.hang_ms)).await;
            return Err(Cut::Close);
        }
        Fault::Garbage => {
            let which = (dice.bits() % GARBAGE.len() as u64) as usize;
            json(StatusCode::OK, GARBAGE[which])
        }
        Fault::Truncate => {
            let mut response = json(status, Bytes::new());
            *response.body_mut() = Body::truncated(bytes);
            response
        }
        Fault::Oversize => {
            let mut padded = bytes.to_vec();
            padded.resize(faults.oversize_bytes.max(padded.len()), b' ');
            json(status, padded)
        }
        Fault::Drip => {
            let mut response = json(status, Bytes::new());
            let pause = Duration::from_millis(faults.drip_ms);
            *response.body_mut() = Body::dripping(bytes, pause);
            response
        }
        Fault::None
        | Fault::FailBefore
        | Fault::Unavailable
        | Fault::TooMany
        | Fault::Reset
        | Fault::HangBefore
        | Fault::Unauthorized => json(status, bytes),
    })
}

fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

//! Answers on their way out.

use bytes::Bytes;
use http::StatusCode;

use crate::contract::fail_body;

/// A status and a JSON body.
pub(crate) type Reply = (StatusCode, Bytes);

pub(crate) fn fail(status: StatusCode, code: &str, message: &str) -> Reply {
    (status, fail_body(code, message))
}

pub(crate) fn invalid(code: &str, message: &str) -> Reply {
    fail(StatusCode::BAD_REQUEST, code, message)
}

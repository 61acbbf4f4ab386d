//! What a request asks for, by its method and path.

use std::borrow::Cow;

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::contract::MAX_KEY_BYTES;
use crate::reply::{Reply, fail, invalid};

/// What a path under the contract's prefix asks for.
pub(crate) enum Asked<'a> {
    Charge { kind: &'a str },
    Lookup { key: Cow<'a, str> },
    Cancel { key: Cow<'a, str> },
}

/// Reads method and path (without the prefix).
pub(crate) fn asked<'a>(method: &Method, path: &'a str) -> Result<Asked<'a>, Reply> {
    let nowhere = || fail(StatusCode::NOT_FOUND, "NO_SUCH_PATH", "not a path of this service");
    let wrong_method = || fail(StatusCode::METHOD_NOT_ALLOWED, "WRONG_METHOD", "not a method of this path");
    let mut parts = path.split('/');
    let (first, second, third) = (parts.next(), parts.next(), parts.next());
    if parts.next().is_some() {
        return Err(nowhere());
    }
    let (needs, asked) = match (first, second, third) {
        (Some("charges"), Some(key), None) => (Method::GET, Asked::Lookup { key: decode(key)? }),
        (Some("charges"), Some(key), Some("cancel")) => (Method::POST, Asked::Cancel { key: decode(key)? }),
        (Some(kind), Some("charge"), None) if is_type(kind) => (Method::POST, Asked::Charge { kind }),
        _ => return Err(nowhere()),
    };
    if *method == needs { Ok(asked) } else { Err(wrong_method()) }
}

fn is_type(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn decode(key: &str) -> Result<Cow<'_, str>, Reply> {
    let key = percent_decode_str(key).decode_utf8().map_err(|_| invalid("INVALID_KEY", "the key is not UTF-8"))?;
    checked(&key)?;
    Ok(key)
}

/// Refuses keys that no client should send.
pub(crate) fn checked(key: &str) -> Result<(), Reply> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES || key.chars().any(char::is_control) {
        return Err(invalid("INVALID_KEY", "the key is empty, too long or not printable"));
    }
    Ok(())
}

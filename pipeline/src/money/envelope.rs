//! The JSON around every answer: `{"data": …, "meta": {"result": …}}`, read strictly.
//!
//! What decides about money must be said exactly once and in the right type: repeated fields, a FAIL that
//! names a payment, text that is no UTF-8 or nests deeper than any answer does make the whole body
//! unreadable. What does not decide (a voucher's details) is dropped where it cannot be read.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::outcome::{Pin, Receipt};

/// Nesting of the deepest body that is read; the contract's has two levels.
const MAX_DEPTH: usize = 16;
/// `transaction_key VARCHAR(100)`.
const MAX_MONEY_KEY_CHARS: usize = 100;
/// `voucher_code VARCHAR(50)`.
const MAX_VOUCHER_CODE_CHARS: usize = 50;
/// What fits `voucher_pin VARBINARY(128)` when it is encrypted.
const MAX_VOUCHER_PIN_BYTES: usize = 64;

/// What a body says.
#[derive(Debug)]
pub(super) enum Content {
    /// SUCCESS with a payment; `dropped` names a voucher field that could not be read.
    Paid { receipt: Receipt, dropped: Option<&'static str> },
    /// FAIL with a code.
    Declined { code: String, message: Option<String> },
    /// SUCCESS without a payment.
    Acknowledged,
    /// There is no body.
    Empty,
    /// Anything else, with a code that says what.
    Unreadable(&'static str),
}

impl Content {
    /// Reads a whole body.
    pub(super) fn read(headers: &HeaderMap, body: &[u8], time_zone: chrono_tz::Tz) -> Self {
        if body.is_empty() {
            return Self::Empty;
        }
        if !is_json(headers) {
            return Self::Unreadable("NOT_JSON_TYPE");
        }
        let Ok(text) = std::str::from_utf8(body) else { return Self::Unreadable("NOT_UTF8") };
        if is_deeper_than(text, MAX_DEPTH) {
            return Self::Unreadable("JSON_TOO_DEEP");
        }
        match Envelope::read(text) {
            Some(envelope) => envelope.content(time_zone),
            None => Self::Unreadable("MALFORMED_ANSWER"),
        }
    }
}

/// Whether the headers allow for plain JSON: no type, or one that is JSON, and no encoding.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let json = match (types.next(), types.next()) {
        (None, _) => true,
        (Some(_), Some(_)) => false,
        (Some(only), None) => {
            let essence = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
            let essence = essence.to_ascii_lowercase();
            essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
        }
    };
    let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    json && headers.get_all(CONTENT_ENCODING).iter().all(plain)
}

/// Counts brackets outside strings. On text that is not JSON it may count wrongly, which its parser then finds.
fn is_deeper_than(text: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

/// The fields of one JSON object, each once.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A field's name, borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(4);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    if fields.len() == MAX_FIELDS || fields.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("a field is repeated, or there are too many"));
                    }
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Most fields of an object: keeps the search for repeated ones short.
const MAX_FIELDS: usize = 64;

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The field, where it is there and not null.
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        let field = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        field.filter(|value| value.get() != "null")
    }
}

/// The field as text: `None` where it is something else.
fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The two parts of an answer.
struct Envelope<'a> {
    data: Option<Fields<'a>>,
    meta: Fields<'a>,
}

impl<'a> Envelope<'a> {
    fn read(body: &'a str) -> Option<Self> {
        let whole = Fields::read(body)?;
        let meta = Fields::read(whole.get("meta")?.get())?;
        let data = match whole.get("data") {
            None => None,
            Some(data) => Some(Fields::read(data.get())?),
        };
        Some(Self { data, meta })
    }

    fn content(&self, time_zone: chrono_tz::Tz) -> Content {
        let result = self.meta.get("result").and_then(text);
        let error_code = self.meta.get("errorCode");
        match (result.as_deref(), &self.data, error_code) {
            (Some("SUCCESS"), _, Some(_)) => Content::Unreadable("SUCCESS_WITH_ERROR_CODE"),
            (Some("SUCCESS"), Some(data), None) => payment(data, time_zone),
            (Some("SUCCESS"), None, None) => Content::Acknowledged,
            (Some("FAIL"), Some(data), _) if !data.0.is_empty() => Content::Unreadable("FAIL_WITH_DATA"),
            (Some("FAIL"), _, code) => match code.and_then(text).filter(|code| !code.trim().is_empty()) {
                Some(code) => Content::Declined { code, message: self.meta.get("message").and_then(text) },
                None => Content::Unreadable("FAIL_WITHOUT_CODE"),
            },
            (Some(_), _, _) => Content::Unreadable("UNKNOWN_RESULT"),
            (None, _, _) => Content::Unreadable("NO_RESULT"),
        }
    }
}

/// SUCCESS with data: a payment, if it has a key.
fn payment(data: &Fields<'_>, time_zone: chrono_tz::Tz) -> Content {
    let Some(money_key) = data.get("moneyKey") else { return Content::Acknowledged };
    let Some(money_key) = text(money_key).filter(|key| is_plain(key, MAX_MONEY_KEY_CHARS)) else {
        return Content::Unreadable("BAD_MONEY_KEY");
    };
    let mut dropped = None;
    let mut optional = |name: &'static str, is_good: &dyn Fn(&str) -> bool| {
        let field = data.get(name)?;
        let good = text(field).filter(|value| is_good(value));
        if good.is_none() {
            dropped = Some(name);
        }
        good
    };
    let voucher_code = optional("voucherCode", &|code| is_plain(code, MAX_VOUCHER_CODE_CHARS));
    let voucher_pin =
        optional("voucherPin", &|pin| is_plain(pin, MAX_VOUCHER_PIN_BYTES) && pin.len() <= MAX_VOUCHER_PIN_BYTES);
    let voucher_expiry = optional("voucherExpiryAt", &|at| local_time(at, time_zone).is_some());
    let voucher_expiry_at = voucher_expiry.and_then(|at| local_time(&at, time_zone));
    let receipt = Receipt { money_key, voucher_code, voucher_pin: voucher_pin.map(Pin), voucher_expiry_at };
    Content::Paid { receipt, dropped }
}

/// Not blank, no control characters, and short enough for its column.
fn is_plain(text: &str, max_chars: usize) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control) && text.chars().count() <= max_chars
}

/// `yyyy-MM-dd HH:mm:ss`, the same with `T`, a fraction of a second, and an offset or `Z` (converted to the
/// zone), or a date alone (its last second: a voucher is good for the whole of its last day).
fn local_time(text: &str, time_zone: chrono_tz::Tz) -> Option<NaiveDateTime> {
    let is_dated = text.is_ascii() && text.as_bytes().get(4) == Some(&b'-') && text.len() <= 35;
    let four_digits = text.bytes().take(4).all(|byte| byte.is_ascii_digit());
    if !is_dated || !four_digits {
        return None;
    }
    let with_offset = |format: &str| DateTime::<FixedOffset>::parse_from_str(text, format).ok();
    let at = if text.len() == 10 {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::from_hms_opt(23, 59, 59)?)
    } else if let Some(at) = DateTime::parse_from_rfc3339(text).ok().or_else(|| with_offset("%Y-%m-%dT%H:%M:%S%.f%z")) {
        at.with_timezone(&time_zone).naive_local()
    } else {
        let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
        formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?
    };
    // DATETIME holds whole seconds of the years 1000 to 9999; a leap second's 60 chrono keeps in the fraction.
    (1000..=9999).contains(&at.year()).then(|| at.with_nanosecond(0)).flatten()
}

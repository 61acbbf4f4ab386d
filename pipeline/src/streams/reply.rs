//! Takes replies apart, without copying what they carry.

use redis::Value;

use super::StreamsError;
use crate::domain::EntryId;

/// A value that is not an error.
pub(super) fn ok(value: Value) -> Result<Value, StreamsError> {
    match value {
        Value::ServerError(error) => Err(error.into()),
        other => Ok(other),
    }
}

pub(super) fn array(value: Value) -> Result<Vec<Value>, StreamsError> {
    match ok(value)? {
        Value::Array(items) => Ok(items),
        _ => Err(StreamsError::unexpected("no array")),
    }
}

/// An array of exactly `N` values.
pub(super) fn tuple<const N: usize>(value: Value) -> Result<[Value; N], StreamsError> {
    array(value)?.try_into().map_err(|_| StreamsError::unexpected("an array of another length"))
}

/// Alternating names and values, as XINFO and HGETALL give them.
pub(super) fn pairs(value: Value) -> Result<impl Iterator<Item = (String, Value)>, StreamsError> {
    let mut items = array(value)?.into_iter();
    Ok(std::iter::from_fn(move || {
        let name = text(items.next()?).ok()?;
        Some((name, items.next()?))
    }))
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>, StreamsError> {
    match ok(value)? {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::Okay => Ok(b"OK".to_vec()),
        Value::Int(number) => Ok(number.to_string().into_bytes()),
        _ => Err(StreamsError::unexpected("no text")),
    }
}

pub(super) fn text(value: Value) -> Result<String, StreamsError> {
    String::from_utf8(bytes(value)?).map_err(|_| StreamsError::unexpected("text that is not UTF-8"))
}

/// A text, or nothing where the reply is nil or empty.
pub(super) fn optional_text(value: Value) -> Result<Option<String>, StreamsError> {
    match ok(value)? {
        Value::Nil => Ok(None),
        other => Ok(Some(text(other)?).filter(|text| !text.is_empty())),
    }
}

/// A number that is not negative, as an integer or in decimal text.
pub(super) fn number(value: Value) -> Result<u64, StreamsError> {
    match ok(value)? {
        Value::Int(number) => u64::try_from(number).map_err(|_| StreamsError::unexpected("a negative number")),
        other => {
            let text = text(other)?;
            text.parse().map_err(|_| StreamsError::Refused(format!("BADCOUNT {text:?} is not a count")))
        }
    }
}

/// A counter; a field that is not there is 0.
pub(super) fn counter(value: Value) -> Result<u64, StreamsError> {
    match optional_text(value)? {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| StreamsError::Refused(format!("BADCOUNT {text:?} is not a count"))),
    }
}

pub(super) fn id(value: Value) -> Result<EntryId, StreamsError> {
    let Value::BulkString(bytes) = ok(value)? else { return Err(StreamsError::unexpected("no entry id")) };
    parse_id(&bytes).ok_or_else(|| StreamsError::unexpected("no entry id"))
}

pub(super) fn optional_id(value: Value) -> Result<Option<EntryId>, StreamsError> {
    match value {
        Value::BulkString(bytes) if bytes.is_empty() => Ok(None),
        Value::Nil => Ok(None),
        other => id(other).map(Some),
    }
}

fn parse_id(bytes: &[u8]) -> Option<EntryId> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (first, second) = text.split_once('-')?;
    Some(EntryId { first: first.parse().ok()?, second: second.parse().ok()? })
}

/// `[id, [field, value, ...]]` of a stream: the value of field `d`. `None` where the entry was deleted; empty, and so
/// undecodable, where somebody else wrote other fields.
pub(super) fn entry(value: Value) -> Result<(EntryId, Option<Vec<u8>>), StreamsError> {
    let [entry_id, fields] = tuple(value)?;
    let entry_id = id(entry_id)?;
    let Value::Array(fields) = fields else { return Ok((entry_id, None)) };
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        if matches!(&name, Value::BulkString(name) if name == b"d") {
            return Ok((entry_id, Some(bytes(value)?)));
        }
    }
    Ok((entry_id, Some(Vec::new())))
}

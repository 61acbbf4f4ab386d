//! Records from streams: the size is looked at before anything is decoded, the version before anything else, and
//! nothing may stand behind a record.

use pipeline::domain::{PromotionId, TargetId};
use pipeline::record::{DeadLetter, MAX_BYTES, Record, RecordError, VERSION};

use crate::input::Input;

/// Decodes the bytes as they are, and then a record made of them.
///
/// # Panics
/// When a rule is broken.
pub fn run(data: &[u8]) {
    match Record::decode(data) {
        Ok(record) => decoded(&record, data),
        Err(RecordError::TooLong(length)) => assert!(length == data.len() && length > MAX_BYTES),
        Err(RecordError::LaterVersion(version)) => {
            assert!(version > u64::from(VERSION) && version_by_another_reader(data) == Some(version));
        }
        Err(RecordError::Malformed(why)) => assert!(data.len() <= MAX_BYTES && !why.is_empty()),
    }
    if let Ok(letter) = DeadLetter::decode(data) {
        assert_eq!(DeadLetter::decode(&letter.encode()).as_ref(), Ok(&letter));
    }
    made_of(data);
}

/// There is one form of each record; with anything behind it, or a later version in front, it is none.
fn decoded(record: &Record, data: &[u8]) {
    assert!(data.len() <= MAX_BYTES && version_by_another_reader(data) == Some(u64::from(VERSION)));
    assert_eq!(record.encode(), data, "another form of the same record");
    let mut longer = data.to_vec();
    longer.push(data.first().copied().unwrap_or_default());
    assert!(matches!(Record::decode(&longer), Err(RecordError::Malformed(_) | RecordError::TooLong(_))));
    let mut later = data.to_vec();
    later[1] = VERSION + 1;
    assert_eq!(Record::decode(&later), Err(RecordError::LaterVersion(u64::from(VERSION) + 1)));
}

/// What a record says is read back, unless it is too long to be one.
fn made_of(data: &[u8]) {
    let mut input = Input::new(data);
    let record = Record {
        promotion: PromotionId(input.number().cast_signed()),
        target: TargetId(input.number().cast_signed()),
        published_at_ms: input.number().cast_signed(),
        kind: String::from_utf8_lossy(input.rest()).into_owned(),
    };
    let bytes = record.encode();
    match Record::decode(&bytes) {
        Ok(read) => assert_eq!(read, record),
        Err(error) => assert!(bytes.len() > MAX_BYTES, "{error}"),
    }
}

/// The first element of an array, read by the library that the product does not use for it.
fn version_by_another_reader(mut data: &[u8]) -> Option<u64> {
    rmp::decode::read_array_len(&mut data).ok().filter(|length| *length > 0)?;
    rmp::decode::read_int(&mut data).ok()
}

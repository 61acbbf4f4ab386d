//! What a stream entry carries: a reference to a target, and nothing about the person or the money.
//!
//! MessagePack array `[version, type, promotion, target, published_at]`, some 30 bytes. The version comes
//! first and is read first, so that a later version is told from garbage: it is left alone until this
//! binary has been replaced, while garbage is quarantined.

use serde::{Deserialize, Serialize};

use crate::domain::{PromotionId, TargetId};

/// The version that this binary writes, and the newest it reads.
pub const VERSION: u8 = 1;
/// Longest record that is decoded at all; ours are a tenth of it.
pub const MAX_BYTES: usize = 512;

/// Reference to a target on its way through the stages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Code of the payout type, which names the tables.
    pub kind: String,
    /// The promotion.
    pub promotion: PromotionId,
    /// The target.
    pub target: TargetId,
    /// When it was published, in milliseconds since the Unix epoch.
    pub published_at_ms: i64,
}

/// A final failure, or a quarantined entry whose row waits for a person, for subscribers of a partition's dead-letter
/// stream. Delivered at least once: target and generation tell repeats.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Always [`VERSION`].
    pub version: u8,
    /// Code of the payout type.
    pub kind: String,
    /// The promotion.
    pub promotion: PromotionId,
    /// The target.
    pub target: TargetId,
    /// Generation of the key that failed.
    pub generation: u32,
    /// Attempts made.
    pub attempts: u32,
    /// Why: an errorCode of `money` or one of ours; of a quarantined entry `UNDECODABLE` or `CRASHES_CONSUMER`.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch.
    pub failed_at_ms: i64,
}

/// Why bytes are not a record.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// Longer than any record; not decoded.
    #[error("a record has at most {MAX_BYTES} bytes, this has {0}")]
    TooLong(usize),
    /// Written by a later version of the product. Leave it alone: a newer binary can read it.
    #[error("a record of version {0}, and this binary reads up to {VERSION}")]
    LaterVersion(u64),
    /// Anything else.
    #[error("not a record: {0}")]
    Malformed(String),
}

#[derive(Serialize, Deserialize)]
struct Version1<'a>(u8, &'a str, PromotionId, TargetId, i64);

impl Record {
    /// The bytes that are published.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(40);
        self.encode_into(&mut bytes);
        bytes
    }

    /// Appends the bytes that are published.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let record = Version1(VERSION, &self.kind, self.promotion, self.target, self.published_at_ms);
        rmp_serde::encode::write(bytes, &record).expect("a record is numbers and a short text, written to memory");
    }

    /// Reads what was published: size first, then version, then the rest, and nothing behind it.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_BYTES {
            return Err(RecordError::TooLong(bytes.len()));
        }
        let version = peek_version(bytes)?;
        if version > u64::from(VERSION) {
            return Err(RecordError::LaterVersion(version));
        }
        let mut rest = rmp_serde::Deserializer::from_read_ref(bytes);
        let Version1(version, kind, promotion, target, published_at_ms) =
            Version1::deserialize(&mut rest).map_err(|error| RecordError::Malformed(error.to_string()))?;
        let record = Self { kind: kind.to_owned(), promotion, target, published_at_ms };
        if version != VERSION || record.encode() != bytes {
            return Err(RecordError::Malformed("version 0, bytes behind the record, or another form of it".into()));
        }
        Ok(record)
    }
}

/// The first element of the array, when it is a non-negative number in MessagePack's forms.
fn peek_version(bytes: &[u8]) -> Result<u64, RecordError> {
    let malformed = || RecordError::Malformed("no array with a version in front".into());
    let (&first, rest) = bytes.split_first().ok_or_else(malformed)?;
    let after_header = match first {
        0x91..=0x9f => rest,
        0xdc if !rest.starts_with(&[0, 0]) => rest.get(2..).ok_or_else(malformed)?,
        _ => return Err(malformed()),
    };
    let number = |width: usize| -> Result<u64, RecordError> {
        let bytes = after_header.get(1..=width).ok_or_else(malformed)?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    match after_header.first() {
        Some(&small @ 0..=0x7f) => Ok(u64::from(small)),
        Some(0xcc) => number(1),
        Some(0xcd) => number(2),
        Some(0xce) => number(4),
        Some(0xcf) => number(8),
        _ => Err(malformed()),
    }
}

impl DeadLetter {
    /// The bytes of a dead-letter entry.
    pub fn encode(&self) -> Vec<u8> {
        rmp_serde::to_vec(self).expect("a dead letter is numbers and short texts, written to memory")
    }

    /// Reads a dead-letter entry.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        rmp_serde::from_slice(bytes).map_err(|error| RecordError::Malformed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> Record {
        Record {
            kind: "POINT".into(),
            promotion: PromotionId(17),
            target: TargetId(1 << 60),
            published_at_ms: 1_790_000_000_000,
        }
    }

    #[test]
    fn a_record_is_a_reference_of_some_forty_bytes() {
        assert!(record().encode().len() <= 40, "{}", record().encode().len());
        assert_eq!(Record::decode(&record().encode()), Ok(record()));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = record().encode();
        bytes.push(0);
        assert!(matches!(Record::decode(&bytes), Err(RecordError::Malformed(_))));
    }

    #[test]
    fn a_later_version_is_told_from_garbage_whatever_follows_it() {
        for version in [&[2_u8][..], &[0xcc, 200], &[0xcd, 1, 0], &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]] {
            let mut bytes = vec![0x97];
            bytes.extend_from_slice(version);
            bytes.extend_from_slice(b"\xa3new");
            assert!(matches!(Record::decode(&bytes), Err(RecordError::LaterVersion(_))), "{bytes:?}");
        }
        for garbage in [b"\x95\xff".as_slice(), b"\xdc\x00\x00\x02", b"\x90\x02"] {
            assert!(matches!(Record::decode(garbage), Err(RecordError::Malformed(_))), "{garbage:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_decoded() {
        assert_eq!(Record::decode(&vec![0x91; MAX_BYTES + 1]), Err(RecordError::TooLong(MAX_BYTES + 1)));
    }

    proptest! {
        #[test]
        fn any_record_round_trips(kind in "[A-Z][A-Z0-9_]{0,19}", promotion: i64, target: i64, published_at_ms: i64) {
            let record = Record { kind, promotion: PromotionId(promotion), target: TargetId(target), published_at_ms };
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }
    }
}

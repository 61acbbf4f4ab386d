//! Identifiers, each its own type so that none can stand in for another.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `campaign_promotions.promotion_id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromotionId(pub i64);

/// `campaign_promotion_summary.promotion_summary_id`; names the public hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SummaryId(pub i64);

/// Primary key of a target in the target table of its payout type, and the first part of the id of
/// its stream entry. May exceed 2^53, so no script may treat it as a Lua number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetId(pub i64);

/// `payout_retry_plans.plan_id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub i64);

/// The customer who is paid. Personal data: never in a record, a metric or a log line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerUid(pub i64);

/// One partition of one promotion: the unit of publishing, of atomic scripts and of rebuilding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Partition {
    /// The promotion.
    pub promotion: PromotionId,
    /// `partition_key`, from 0 to `partition_count` − 1.
    pub number: u32,
}

/// Id of a stream entry, `<first>-<second>`.
///
/// `first` is the target id for an entry that the dispatcher published (`second` is then 0). A rebuilt
/// entry stands behind the last published one: its first part repeats that id, its second is a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryId {
    /// Part before the dash.
    pub first: u64,
    /// Part behind the dash.
    pub second: u64,
}

impl EntryId {
    /// The id that a stream has before anything was added.
    pub const ZERO: Self = Self { first: 0, second: 0 };

    /// The id under which the dispatcher publishes `target`.
    pub fn published(target: TargetId) -> Self {
        Self { first: target.0.unsigned_abs(), second: 0 }
    }

    /// The target that an entry names by its id alone, when the dispatcher published it.
    pub fn target(self) -> Option<TargetId> {
        (self.second == 0).then(|| i64::try_from(self.first).ok().map(TargetId)).flatten()
    }
}

/// Text that is not an entry id.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a stream entry id of the form <number>-<number>")]
pub struct NotAnEntryId(String);

impl FromStr for EntryId {
    type Err = NotAnEntryId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || -> Result<Option<Self>, ParseIntError> {
            let Some((first, second)) = text.split_once('-') else { return Ok(None) };
            Ok(Some(Self { first: first.parse()?, second: second.parse()? }))
        };
        parse().ok().flatten().ok_or_else(|| NotAnEntryId(text.to_owned()))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.second)
    }
}

impl fmt::Display for PromotionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SummaryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.promotion, self.number)
    }
}

/// Debug output ends in logs, and a customer has no place there.
impl fmt::Debug for CustomerUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerUid(…)")
    }
}

/// `MOD(CRC32(CONCAT(promotion_id, customer_uid)), partition_count)`, byte for byte what the SQL
/// expression gives on the server (both sides hash the decimal text in ASCII).
///
/// # Panics
/// When `partition_count` is 0; the loader and the store refuse such a promotion.
pub fn partition_key(promotion: PromotionId, customer: CustomerUid, partition_count: u32) -> u32 {
    crc32fast::hash(format!("{}{}", promotion.0, customer.0).as_bytes()) % partition_count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_ids_round_trip_and_keep_their_order() {
        let id: EntryId = "9007199254740993-17".parse().unwrap();
        assert_eq!(id, EntryId { first: 9_007_199_254_740_993, second: 17 });
        assert_eq!(id.to_string(), "9007199254740993-17");
        assert!("9-9".parse::<EntryId>().unwrap() < "10-0".parse().unwrap());
        for bad in ["", "1", "1-", "-1", "1-2-3", "a-b", "1-18446744073709551616"] {
            assert!(bad.parse::<EntryId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_published_entry_names_its_target_by_its_id() {
        assert_eq!(EntryId::published(TargetId(7)).target(), Some(TargetId(7)));
        assert_eq!(EntryId { first: 7, second: 1 }.target(), None);
        assert_eq!(EntryId { first: u64::MAX, second: 0 }.target(), None);
    }

    #[test]
    fn the_partition_is_the_crc32_of_the_concatenated_decimal_texts() {
        // CRC-32 (IEEE) of "123456789" is 3421780262.
        assert_eq!(partition_key(PromotionId(1), CustomerUid(23_456_789), 1 << 31), 3_421_780_262 % (1 << 31));
        assert_eq!(partition_key(PromotionId(1), CustomerUid(2), 1), 0);
    }
}

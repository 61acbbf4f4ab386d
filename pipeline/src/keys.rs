//! Every Redis key, group and consumer name, and the idempotency key, in one place.

use std::fmt;

use crate::domain::{CustomerUid, Partition, SummaryId};

/// The one consumer group on a targets stream.
pub const GROUP: &str = "payers";
/// Consumer that owns entries which wait for their next attempt.
pub const RETRY: &str = "retry";
/// Consumer that owns entries which wait for a person.
pub const HELD: &str = "held";
/// When the next request to `money` may be sent: shared by all replicas.
pub const LIMITER: &str = "money:{limiter}";
/// The circuit breaker: shared by all replicas.
pub const BREAKER: &str = "money:{breaker}";

/// Stream of a partition: entry id `<target_id>-0`, one field `d` with a [`crate::record::Record`].
pub fn targets(partition: Partition) -> String {
    format!("promo:{{{partition}}}:targets")
}

/// Hash of a partition: its published and settled counts.
pub fn counts(partition: Partition) -> String {
    format!("promo:{{{partition}}}:counts")
}

/// Stream of a partition's final failures, for subscribers.
pub fn dead(partition: Partition) -> String {
    format!("promo:{{{partition}}}:dead")
}

/// The public roll-up of a promotion. In the documents' `campaign_promotion_summary:{id}` the braces
/// stand for the number; they are not part of the key.
pub fn summary(summary: SummaryId) -> String {
    format!("campaign_promotion_summary:{summary}")
}

/// Lease on a consumer name: its value is the token of the process that uses the name.
pub fn consumer_lease(consumer: &str) -> String {
    format!("payout:consumer:{consumer}")
}

/// Hash in which a process of a stage says that it runs, and with which configuration. It has a TTL, and nobody
/// decides anything by it: for `doctor`.
pub fn replica(stage: &str, name: &str, process: u32) -> String {
    format!("payout:replica:{stage}:{name}:{process}")
}

/// Matches every key of [`replica`].
pub const REPLICAS: &str = "payout:replica:*";

/// `Idempotency-Key`: `{campaign_code}_{customer_uid}`, and `.g2` and so on behind it for the later
/// generations that only an operator's requeue begins. The dot cannot occur in a campaign code, so no
/// two keys can meet. It names a person: [`fmt::Debug`] hides it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key of a customer in a campaign; generations count from 1.
    pub fn new(campaign_code: &str, customer: CustomerUid, generation: u32) -> Self {
        match generation {
            0 | 1 => Self(format!("{campaign_code}_{}", customer.0)),
            later => Self(format!("{campaign_code}_{}.g{later}", customer.0)),
        }
    }

    /// The key as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the keys of all generations begin with: the first one's key.
    pub fn first_generation(&self) -> &str {
        match self.0.rsplit_once(".g") {
            Some((first, generation)) if generation.bytes().all(|byte| byte.is_ascii_digit()) => first,
            _ => &self.0,
        }
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PromotionId;

    #[test]
    fn all_keys_of_a_partition_share_a_hash_tag() {
        let partition = Partition { promotion: PromotionId(17), number: 3 };
        assert_eq!(targets(partition), "promo:{17:3}:targets");
        assert_eq!(counts(partition), "promo:{17:3}:counts");
        assert_eq!(dead(partition), "promo:{17:3}:dead");
        assert_eq!(summary(SummaryId(5)), "campaign_promotion_summary:5");
    }

    #[test]
    fn the_first_generation_has_the_plain_key() {
        let key = |generation| IdempotencyKey::new("SPRING", CustomerUid(42), generation).as_str().to_owned();
        assert_eq!(key(1), "SPRING_42");
        assert_eq!(key(2), "SPRING_42.g2");
        let first =
            |code, generation| IdempotencyKey::new(code, CustomerUid(42), generation).first_generation().to_owned();
        assert_eq!([first("SPRING", 1), first("SPRING", 12), first("A.g2", 1)], ["SPRING_42", "SPRING_42", "A.g2_42"]);
        assert_eq!(format!("{:?}", IdempotencyKey::new("SPRING", CustomerUid(42), 1)), "IdempotencyKey(…)");
    }
}

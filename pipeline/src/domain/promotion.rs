//! A promotion and its states.

use std::sync::Arc;

use chrono::NaiveDateTime;

use super::{Amount, Partition, PayoutType, PromotionId, SummaryId};

/// `campaign_promotions.promotion_status`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PromotionStatus {
    /// Targets are still being loaded. The loader moves it to READY when it seals the load.
    Loading,
    /// Waits for its reservation. The dispatcher moves it to IN_PROGRESS, an operator to STOPPED.
    Ready,
    /// Being paid. The summarizer moves it to COMPLETED, an operator to STOPPED, a system failure to FAILED.
    InProgress,
    /// Every target has a final result. An operator's requeue moves it back to IN_PROGRESS.
    Completed,
    /// Stopped by hand. An operator moves it to IN_PROGRESS, or to READY when it had never started.
    Stopped,
    /// The system gave up. An operator moves it to IN_PROGRESS, or to READY when it had never started.
    Failed,
}

impl PromotionStatus {
    /// All of them, in the order of a promotion's life.
    pub const ALL: [Self; 6] =
        [Self::Loading, Self::Ready, Self::InProgress, Self::Completed, Self::Stopped, Self::Failed];

    /// The code in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::Loading => "LOADING",
            Self::Ready => "READY",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
        }
    }

    /// The status with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

/// What a running promotion is, as far as paying its targets needs it.
#[derive(Clone, Debug)]
pub struct Promotion {
    /// Its id.
    pub id: PromotionId,
    /// Its summary row, which names the public hash.
    pub summary: SummaryId,
    /// First part of every idempotency key of its targets.
    pub campaign_code: Arc<str>,
    /// What is paid.
    pub kind: Arc<PayoutType>,
    /// Where it stands.
    pub status: PromotionStatus,
    /// Targets in all, set when the load was sealed.
    pub total_count: u64,
    /// Money in all, set when the load was sealed.
    pub total_amount: Amount,
    /// Number of its partitions, at least 1.
    pub partition_count: u32,
    /// Not before this time, in the configured zone.
    pub reservation_at: Option<NaiveDateTime>,
    /// Lower goes first among promotions due at the same time.
    pub reservation_priority: Option<i32>,
    /// What a target without its own gets.
    pub defaults: Defaults,
}

/// Used where a target has none of its own. Frozen once the promotion is READY, because an idempotency
/// key must always go with the same body.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// For `amount`.
    pub amount: Option<Amount>,
    /// For `reason`.
    pub reason: Option<Arc<str>>,
    /// For `expired_at`; its date is sent.
    pub expiry_at: Option<NaiveDateTime>,
}

impl Promotion {
    /// Its partitions, in order.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        let promotion = self.id;
        (0..self.partition_count).map(move |number| Partition { promotion, number })
    }
}

/// Most partitions a promotion may have: all of them are read by one command of each payer.
pub const MAX_PARTITIONS: u32 = 64;

/// Whether a campaign code may stand in an idempotency key: `[A-Za-z0-9_-]{1,50}`.
pub fn is_campaign_code(code: &str) -> bool {
    (1..=50).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_found_by_its_code() {
        for status in PromotionStatus::ALL {
            assert_eq!(PromotionStatus::from_code(status.code()), Some(status));
        }
        assert_eq!(PromotionStatus::from_code("RUNNING"), None);
    }

    #[test]
    fn a_campaign_code_holds_nothing_that_could_make_two_keys_meet() {
        assert!(is_campaign_code("SPRING-2026_a"));
        for bad in ["", "a.b", "a b", "é", "a/b", &"x".repeat(51)] {
            assert!(!is_campaign_code(bad), "{bad}");
        }
    }
}

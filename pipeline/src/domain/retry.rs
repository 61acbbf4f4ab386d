//! When a parked entry is due.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::TargetId;

/// Exponential backoff with factor 2 and a jitter that depends on the target and the attempt alone, so
/// that every replica computes the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// Wait before the first retry.
    pub base: Duration,
    /// Longest wait.
    pub cap: Duration,
}

impl Backoff {
    /// How long an entry with this retry count stays parked: between 75 % and 100 % of `base × 2^retry_count`,
    /// at most `cap`.
    pub fn delay(self, target: TargetId, retry_count: u32) -> Duration {
        self.delay_of(target.0, retry_count)
    }

    /// The same for anything else that has an id.
    pub fn delay_of(self, id: i64, retry_count: u32) -> Duration {
        let full = self.full(retry_count);
        let mut seed = [0; 12];
        seed[..8].copy_from_slice(&id.to_le_bytes());
        seed[8..].copy_from_slice(&retry_count.to_le_bytes());
        let jitter = crc32fast::hash(&seed) % 256;
        full - full / 1024 * jitter
    }

    /// The least retry count of a range at which an entry stays parked for `wait`, whatever its jitter; its end where
    /// none does.
    pub fn count_for(self, wait: Duration, counts: RangeInclusive<u32>) -> u32 {
        let most = *counts.end();
        counts.into_iter().find(|count| self.full(*count) / 4 * 3 >= wait).unwrap_or(most)
    }

    fn full(self, retry_count: u32) -> Duration {
        self.base.saturating_mul(1_u32.checked_shl(retry_count.min(30)).unwrap_or(u32::MAX)).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_its_cap_with_a_jitter_of_a_quarter() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };
        for (retry_count, full) in [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (31, 60), (u32::MAX, 60)] {
            for target in 1..200 {
                let delay = backoff.delay(TargetId(target), retry_count);
                assert!(delay <= Duration::from_secs(full) && delay >= Duration::from_secs(full) * 3 / 4, "{delay:?}");
                assert_eq!(delay, backoff.delay(TargetId(target), retry_count));
            }
        }
    }

    #[test]
    fn a_count_is_found_that_waits_as_long_as_money_asks() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };
        for (wait, counts, count) in
            [(0, 0..=5, 0), (0, 2..=7, 2), (1, 0..=5, 1), (3, 0..=5, 2), (4, 0..=5, 3), (24, 0..=5, 5), (25, 0..=5, 5)]
        {
            assert_eq!(backoff.count_for(Duration::from_secs(wait), counts.clone()), count, "{wait} s, {counts:?}");
            let waits = backoff.delay(TargetId(7), count);
            assert!(waits.as_secs() >= wait || count == *counts.end(), "{waits:?} for {wait} s");
        }
    }
}

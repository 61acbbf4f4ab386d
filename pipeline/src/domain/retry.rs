//! When a parked entry is due.

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
    /// How long an entry that was parked under this count stays there: between 75 % and 100 % of `base × 2^count`, at most
    /// `cap`.
    pub fn delay(self, target: TargetId, count: u32) -> Duration {
        self.delay_of(target.0, count)
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

    /// The count under which an entry is parked whose outcome `money` left open, by giving no answer or being still at
    /// it: that uses up no attempt, so the count of attempts alone would let it be asked at one pace for ever. It is one
    /// more than the count `before` of an entry that waited for the same already, and as many as make it wait for
    /// `wait`, whatever its jitter; at most `slower` more than its attempts.
    pub fn count_of_open(self, attempts: u32, before: Option<u32>, wait: Duration, slower: u32) -> u32 {
        let most = attempts.saturating_add(slower);
        let once_more = before.map_or(attempts, |before| before.saturating_add(1)).clamp(attempts, most);
        let long_enough = |count: &u32| self.full(*count) / 4 * 3 >= wait || self.full(*count) == self.cap;
        (once_more..=most).find(long_enough).unwrap_or(most)
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
    fn what_money_leaves_open_waits_longer_each_time_and_as_long_as_it_asks() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };
        // Attempts, count before, seconds asked for, how much slower at most; the count.
        let table = [
            // For the first time, and again.
            (0, None, 0, 5, 0),
            (0, Some(0), 0, 5, 1),
            (0, Some(4), 0, 5, 5),
            (0, Some(5), 0, 5, 5),
            (2, Some(2), 0, 5, 3),
            // What was parked for something else: a later version, deliveries that crashed.
            (0, Some(19), 0, 5, 5),
            (3, Some(1), 0, 5, 3),
            // Asked for: 0.75, 1.5, 3, 6, 12 and 24 s are certain.
            (0, None, 1, 5, 1),
            (0, None, 3, 5, 2),
            (0, Some(2), 3, 5, 3),
            (1, None, 24, 5, 5),
            (0, None, 600, 5, 5),
            // Nothing waits longer than the cap.
            (5, None, 600, 9, 6),
            (0, Some(3), 600, 0, 0),
            (u32::MAX, Some(u32::MAX), 600, 5, u32::MAX),
        ];
        for (line, (attempts, before, wait, slower, count)) in (1..).zip(table) {
            let wait = Duration::from_secs(wait);
            let parked_as = backoff.count_of_open(attempts, before, wait, slower);
            assert_eq!(parked_as, count, "line {line}");
            let delay = backoff.delay(TargetId(7), parked_as);
            assert!(delay >= wait || parked_as == attempts.saturating_add(slower) || parked_as == 6, "line {line}");
        }
    }
}

//! What the summarizer remembers of running promotions. All of it can be lost: it only decides when to look
//! closer.

use std::collections::HashMap;
use std::time::Duration;

use pipeline::domain::{Counts, PromotionId};
use pipeline::metrics::PromotionFigures;
use pipeline::store::Proof;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Pause between two looks at a promotion that is about to end, at least.
const SOON: Duration = Duration::from_millis(50);

/// Of all running promotions.
#[derive(Default)]
pub struct Progress(HashMap<PromotionId, Seen>);

/// Of one.
#[derive(Default)]
pub struct Seen {
    /// The first flush.
    pub since: Option<Instant>,
    /// Settled targets at the flushes of the last seconds.
    pub settled: std::collections::VecDeque<(Instant, u64)>,
    /// What MySQL last proved, when, and how long that took.
    pub proof: Option<(Instant, Duration, Proof)>,
    /// One that is under way, for the boards.
    pub proving: Option<JoinHandle<Option<Proved>>>,
    /// By how many results the counts then exceeded it.
    pub excess: Option<u64>,
    /// Dead letters that had been dropped by the last flush.
    pub dropped: Option<u64>,
    /// Counts at which MySQL did not prove the end.
    pub unproved: Option<Counts>,
    /// Counts of the last flush.
    pub flushed: Option<Counts>,
    /// When it will have ended, if what was settled since the flush before goes on at that pace.
    pub end_in: Option<Duration>,
    /// Whether payouts were known to wait for a person.
    pub waits: Option<bool>,
    /// What is shown.
    pub figures: Option<PromotionFigures>,
}

/// What MySQL proved, how long that took, and the counts that had been read before.
pub type Proved = (Proof, Duration, Counts);

impl Progress {
    /// Forgets the promotions that do not run any more.
    pub fn keep(&mut self, running: impl Iterator<Item = PromotionId>) {
        let running: Vec<PromotionId> = running.collect();
        self.0.retain(|id, _| running.contains(id));
    }

    /// What is known of a promotion.
    pub fn of(&mut self, id: PromotionId) -> &mut Seen {
        self.0.entry(id).or_default()
    }

    /// How long to wait for the next look: `interval`, or less when a promotion is about to end, so that its end does not
    /// wait for a flush. One that does not move is not waited for.
    pub fn pause(&self, interval: Duration) -> Duration {
        let soonest = self.0.values().filter_map(|seen| seen.end_in).min();
        soonest.map_or(interval, |end_in| end_in.max(SOON).min(interval))
    }

    /// What is shown of all of them.
    pub fn figures(&self) -> Vec<PromotionFigures> {
        self.0.values().filter_map(|seen| seen.figures.clone()).collect()
    }
}

impl Seen {
    /// Takes note of what is settled, and of what is left.
    pub fn note(&mut self, now: Instant, settled: u64, left: u64) {
        self.end_in = self.settled.back().and_then(|(at, before)| {
            let moved = settled.checked_sub(*before).filter(|moved| *moved > 0)?;
            Some((now - *at).mul_f64(left as f64 / moved as f64))
        });
        self.since.get_or_insert(now);
        self.settled.push_back((now, settled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promotion_that_is_about_to_end_is_looked_at_sooner_unless_it_stands_still() {
        const INTERVAL: Duration = Duration::from_secs(1);
        let mut progress = Progress::default();
        assert_eq!(progress.pause(INTERVAL), INTERVAL, "nothing runs");
        let (id, begun) = (PromotionId(1), Instant::now());
        // settled, left, pause
        let looks = [
            (0, 1_000, 1_000),
            (100, 900, 1_000),
            (700, 300, 500),
            (950, 50, 200),
            (990, 10, 250),
            (990, 10, 1_000),
            (999, 1, 111),
        ];
        for (second, (settled, left, pause_ms)) in (0..).zip(looks) {
            progress.of(id).note(begun + INTERVAL * second, settled, left);
            let pause = progress.pause(INTERVAL);
            assert_eq!(pause.as_millis(), pause_ms, "{settled} settled, {left} left");
        }
    }
}

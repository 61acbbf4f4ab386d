//! Waiting for room: requeued targets lie on the streams like all others, and a window bounds those.

use std::time::Duration;

use anyhow::Result;
use pipeline::domain::{Partition, Promotion, PromotionStatus};
use pipeline::store::Store;
use pipeline::streams::Streams;
use tokio::time::Instant;

/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long nothing may move: longer than the slowest backoff and a sweep.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits until `wanted` more entries fit into the window, what is held for a person aside. The error says why it gave
/// up.
pub(super) async fn wait(
    store: &Store,
    streams: &Streams,
    promotion: &Promotion,
    window: u64,
    wanted: u64,
) -> Result<Result<(), String>> {
    let partitions: Vec<Partition> = promotion.partitions().collect();
    let mut patience = Patience::new(Instant::now());
    loop {
        let states = streams.partition_states(&partitions).await?;
        let outstanding: u64 = states.iter().map(|state| state.len().saturating_sub(state.held)).sum();
        if outstanding == 0 || outstanding + wanted <= window {
            return Ok(Ok(()));
        }
        match store.status(promotion.id).await? {
            Some(PromotionStatus::InProgress | PromotionStatus::Completed) => {}
            Some(status) => return Ok(Err(format!("the promotion is {} now", status.code()))),
            None => return Ok(Err("the promotion is gone".to_owned())),
        }
        let settled = states.iter().map(|state| state.counts.settled()).sum();
        if patience.is_over(settled, Instant::now()) {
            return Ok(Err(format!(
                "{outstanding} payouts are outstanding and nothing has moved for {} s; see `pending list`",
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether payouts go on. What is outstanding does not tell: a dispatcher fills the window up again as they are settled.
struct Patience {
    settled: Option<u64>,
    moved: Instant,
}

impl Patience {
    fn new(now: Instant) -> Self {
        Self { settled: None, moved: now }
    }

    fn is_over(&mut self, settled: u64, now: Instant) -> bool {
        if self.settled.replace(settled) != Some(settled) {
            self.moved = now;
        }
        now.duration_since(self.moved) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_when_nothing_is_settled_and_not_while_payouts_go_on() {
        let mut now = Instant::now();
        let mut patience = Patience::new(now);
        for settled in [0, 1, 2, 2, 3] {
            assert!(!patience.is_over(settled, now), "{settled}");
            now += PATIENCE - Duration::from_secs(1);
        }
        assert!(!patience.is_over(3, now));
        assert!(patience.is_over(3, now + Duration::from_secs(1)));
    }
}

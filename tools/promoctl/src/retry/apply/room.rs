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
    let (mut least, mut moved) = (u64::MAX, Instant::now());
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
        if outstanding < least {
            (least, moved) = (outstanding, Instant::now());
        }
        if moved.elapsed() >= PATIENCE {
            return Ok(Err(format!(
                "{outstanding} payouts are outstanding and nothing has moved for {} s; see `pending list`",
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

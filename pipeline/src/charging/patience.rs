//! Waiting for a server that is away: with growing pauses, and no longer than the work can be of use.

use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long one piece of work goes on trying.
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    /// Tries for at most this long.
    pub(super) fn new(at_most: Duration) -> Self {
        Self { until: Instant::now() + at_most, pause: FIRST_PAUSE }
    }

    /// Waits a little before the next try; `false` when patience is over.
    pub(super) async fn wait(&mut self) -> bool {
        if Instant::now() + self.pause >= self.until {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

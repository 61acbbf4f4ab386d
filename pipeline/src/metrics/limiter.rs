//! What the shared limit would let pass at once. It grows by itself while nobody asks, so it is worked out when it is
//! shown.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

static HEARD: Mutex<Option<Heard>> = Mutex::new(None);

/// What the limiter last said.
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// The first moment that nobody has reserved.
    free_from: Instant,
    /// How far ahead moments are given away.
    horizon: Duration,
    /// Between two of them.
    interval: Duration,
}

impl Heard {
    fn tokens(self, now: Instant) -> u32 {
        let room = self.horizon.saturating_sub(self.free_from.saturating_duration_since(now));
        let tokens = room.as_nanos().checked_div(self.interval.as_nanos()).unwrap_or(0);
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }
}

/// The limiter said that the next moment which nobody has reserved is `free_in` from now; moments are given away up to
/// `horizon` ahead, `interval` apart.
pub fn limiter_heard(free_in: Duration, horizon: Duration, interval: Duration) {
    let heard = Heard { free_from: Instant::now() + free_in, horizon, interval };
    *HEARD.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
}

/// Requests that would pass at once now; nothing where the limiter was never heard.
pub(super) fn tokens() -> Option<u32> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).map(|heard| heard.tokens(Instant::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_time_passes_and_never_exceed_the_horizon() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let heard = Heard { free_from: now + ms(150), horizon: ms(200), interval: ms(10) };
        assert_eq!(heard.tokens(now), 5);
        assert_eq!(heard.tokens(now + ms(100)), 15);
        assert_eq!(heard.tokens(now + ms(10_000)), 20);
        assert_eq!(Heard { free_from: now + ms(900), ..heard }.tokens(now), 0);
    }
}

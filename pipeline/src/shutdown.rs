//! The request to end, and until when.
//!
//! Everybody who works holds a clone. The first signal requests the end: whoever sees it takes nothing new,
//! finishes what it holds, and returns. What is not finished at the deadline is left to others.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Sees the request to end.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Option<Instant>>);

/// Requests the end.
#[derive(Debug)]
pub struct Trigger(watch::Sender<Option<Instant>>);

/// A request that has not been made, and what makes it.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(None);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Requests the end within `grace`. A second call changes nothing.
    pub fn request(&self, grace: Duration) {
        self.0.send_if_modified(|deadline| {
            let first = deadline.is_none();
            deadline.get_or_insert_with(|| Instant::now() + grace);
            first
        });
    }
}

impl Shutdown {
    /// One that is never requested, for one-shot commands and tests.
    pub fn never() -> Self {
        channel().1
    }

    /// Whether the end was requested.
    pub fn requested(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Until when what is held must be finished, once the end was requested.
    pub fn deadline(&self) -> Option<Instant> {
        *self.0.borrow()
    }

    /// Returns when the end is requested. Harmless to drop: nothing is missed, as the request stays.
    pub async fn wait(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(Option::is_some).await.is_err() {
            // Who could have requested it is gone without having done so.
            std::future::pending::<()>().await;
        }
    }

    /// Sleeps for `duration`, or until the end is requested; `true` when it was.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::time::timeout(duration, self.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const GRACE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn every_clone_sees_the_request_and_the_first_deadline() {
        let (trigger, shutdown) = channel();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        assert!(!shutdown.requested() && shutdown.deadline().is_none());
        assert!(!shutdown.sleep(SOON).await);
        let before = Instant::now();
        trigger.request(GRACE);
        let deadline = shutdown.deadline().unwrap();
        trigger.request(GRACE * 10);
        waiting.await.unwrap();
        assert!(deadline >= before + GRACE && deadline <= Instant::now() + GRACE);
        assert_eq!(shutdown.deadline(), Some(deadline));
        assert!(shutdown.requested() && shutdown.sleep(GRACE * 100).await);
    }

    #[tokio::test]
    async fn a_request_that_nobody_can_make_any_more_is_not_taken_for_one() {
        let (trigger, shutdown) = channel();
        drop(trigger);
        assert!(!shutdown.sleep(SOON).await);
        assert!(!Shutdown::never().sleep(SOON).await);
    }
}

//! How fast entries are dealt with, by which a process judges how many more it can send in time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Counts what is dealt with in windows of one length.
pub(super) struct Pace {
    window: Duration,
    done: AtomicUsize,
    windows: Mutex<Windows>,
}

struct Windows {
    /// When the window that runs began, and how much had been dealt with by then.
    began: Instant,
    before: usize,
    /// What was dealt with in the one before it.
    last: usize,
}

impl Pace {
    /// Nothing was dealt with yet.
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        let windows = Mutex::new(Windows { began: now, before: 0, last: 0 });
        Self { window, done: AtomicUsize::new(0), windows }
    }

    /// An entry has had its turn, for the first time since it was taken, or is final already.
    pub(super) fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// What is dealt with in a window: as much as in the last whole one, or as in the one that runs where that is more.
    pub(super) fn in_a_window(&self, now: Instant) -> usize {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        // Behind the lock: whoever had it before has seen no more.
        let done = self.done.load(Ordering::Relaxed);
        let (runs_for, running) = (now.saturating_duration_since(windows.began), done - windows.before);
        if runs_for < self.window {
            return running.max(windows.last);
        }
        // Longer than a window when nobody asked.
        let share = self.window.as_secs_f64() / runs_for.as_secs_f64();
        let last = (running as f64 * share) as usize;
        *windows = Windows { began: now, before: done, last };
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(4);

    fn deal_with(pace: &Pace, entries: usize) {
        (0..entries).for_each(|_| pace.done());
    }

    #[test]
    fn a_window_that_runs_counts_where_it_holds_more_than_the_last() {
        let began = Instant::now();
        let pace = Pace::new(WINDOW, began);
        assert_eq!(pace.in_a_window(began), 0);
        deal_with(&pace, 30);
        assert_eq!(pace.in_a_window(began + WINDOW / 2), 30);
        deal_with(&pace, 10);
        assert_eq!(pace.in_a_window(began + WINDOW), 40);
        deal_with(&pace, 5);
        assert_eq!(pace.in_a_window(began + WINDOW * 3 / 2), 40, "the last one holds more");
        assert_eq!(pace.in_a_window(began + WINDOW * 2), 5, "the last one was slower");
    }

    #[test]
    fn what_was_done_while_nobody_asked_counts_by_its_rate() {
        let began = Instant::now();
        let pace = Pace::new(WINDOW, began);
        deal_with(&pace, 100);
        assert_eq!(pace.in_a_window(began + WINDOW * 10), 10);
        assert_eq!(pace.in_a_window(began + WINDOW * 30), 0);
    }
}

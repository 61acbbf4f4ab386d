//! Named places between two effects where a test can make the process die, as SIGKILL would: no destructor
//! runs, nothing is flushed.
//!
//! `PAYOUT_CRASH_POINT=<name>:<k>` kills the process at the k-th time it passes that place. Compiled in for
//! development and with the feature `crash-points`; in a release build without it, nothing is left of them.

/// Every place. A test passes through all of them, and fails when one is never reached.
pub const POINTS: &[&str] = &[
    "loader.promotion_made",
    "loader.batch_committed",
    "loader.before_seal",
    "loader.sealed",
    "dispatcher.started",
    "dispatcher.streams_made",
    "dispatcher.page_read",
    "dispatcher.published",
    "dispatcher.marked",
    "charging.delivered",
    "charging.intent_recorded",
    "charging.before_charge",
    "charging.after_charge",
    "charging.before_look_up",
    "charging.after_look_up",
    "charging.before_cancel",
    "charging.after_cancel",
    "charging.before_record",
    "charging.paid_recorded",
    "charging.recorded",
    "charging.settled",
    "charging.parked",
    "paying.name_taken",
    "retrier.listed",
    "retrier.taken",
    "summarizer.counted",
    "summarizer.row_flushed",
    "summarizer.hash_written",
    "summarizer.completed",
    "summarizer.ended_hash_written",
    "summarizer.keys_removed",
    "summarizer.differs",
    "rebuild.snapshot_read",
    "summarizer.rebuilt",
    "requeue.proved",
    "requeue.begun",
    "requeue.seeded",
    "requeue.written",
    "requeue.added",
];

/// Passes a place.
#[cfg(any(debug_assertions, feature = "crash-points"))]
pub fn point(name: &'static str) {
    armed::pass(name);
}

/// Passes a place: nothing is done.
#[cfg(not(any(debug_assertions, feature = "crash-points")))]
#[inline(always)]
pub fn point(_name: &'static str) {}

#[cfg(any(debug_assertions, feature = "crash-points"))]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    pub(super) fn pass(name: &'static str) {
        debug_assert!(super::POINTS.contains(&name), "{name} is not in the list of crash points");
        let Some((armed, at)) = ARMED.get_or_init(read) else { return };
        if armed == name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *at {
            let me = i32::try_from(std::process::id()).unwrap_or(0);
            eprintln!("crash point {name}:{at}");
            #[expect(unsafe_code, reason = "a signal to this very process; nothing is shared with it")]
            // SAFETY: kill takes two numbers.
            unsafe {
                libc::kill(me, libc::SIGKILL);
            }
            // The signal takes the process before anything else could happen.
            loop {
                std::thread::park();
            }
        }
    }

    /// A variable that the configuration does not know: it is no setting of the product.
    fn read() -> Option<(String, u64)> {
        let text = std::env::var("PAYOUT_CRASH_POINT").ok()?;
        let (name, at) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), at.parse().unwrap_or(1)))
    }
}

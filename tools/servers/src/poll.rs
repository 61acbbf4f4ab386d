//! Bounded waiting on a condition, and the end of a log for the error when it did not come true.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Time between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(10);

/// Calls `ready` until it returns a value, at most for `bound`; `None` when the time is up.
pub fn poll<T>(bound: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(value) = ready() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(INTERVAL);
    }
}

/// The last `lines` lines of a log, indented, for an error message.
pub fn tail(log: &Path, lines: usize) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    if all.is_empty() {
        return "  (its log is empty)".to_owned();
    }
    let last = &all[all.len().saturating_sub(lines)..];
    last.iter().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

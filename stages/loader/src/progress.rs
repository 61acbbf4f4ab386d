//! How far a pass has come: on a terminal, and as a sign of life.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use pipeline::health::Health;

/// A bar on standard error; nothing where that is not a terminal.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    health: Health,
}

impl Progress {
    /// Begins a pass over so many bytes.
    pub fn begin(what: &'static str, bytes: u64, health: &Health) -> Self {
        let health = health.clone();
        if !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), health };
        }
        let form = "{msg:>9} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::new(bytes).with_style(style).with_message(what), health }
    }

    /// So many bytes are done.
    pub fn reach(&self, offset: u64) {
        self.bar.set_position(offset);
        self.health.beat();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

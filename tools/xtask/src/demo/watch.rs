//! Live progress until both promotions are completed, with a payer killed on the way.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::mysql::MySqlPool;
use tokio::runtime::Runtime;

use super::Options;
use super::books::{self, Progress};
use super::load::Loads;
use super::report::group;
use super::stack::Stack;
use super::targets::Kind;

/// Time between two looks; a line each when the output is no terminal.
const TICK: Duration = Duration::from_secs(1);

/// The rate is that of the last few seconds.
const WINDOW: usize = 6;

/// Without any progress for this long, something is stuck. The killed payer's last entries wait for the visibility
/// timeout and a lost answer for its retries, which take well under this.
const STUCK_AFTER: Duration = Duration::from_secs(180);

/// Looks once a second until both promotions are completed.
pub(crate) fn until_completed(
    runtime: &Runtime,
    pool: &MySqlPool,
    stack: &mut Stack,
    options: &Options,
    loads: &Loads,
) -> Result<()> {
    let total = u64::from(options.targets);
    let mut kill_at = (!options.no_kill_payer).then(|| total * u64::from(options.kill_payer_at) / 100);
    let display = Display::new(total);
    let mut pace = Pace::default();
    let mut moved = (0, Instant::now());
    loop {
        stack.check()?;
        let progress = runtime.block_on(books::progress(pool))?;
        let done = progress.iter().map(|promotion| promotion.done).sum();
        pace.note(Instant::now(), done);
        display.show(done, pace.rate(), &progress);
        if let Some(bad) = progress.iter().find(|one| matches!(one.status.as_str(), "FAILED" | "STOPPED")) {
            bail!("the promotion of {}s is {}", bad.promotion_type, bad.status);
        }
        if kill_at.is_some_and(|at| done >= at) {
            kill_at = None;
            display.say(&stack.replace_a_payer()?);
        }
        let completed = progress.iter().filter(|one| one.status == "COMPLETED").count();
        if completed == Kind::ALL.len() {
            display.finish();
            return Ok(());
        }
        if loads.are_over() && progress.len() < Kind::ALL.len() {
            bail!("a file could not be loaded");
        }
        if done > moved.0 || !loads.are_over() {
            moved = (done, Instant::now());
        } else if moved.1.elapsed() > STUCK_AFTER {
            bail!("nothing was paid for {STUCK_AFTER:?}, with {done} of {total} done");
        }
        // Not a wait for a condition, but the rhythm of the display.
        thread::sleep(TICK);
    }
}

/// The rate of the last few looks.
#[derive(Debug, Default)]
struct Pace(VecDeque<(Instant, u64)>);

impl Pace {
    fn note(&mut self, at: Instant, done: u64) {
        self.0.push_back((at, done));
        if self.0.len() > WINDOW {
            self.0.pop_front();
        }
    }

    /// Payouts a second.
    fn rate(&self) -> f64 {
        match (self.0.front(), self.0.back()) {
            (Some((from, before)), Some((to, after))) if to > from => {
                after.saturating_sub(*before) as f64 / to.duration_since(*from).as_secs_f64()
            }
            _ => 0.0,
        }
    }
}

/// A bar on a terminal, lines elsewhere.
struct Display {
    total: u64,
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl Display {
    fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {human_pos}/{human_len} {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { total, begun: Instant::now(), bar }
    }

    fn show(&self, done: u64, rate: f64, progress: &[Progress]) {
        let state = state(self.total, done, rate, progress);
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(state);
            }
            None => {
                let [done, total] = [done, self.total].map(|number| group(&number.to_string()));
                println!("{:>6}  {done} of {total}  {state}", seconds(self.begun.elapsed()));
            }
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => println!("        {text}"),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

/// `9,800/s  12 s left  POINT COMPLETED, VOUCHER IN_PROGRESS`
fn state(total: u64, done: u64, rate: f64, progress: &[Progress]) -> String {
    let left = total.saturating_sub(done);
    let remaining = match left {
        0 => "all paid".to_owned(),
        _ if rate < 1.0 => "? s left".to_owned(),
        _ => format!("{:.0} s left", (left as f64 / rate).ceil()),
    };
    let states: Vec<String> = progress.iter().map(|one| format!("{} {}", one.promotion_type, one.status)).collect();
    format!("{}/s  {remaining}  {}", group(&format!("{rate:.0}")), states.join(", "))
}

/// `12.3 s`
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_few_seconds() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.rate(), 0.0);
        for second in 0..20 {
            // 100 a second, then 1,000 a second.
            let done = if second < 10 { second * 100 } else { 1_000 + (second - 10) * 1_000 };
            pace.note(start + Duration::from_secs(second), done);
        }
        assert_eq!(pace.rate().round(), 1_000.0);
    }

    #[test]
    fn a_line_tells_rate_and_remaining_time() {
        let point = Progress { promotion_type: "POINT".to_owned(), status: "IN_PROGRESS".to_owned(), done: 1_000 };
        assert_eq!(state(11_000, 1_000, 2_500.0, &[point]), "2,500/s  4 s left  POINT IN_PROGRESS");
        assert_eq!(state(10, 10, 0.0, &[]), "0/s  all paid  ");
    }
}

//! Lanes side by side, each with one iteration after the other.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::iteration::{self, Outcome};
use crate::lane::Lane;
use crate::plan::{Bounds, Plan};
use crate::tally::Tally;

/// What to run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Of all plans.
    pub seed: u64,
    /// The number of the first iteration.
    pub first: u64,
    /// How many.
    pub iterations: u64,
    /// How many at the same time.
    pub lanes: u32,
    /// What plans may hold.
    pub bounds: Bounds,
    /// Ends at the first failure.
    pub stop_at_first: bool,
    /// Settings of all stages.
    pub extra: Vec<(String, String)>,
    /// Where lanes work.
    pub dir: PathBuf,
    /// Where failures leave what is known about them.
    pub artifacts: PathBuf,
}

impl Run {
    /// Runs it, and tells of each iteration.
    ///
    /// # Errors
    /// The servers of a lane do not start.
    pub fn go(&self) -> Result<Tally> {
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let tally = Mutex::new(Tally::default());
        let progress = Progress::new(self.iterations);
        let lane = |number: u32| -> Result<()> {
            let start = || Lane::start(&self.dir.join(format!("lane-{number}")), &self.artifacts, &self.extra);
            let mut lane = start()?;
            while !stop.load(Ordering::Relaxed) {
                let taken = next.fetch_add(1, Ordering::Relaxed);
                if taken >= self.iterations {
                    break;
                }
                let plan = Plan::draw(self.seed, self.first + taken, self.bounds);
                let outcome = iteration::run(&lane, &plan, None)?;
                progress.tell(&plan, &outcome);
                if !outcome.breaches.is_empty() {
                    stop.fetch_or(self.stop_at_first, Ordering::Relaxed);
                    // Whatever is wrong with its servers ends with them.
                    lane = start()?;
                }
                tally.lock().unwrap_or_else(PoisonError::into_inner).add(plan, outcome);
            }
            Ok(())
        };
        let ended: Vec<Result<()>> = std::thread::scope(|scope| {
            let lane = &lane;
            let lanes: Vec<_> = (0..self.lanes).map(|number| scope.spawn(move || lane(number))).collect();
            let join = |lane: std::thread::ScopedJoinHandle<'_, Result<()>>| {
                lane.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a lane panicked")))
            };
            lanes.into_iter().map(join).collect()
        });
        progress.end();
        ended.into_iter().collect::<Result<()>>()?;
        Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A bar for a person, a line an iteration for everybody else.
struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
}

impl Progress {
    fn new(iterations: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} iterations, {elapsed}, {msg}");
        let bar = || ProgressBar::new(iterations).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar: std::io::stderr().is_terminal().then(bar), begun: Instant::now() }
    }

    fn tell(&self, plan: &Plan, outcome: &Outcome) {
        let line = line(plan, outcome);
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                if outcome.breaches.is_empty() {
                    bar.set_message(format!("#{} {} targets", plan.iteration, plan.targets));
                } else {
                    bar.println(line);
                }
            }
            None => eprintln!("{:7.1} {line}", self.begun.elapsed().as_secs_f64()),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What became of an iteration, in one line; a failure with how to repeat it.
pub fn line(plan: &Plan, outcome: &Outcome) -> String {
    let faults: Vec<&str> = plan.events.iter().map(|event| event.fault.name()).collect();
    let armed = plan.armed.as_ref().map_or_else(String::new, |armed| format!("; {} at {}", armed.stage, armed.point));
    let result = if outcome.breaches.is_empty() { "ok" } else { "BROKEN" };
    let mut line = format!(
        "{result} #{} {} targets, {} paid, {} failed, {:.1} s, recovered in {:.1} s: {}{armed}",
        plan.iteration,
        plan.targets,
        outcome.paid,
        outcome.failed,
        outcome.took.as_secs_f64(),
        outcome.recovery.as_secs_f64(),
        faults.join(", ")
    );
    for breach in &outcome.breaches {
        line.push_str(&format!("\n    {breach}"));
    }
    if let Some(artifact) = &outcome.artifact {
        let path = artifact.strip_prefix(servers::workspace_dir()).unwrap_or(artifact).display().to_string();
        line.push_str(&format!(
            "\n    again: cargo xtask chaos replay {path}\n    smaller: cargo xtask chaos shrink {path}"
        ));
    }
    line
}

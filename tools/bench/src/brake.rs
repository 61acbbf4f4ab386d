//! A process that runs for a share of the time only, as on a slower machine of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Running and standing together: short against what is asked of a server at once. At half the rate a payer's 128 requests keep
/// `money` busy for some 8 ms.
const PERIOD: Duration = Duration::from_millis(5);

/// Stops and continues a process until it is released, or dropped.
pub struct Brake {
    release: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<f64>>>,
}

impl Brake {
    /// Lets a process run for `share` (above 0, below 1) of the time.
    ///
    /// # Errors
    /// The process is gone.
    pub fn apply(pid: u32, share: f64) -> Result<Self> {
        ensure!(share > 0.0 && share < 1.0, "a share of the time is between 0 and 1, and not {share}");
        let pid = servers::raw(pid).context("not a process")?;
        kill_process(pid, Signal::CONT)?;
        let release = Arc::new(AtomicBool::new(false));
        let released = Arc::clone(&release);
        let thread = thread::Builder::new().name("brake".to_owned()).spawn(move || brake(pid, share, &released))?;
        Ok(Self { release, thread: Some(thread) })
    }

    /// Lets it run again; gives the share of the time that it ran.
    ///
    /// # Errors
    /// The process has ended meanwhile.
    pub fn release(mut self) -> Result<f64> {
        self.end().unwrap_or_else(|| Err(anyhow!("released already")))
    }

    fn end(&mut self) -> Option<Result<f64>> {
        self.release.store(true, Ordering::Relaxed);
        Some(self.thread.take()?.join().unwrap_or_else(|_| Err(anyhow!("the brake panicked"))))
    }
}

impl Drop for Brake {
    fn drop(&mut self) {
        self.end();
    }
}

/// The process runs when this returns, unless it is gone.
fn brake(pid: Pid, share: f64, released: &AtomicBool) -> Result<f64> {
    let (begun, mut stood) = (Instant::now(), Duration::ZERO);
    while !released.load(Ordering::Relaxed) {
        let stopped = Instant::now();
        kill_process(pid, Signal::STOP)?;
        thread::sleep(PERIOD.mul_f64(1.0 - share));
        kill_process(pid, Signal::CONT)?;
        stood += stopped.elapsed();
        // What a sleep takes longer than asked for is made up for by the next pause.
        thread::sleep(stood.div_f64(1.0 - share).saturating_sub(begun.elapsed()));
    }
    Ok(1.0 - stood.as_secs_f64() / begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_is_braked_and_runs_again() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let state = || servers::state(child.id()).unwrap();
        let reaches = |wanted| servers::poll(Duration::from_secs(30), || (state() == wanted).then_some(()));
        let brake = Brake::apply(child.id(), 0.3).unwrap();
        reaches('T').expect("it was never stopped");
        let share = brake.release().unwrap();
        assert!(share > 0.0 && share < 1.0, "{share}");
        // Continued, it may be seen running before it goes back to sleep.
        reaches('S').expect("it never slept again");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Brake::apply(child.id(), 0.3).is_err());
        assert!(Brake::apply(child.id(), 1.0).is_err());
    }
}

//! One child process that is meant to keep running.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Signal, kill_process};

use crate::process_id::{raw, state};
use crate::{Lifetime, ProcessId, poll, spawn, tail};

/// A killed process is gone within milliseconds; this bound only catches one that hangs in the kernel.
const KILL_BOUND: Duration = Duration::from_secs(10);

/// A running child with its log. Dropping it kills it (SIGKILL) and waits until it is gone.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    log: PathBuf,
    id: ProcessId,
    /// `None` once it was left running. The child is reaped only through this, so its pid cannot be reused while we
    /// might signal it.
    child: Mutex<Option<Child>>,
}

impl Daemon {
    /// Starts `command` with stdin closed and both outputs appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path, lifetime: Lifetime) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open the log {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = spawn::spawn(command, lifetime)?;
        let id = ProcessId::of(child.id()).context("a child without an entry in /proc")?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), id, child: Mutex::new(Some(child)) })
    }

    /// What it was called when it was started; also in its errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.id.pid
    }

    /// Its pid and start time.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// How it ended; `None` while it runs (also while it is paused).
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.lock().as_mut()?.try_wait().ok().flatten()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.exit_status().is_none()
    }

    /// Waits until it has ended, at most for `bound`; `None` when it still runs then.
    pub fn wait(&self, bound: Duration) -> Option<ExitStatus> {
        poll(bound, || self.exit_status())
    }

    /// SIGKILL, and waits until it is gone. Does nothing when it has ended already.
    pub fn kill9(&self) -> Result<()> {
        if self.is_running() {
            self.signal(Signal::KILL)?;
        }
        match self.wait(KILL_BOUND) {
            Some(_) => Ok(()),
            None => bail!("{} (pid {}) survived SIGKILL", self.name, self.pid()),
        }
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGTERM, then waits until it has ended; an error with its last log lines when it has not within `grace`.
    pub fn stop(&self, grace: Duration) -> Result<ExitStatus> {
        if self.is_running() {
            self.terminate()?;
        }
        self.wait(grace).with_context(|| self.trouble(&format!("did not end within {grace:?} of SIGTERM")))
    }

    /// SIGSTOP, and waits until the kernel has stopped it.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        poll(KILL_BOUND, || (state(self.pid()) == Some('T')).then_some(()))
            .with_context(|| format!("{} does not stop", self.name))
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// An error text: what happened and the end of the log.
    pub fn trouble(&self, what: &str) -> String {
        format!("{} (pid {}) {what}; the end of its log:\n{}", self.name, self.pid(), tail(&self.log, 25))
    }

    /// Lets go of it without ending it.
    pub fn leave_running(self) -> ProcessId {
        self.lock().take();
        self.id
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = self.lock();
        let Some(running) = child.as_mut() else { bail!("{} was left running", self.name) };
        if let Some(status) = running.try_wait()? {
            bail!("{} has ended already: {status}", self.name);
        }
        let pid = raw(running.id()).context("a pid out of range")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.lock().take() {
            // Both fail only when it has ended already, which is what we want.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

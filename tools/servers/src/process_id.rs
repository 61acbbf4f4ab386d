//! A process named so that a reused pid is never mistaken for it.

use std::fmt;
use std::fs;
use std::str::FromStr;

use anyhow::{Context, Error, Result};
use rustix::process::{Pid, Signal, kill_process};

/// A pid together with the time the process started, in clock ticks since boot. Written as `pid@ticks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// The process id.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

impl ProcessId {
    /// Looks up the process that has this pid now; `None` when there is none.
    pub fn of(pid: u32) -> Option<Self> {
        let start_ticks = stat_field(pid, 22)?.parse().ok()?;
        Some(Self { pid, start_ticks })
    }

    /// Whether this very process still runs; one that has ended and waits to be reaped does not.
    pub fn is_running(self) -> bool {
        Self::of(self.pid) == Some(self) && !matches!(state(self.pid), None | Some('Z' | 'X'))
    }

    /// Asks the process to end (SIGTERM). Nothing happens when it has ended already.
    pub fn terminate(self) {
        self.signal(Signal::TERM);
    }

    /// Ends the process at once (SIGKILL). Nothing happens when it has ended already.
    pub fn kill9(self) {
        self.signal(Signal::KILL);
    }

    fn signal(self, signal: Signal) {
        if self.is_running()
            && let Some(pid) = raw(self.pid)
        {
            // It may have ended since the check: then there is nothing to signal.
            let _ = kill_process(pid, signal);
        }
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.start_ticks)
    }
}

impl FromStr for ProcessId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (pid, ticks) = text.split_once('@').with_context(|| format!("not a pid@ticks: {text:?}"))?;
        Ok(Self { pid: pid.parse()?, start_ticks: ticks.parse()? })
    }
}

/// The kernel's letter for what a process does: `R`, `S`, `D`, `T` (stopped), `Z` (ended, not reaped).
pub fn state(pid: u32) -> Option<char> {
    stat_field(pid, 3)?.chars().next()
}

/// A pid as the kernel's calls take it; nothing for a number that cannot be one.
pub fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// Field `number` (counted from 1, as in proc(5)) of `/proc/PID/stat`. The name in field 2 may hold spaces and
/// parentheses, so fields are counted from the last `)`.
fn stat_field(pid: u32, number: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = &stat[stat.rfind(')')? + 1..];
    rest.split_whitespace().nth(number - 3).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_id_is_read_back_and_another_start_time_is_another_process() {
        let me = ProcessId::of(std::process::id()).unwrap();
        assert_eq!(me.to_string().parse::<ProcessId>().unwrap(), me);
        assert!(me.is_running());
        let older = ProcessId { start_ticks: me.start_ticks - 1, ..me };
        assert!(!older.is_running());
    }
}

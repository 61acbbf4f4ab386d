//! Which processes run on which cores, and for how much of the time.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::brake::Brake;

/// Where the processes of a run are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placement {
    /// Wherever the kernel puts them.
    Anywhere,
    /// All on the first core.
    OneCore,
    /// The processes of this name on the first core, everything else on the second.
    Alone(&'static str),
    /// Wherever the kernel puts them; the process of this name runs for this share of the time only.
    Braked(&'static str, f64),
}

impl Placement {
    /// Moves every thread of the named processes. Threads that they start later inherit it. A brake holds until it is
    /// released.
    ///
    /// # Errors
    /// A process is gone, or the machine has no second core.
    pub fn apply(self, processes: &[(String, u32)]) -> Result<Option<Brake>> {
        for (name, pid) in processes {
            let cores: &[usize] = match self {
                Self::Anywhere | Self::Braked(..) => &[],
                Self::OneCore => &[0],
                Self::Alone(alone) if alone == name => &[0],
                Self::Alone(_) => &[1],
            };
            pin(*pid, cores).with_context(|| format!("cannot place {name} on {cores:?}"))?;
        }
        let Self::Braked(braked, share) = self else { return Ok(None) };
        let (_, pid) =
            processes.iter().find(|(name, _)| name == braked).with_context(|| format!("no {braked} runs"))?;
        Brake::apply(*pid, share).map(Some)
    }
}

/// Binds all threads of a process to these cores; to all that we may use when there are none.
fn pin(pid: u32, cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    let set = if cores.is_empty() { sched_getaffinity(None)? } else { set };
    for thread in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let id: i32 = thread.file_name().to_string_lossy().parse().context("a thread's id is no number")?;
        match sched_setaffinity(Pid::from_raw(id), &set) {
            // A thread that has ended since.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

//! What a process has used, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time of a process so far, user and system, with that of its ended children (a Redis forks to rewrite its
/// append-only file). `stat` counts in ticks of 10 ms, too coarse for a stage that has nothing to do; `schedstat` counts
/// nanoseconds, but only of threads that live and of no children: what says more is taken.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    let counted = cpu_of(&stat).with_context(|| format!("/proc/{pid}/stat is not understood"))?;
    Ok(counted.max(cpu_of_threads(pid).unwrap_or_default()))
}

fn cpu_of_threads(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let nanos = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanos.sum()))
}

/// CPU time of our own children that have ended and were waited for.
pub fn ended_children() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    times(&stat).map(|[_, _, user, system]| user + system).context("/proc/self/stat is not understood")
}

fn cpu_of(stat: &str) -> Option<Duration> {
    times(stat).map(|times| times.into_iter().sum())
}

/// utime, stime, cutime and cstime.
fn times(stat: &str) -> Option<[Duration; 4]> {
    // The name in parentheses may hold anything; utime is the 14th field of all, the 12th behind the name.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let times = fields.split_whitespace().skip(11).take(4);
    let times = times.map(|field| field.parse::<u64>().map(|time| Duration::from_secs_f64(time as f64 / ticks)));
    times.collect::<Result<Vec<_>, _>>().ok()?.try_into().ok()
}

/// Most memory that a process has had resident since its start, or since [`reset_peak`], in bytes (`VmHWM`).
pub fn peak_memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} is gone"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in its status")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("VmHWM is no number")?;
    Ok(kib * 1024)
}

/// Lets the peak of a process begin anew, at what it has resident now.
pub fn reset_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").with_context(|| format!("cannot reset the peak of {pid}"))
}

/// Processes whose use is taken from one moment to another.
#[derive(Debug)]
pub struct Meter {
    begun: Vec<(String, u32, Duration)>,
}

/// What a process used meanwhile.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Used {
    /// Its name; the same for all processes of a kind.
    pub name: String,
    /// CPU time in seconds.
    pub cpu_s: f64,
    /// Its highest resident memory, in bytes.
    pub peak_memory: u64,
}

impl Meter {
    /// Begins now.
    pub fn start(processes: impl IntoIterator<Item = (String, u32)>) -> Result<Self> {
        let mut begun = Vec::new();
        for (name, pid) in processes {
            reset_peak(pid)?;
            begun.push((name, pid, cpu(pid)?));
        }
        Ok(Self { begun })
    }

    /// What each has used until now.
    pub fn read(&self) -> Result<Vec<Used>> {
        let read = |(name, pid, before): &(String, u32, Duration)| {
            let cpu_s = cpu(*pid)?.saturating_sub(*before).as_secs_f64();
            Ok(Used { name: name.clone(), cpu_s, peak_memory: peak_memory(*pid)? })
        };
        self.begun.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194304 10 0 0 0 100 50 7 3 20 0 1 0 5 0 0";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu_of(stat).unwrap().as_secs_f64(), 160.0 / ticks);
        assert_eq!(cpu_of("42 (a) S 1"), None);
    }

    #[test]
    fn our_own_process_has_memory_and_its_peak_can_begin_anew() {
        let me = std::process::id();
        assert!(peak_memory(me).unwrap() > 100_000);
        reset_peak(me).unwrap();
        cpu(me).unwrap();
    }
}

//! What was measured: the machine-readable file. The table is made from it alone.

pub mod goals;
pub mod readme;
pub mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::floor::Told;
use crate::leg::Leg;

/// Everything of one run of the benchmark. Parts that were not measured are empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// When it began, local time.
    pub begun_at: String,
    /// How it was called.
    pub command: String,
    /// Of what; with a `+` where files were changed.
    pub commit: String,
    /// On what.
    pub machine: Machine,
    /// The version of MariaDB.
    pub mysql: String,
    /// Settings of the servers.
    pub settings: String,
    /// Bare loop and pipeline.
    pub pairs: Vec<Pair>,
    /// Stages against their ceilings.
    pub alone: Vec<Alone>,
    /// Milliseconds from due to COMPLETED of promotions of 1,000 targets.
    pub due_to_completed_ms: Vec<f64>,
    /// From published to settled at half load.
    pub half_load: Option<HalfLoad>,
    /// The shared limit.
    pub limiter: Vec<Limited>,
    /// Nothing to do.
    pub idle: Option<Idle>,
    /// A run whose processes were wherever the kernel put them: what `placed` is predicted from.
    pub anywhere: Option<Leg>,
    /// Processes bound to cores.
    pub placed: Vec<Placed>,
    /// Runs of different sizes.
    pub sizes: Vec<Leg>,
}

/// A run with its processes on certain cores.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Placed {
    /// Which were where.
    pub placement: String,
    /// Targets per second, predicted from the CPU of each process in another run.
    pub predicted: f64,
    /// What came of it.
    pub leg: Leg,
}

/// Two runs next to each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pair {
    /// The bare loop.
    pub floor: Leg,
    /// The pipeline.
    pub pipeline: Leg,
}

impl Pair {
    /// The pipeline's rate as a share of the bare loop's.
    pub fn ratio(&self) -> f64 {
        self.pipeline.rate() / self.floor.rate()
    }
}

/// A stage and its ceiling, next to each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alone {
    /// Which stage.
    pub stage: String,
    /// What the ceiling does.
    pub ceiling: String,
    /// The stage's run.
    pub stage_run: Told,
    /// The ceiling's run.
    pub ceiling_run: Told,
}

impl Alone {
    /// The stage's rate as a share of the ceiling's.
    pub fn ratio(&self) -> f64 {
        rate(&self.stage_run) / rate(&self.ceiling_run)
    }
}

/// Targets per second.
pub fn rate(told: &Told) -> f64 {
    told.targets as f64 / told.seconds
}

/// From published to settled, at half of what the payers can carry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HalfLoad {
    /// Targets published a second.
    pub rate: f64,
    /// How long money takes, in milliseconds.
    pub money_ms: f64,
    /// The median, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Use of the shared limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limited {
    /// Payers.
    pub payers: usize,
    /// The limit, requests a second.
    pub limit: u64,
    /// Requests a second that arrived at money, from the first to the last.
    pub arrived: f64,
    /// The most that arrived within any second.
    pub most_in_a_second: u64,
}

/// What all stages use when there is nothing to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Idle {
    /// How long it was watched.
    pub seconds: f64,
    /// CPU of all stages together, in per cent of one core.
    pub cpu_percent: f64,
    /// Redis commands per second.
    pub redis_per_s: f64,
    /// MySQL statements per second.
    pub mysql_per_s: f64,
}

/// The machine, as far as figures depend on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: String,
    /// Memory in bytes.
    pub memory: u64,
    /// Load average of the last minute before the beginning: above 0.3 or so, others were using it.
    pub load: f64,
}

impl Machine {
    /// This one.
    pub fn this() -> Result<Self> {
        let of = |path: &str, name: &str| -> Option<String> {
            let text = fs::read_to_string(path).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = of("/proc/meminfo", "MemTotal").unwrap_or_default();
        let memory = memory.trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024;
        let load = fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            memory,
            load: load.split(' ').next().and_then(|load| load.parse().ok()).context("no load average")?,
        })
    }
}

impl Report {
    /// With nothing measured yet.
    pub fn new(machine: Machine, mysql: &str) -> Self {
        let mut arguments: Vec<String> = std::env::args().skip(1).collect();
        arguments.splice(0..0, ["cargo xtask bench".to_owned()]);
        Self {
            begun_at: chrono::Local::now().format("%Y-%m-%d %H:%M:%S").to_string(),
            command: arguments.join(" "),
            commit: servers::commit(),
            machine,
            mysql: mysql.to_owned(),
            settings: crate::stand::SETTINGS.split_whitespace().collect::<Vec<_>>().join(" "),
            pairs: Vec::new(),
            alone: Vec::new(),
            due_to_completed_ms: Vec::new(),
            half_load: None,
            limiter: Vec::new(),
            idle: None,
            anywhere: None,
            placed: Vec::new(),
            sizes: Vec::new(),
        }
    }
}

/// An earlier run's file.
pub fn read(path: &Path) -> Result<Report> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no file of this benchmark", path.display()))
}

/// Smallest, median and largest; nothing of nothing. The median of an even number is the mean of the middle two.
pub fn spread(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64, f64)> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
    Some((first, median, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_smallest_median_and_largest() {
        assert_eq!(spread([]), None);
        assert_eq!(spread([3.0]), Some((3.0, 3.0, 3.0)));
        assert_eq!(spread([5.0, 1.0, 3.0]), Some((1.0, 3.0, 5.0)));
        assert_eq!(spread([4.0, 1.0, 3.0, 2.0]), Some((1.0, 2.5, 4.0)));
    }
}

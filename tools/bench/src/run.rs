//! What is measured, in which order, and what becomes of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::parts::{alone, idle, latency, limiter, pairs, scaling, settled, size};
use crate::report::{self, Machine, Report, readme, table};
use crate::stand::{SETTINGS, Stand};

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The pipeline against the bare loop
    Pairs,
    /// Each stage against its own ceiling
    Alone,
    /// From due to COMPLETED, and from published to settled at half load
    Latency,
    /// How well 1, 2 and 4 payers use a shared limit
    Limiter,
    /// What stages cost that have nothing to do
    Idle,
    /// Processes bound to cores, and servers slowed down: what more cores would carry
    Scaling,
    /// 1,000,000 targets as one run against 100,000
    Size,
    /// 10,000,000 targets as one run: minutes, and some 10 GB of disk
    Memory,
}

impl Part {
    /// What is measured when nothing is said.
    const DEFAULT: [Self; 7] =
        [Self::Pairs, Self::Alone, Self::Latency, Self::Limiter, Self::Idle, Self::Scaling, Self::Size];
    /// What is measured in a few minutes.
    const QUICK: [Self; 4] = [Self::Pairs, Self::Alone, Self::Latency, Self::Idle];
}

/// How the benchmark is run.
#[derive(Debug, Args)]
pub struct Options {
    /// Targets of each run [default: 500000, with --quick 100000]
    #[arg(long)]
    pub targets: Option<u64>,
    /// Pairs of runs: bare loop, pipeline [default: 5, with --quick 3]
    #[arg(long)]
    pub pairs: Option<usize>,
    /// Payers of the pipeline
    #[arg(long, default_value_t = 1)]
    pub payers: usize,
    /// A setting of the pipeline's stages over the usual ones, as an environment variable
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// A few minutes: fewer targets, fewer pairs, only the first parts
    #[arg(long)]
    pub quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Puts the table into README.md, between its two markers
    #[arg(long)]
    pub readme: bool,
    /// Measures nothing: makes the table from an earlier run's file
    #[arg(long, value_name = "JSON")]
    pub from: Option<PathBuf>,
}

impl Options {
    /// Targets of a run.
    pub fn targets(&self) -> u64 {
        self.targets.unwrap_or(if self.quick { 100_000 } else { 500_000 })
    }

    /// What the pipeline's stages are given beside the usual.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Pairs of runs.
    pub fn pairs(&self) -> usize {
        self.pairs.unwrap_or(if self.quick { 3 } else { 5 }).max(1)
    }

    fn parts(&self) -> Vec<Part> {
        match (self.only.is_empty(), self.quick) {
            (false, _) => self.only.clone(),
            (true, true) => Part::QUICK.to_vec(),
            (true, false) => Part::DEFAULT.to_vec(),
        }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting has the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Measures, prints, and writes the file.
pub async fn run(options: &Options) -> Result<()> {
    let report = match &options.from {
        Some(path) => report::read(path)?,
        None => measure(options).await?,
    };
    let table = table::markdown(&report);
    println!("\n{table}");
    if options.readme {
        readme::replace(&servers::workspace_dir().join("README.md"), &table)?;
        println!("the table stands in README.md");
    }
    if let Some(line) = table::last_line(&report) {
        println!("{line}");
    }
    Ok(())
}

async fn measure(options: &Options) -> Result<Report> {
    let dir = servers::workspace_dir().join(".run/bench");
    fs::create_dir_all(&dir)?;
    // A demo holds the same lock: it would take the processor.
    let demo = servers::demo_dir();
    fs::create_dir_all(&demo)?;
    let lock = fs::File::create(demo.join("lock"))?;
    lock.try_lock().context("a demo or another benchmark is running here")?;
    let logs = dir.join("logs");
    if logs.exists() {
        fs::remove_dir_all(&logs).context("cannot empty .run/bench/logs")?;
    }
    fs::create_dir_all(&logs)?;
    say(&format!("starting MariaDB; {SETTINGS}"));
    let stand = Stand::start(&logs)?;
    let mut report = Report::new(Machine::this()?, stand.version());
    let result = all(options, &stand, &mut report).await;
    // What was measured before a failure is worth keeping too.
    let path = write(&dir, &report)?;
    println!("written to {}", path.display());
    result.map(|()| report)
}

async fn all(options: &Options, stand: &Stand, report: &mut Report) -> Result<()> {
    for part in options.parts() {
        match part {
            Part::Pairs => pairs::measure(options, stand, report).await?,
            Part::Alone => {
                alone::measure(options, stand, report).await?;
                settled::measure(options, stand, report)?;
            }
            Part::Latency => latency::measure(options, stand, report).await?,
            Part::Limiter => limiter::measure(stand, report).await?,
            Part::Idle => idle::measure(stand, report).await?,
            Part::Scaling => scaling::measure(options, stand, report).await?,
            Part::Size => size::measure(options, stand, report, &[100_000, 1_000_000]).await?,
            Part::Memory => size::measure(options, stand, report, &[1_000_000, 10_000_000]).await?,
        }
    }
    Ok(())
}

/// `latest.json`, and the same under the time of its beginning.
fn write(dir: &Path, report: &Report) -> Result<PathBuf> {
    let text = serde_json::to_string_pretty(report)?;
    let path = dir.join(format!("{}.json", report.begun_at.replace([':', ' '], "-")));
    fs::write(&path, &text)?;
    fs::write(dir.join("latest.json"), &text)?;
    Ok(path)
}

/// A line of progress.
pub fn say(text: &str) {
    println!("=== {text}");
}

//! `cargo xtask prove fuzz`: libFuzzer over the targets of `tools/fuzz`. What was found so far (the corpus) and what
//! breaks a rule (findings) stay under `.run/fuzz/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use reliability::Section;

use super::done;
use crate::steps::cargo;

/// A target, whose bytes it reads, what its full run is, and the longest input that is tried: somewhat above its limits.
struct Target {
    name: &'static str,
    bytes: &'static str,
    executions: u64,
    max_bytes: u32,
}

const TARGETS: [Target; 5] = [
    Target { name: "record", bytes: "Records on streams", executions: 100_000_000, max_bytes: 640 },
    Target { name: "csv", bytes: "Files of targets", executions: 10_000_000, max_bytes: 1024 },
    Target { name: "answer", bytes: "Answers of `money`", executions: 10_000_000, max_bytes: 1024 },
    Target {
        name: "config",
        bytes: "Configurations: files and environment variables",
        executions: 10_000_000,
        max_bytes: 1024,
    },
    Target { name: "entry", bytes: "Whole stream entries", executions: 10_000_000, max_bytes: 1024 },
];

/// One in so many executions is made with the address sanitizer: the product has no unsafe code, its crates have.
const SANITIZED: u64 = 100;
/// Memory above this, in MB, is a finding. An idle target takes some 60.
const MAX_MEMORY_MB: u32 = 1024;
/// An input that takes longer than this, in seconds, is a finding.
const MAX_SECONDS: u32 = 10;

/// The folder of what is built, as cargo-fuzz asks for it.
const TRIPLE: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

/// How much is tried.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Executions of each target (default: 10,000,000, and 100,000,000 of the record decoder)
    #[arg(long)]
    executions: Option<u64>,
    /// Only this one: record, csv, answer, config or entry
    #[arg(long)]
    target: Option<String>,
    /// Processes that work on a target at a time (default: one for each core)
    #[arg(long)]
    workers: Option<u64>,
    /// Without the share that is made with the address sanitizer
    #[arg(long)]
    no_sanitizer: bool,
}

/// What one target's run counted.
struct Counted {
    sanitizer: &'static str,
    executions: u64,
    seconds: f64,
    findings: usize,
    memory_mb: u64,
    inputs: usize,
}

/// Builds the targets and runs them; not 0 when anything was found.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let chosen: Vec<&Target> =
        TARGETS.iter().filter(|target| options.target.as_ref().is_none_or(|name| name == target.name)).collect();
    ensure!(!chosen.is_empty(), "there is no such target; there are {}", TARGETS.map(|target| target.name).join(", "));
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let workers = options.workers.unwrap_or(cores).max(1);
    install()?;
    done(
        cargo().args(["run", "--quiet", "--package", "fuzz", "--bin", "fuzz-seeds", "--"]).arg(dir("corpus")),
        "writing the seeds",
    )?;
    let sanitizers: &[&str] = if options.no_sanitizer { &["none"] } else { &["none", "address"] };
    for sanitizer in sanitizers {
        build(sanitizer)?;
    }
    let mut found = 0;
    for target in &chosen {
        let title = format!("Hostile input: {}", target.name);
        let mut section = Section::begin(&format!("fuzz-{}", target.name), &title, &command(target, options));
        let mut counted = Vec::new();
        for sanitizer in sanitizers {
            let all = options.executions.unwrap_or(target.executions);
            let executions = if *sanitizer == "none" { all } else { all.div_ceil(SANITIZED) };
            counted.push(one(target, sanitizer, executions, workers)?);
        }
        found += counted.iter().map(|counted| counted.findings).sum::<usize>();
        save(&mut section, target, counted)?;
    }
    println!("{found} findings{}", if found > 0 { ", in .run/fuzz/findings" } else { "" });
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What repeats the run of one target.
fn command(target: &Target, options: &Options) -> String {
    let mut text = format!("cargo xtask prove fuzz --target {}", target.name);
    for (flag, value) in [("executions", options.executions), ("workers", options.workers)] {
        if let Some(value) = value {
            text.push_str(&format!(" --{flag} {value}"));
        }
    }
    if options.no_sanitizer {
        text.push_str(" --no-sanitizer");
    }
    text
}

fn dir(name: &str) -> PathBuf {
    servers::workspace_dir().join(".run/fuzz").join(name)
}

fn tools() -> PathBuf {
    servers::target_dir().join("tools")
}

/// Installs cargo-fuzz below `target/`, unless it is there.
fn install() -> Result<()> {
    if tools().join("bin/cargo-fuzz").exists() {
        return Ok(());
    }
    done(cargo().args(["install", "--locked", "--quiet", "cargo-fuzz", "--root"]).arg(tools()), "installing cargo-fuzz")
}

fn built(sanitizer: &str) -> PathBuf {
    servers::target_dir().join("fuzz").join(sanitizer)
}

fn build(sanitizer: &str) -> Result<()> {
    println!("building the targets (sanitizer: {sanitizer})");
    let mut build = Command::new(tools().join("bin/cargo-fuzz"));
    build.args(["build", "--fuzz-dir", "tools/fuzz/libfuzzer", "--sanitizer", sanitizer, "--target-dir"]);
    build.arg(built(sanitizer)).current_dir(servers::workspace_dir());
    // Coverage and sanitizers are options of the nightly compiler, which the pinned one also has.
    done(build.env("RUSTC_BOOTSTRAP", "1"), "the build")
}

fn one(target: &Target, sanitizer: &'static str, executions: u64, workers: u64) -> Result<Counted> {
    println!("{}: {executions} executions, sanitizer {sanitizer}", target.name);
    let (corpus, findings) = (dir("corpus").join(target.name), dir("findings").join(target.name));
    for folder in [&corpus, &findings, &dir("logs")] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let (begun, before) = (Instant::now(), files(&findings));
    let logs: Vec<PathBuf> =
        (1..=workers).map(|worker| dir("logs").join(format!("{}-{sanitizer}-{worker}.log", target.name))).collect();
    let start = |log: &PathBuf| start(target, sanitizer, executions.div_ceil(workers), [&corpus, &findings, log]);
    let children: Vec<Child> = logs.iter().map(start).collect::<Result<_>>()?;
    let mut failed = 0;
    for mut child in children {
        failed += usize::from(!child.wait().context("a worker was lost")?.success());
    }
    let seconds = begun.elapsed().as_secs_f64();
    let statistics: Vec<String> = logs.iter().map(|log| fs::read_to_string(log).unwrap_or_default()).collect();
    let figure = |name: &str| statistics.iter().map(|text| statistic(text, name)).collect::<Vec<_>>();
    let counted = Counted {
        sanitizer,
        executions: figure("number_of_executed_units").iter().sum(),
        seconds,
        // A worker that ended badly without a file found something as well.
        findings: (files(&findings) - before).max(failed),
        memory_mb: figure("peak_rss_mb").into_iter().max().unwrap_or(0),
        inputs: files(&corpus),
    };
    println!("{}: {} executions in {seconds:.0} s, {} findings", target.name, counted.executions, counted.findings);
    Ok(counted)
}

fn start(target: &Target, sanitizer: &str, executions: u64, [corpus, findings, log]: [&PathBuf; 3]) -> Result<Child> {
    let program = built(sanitizer).join(TRIPLE).join("release").join(target.name);
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let dictionary = format!("tools/fuzz/libfuzzer/dictionaries/{}.dict", target.name);
    let mut command = Command::new(&program);
    command.current_dir(servers::workspace_dir()).stdin(std::process::Stdio::null());
    command.args([
        format!("-runs={executions}"),
        format!("-max_len={}", target.max_bytes),
        format!("-dict={dictionary}"),
    ]);
    command.args([format!("-rss_limit_mb={MAX_MEMORY_MB}"), format!("-timeout={MAX_SECONDS}")]);
    command.arg("-print_final_stats=1").arg(format!("-artifact_prefix={}/", findings.display())).arg(corpus);
    command.stdout(file.try_clone()?).stderr(file);
    command.spawn().with_context(|| format!("cannot start {}", program.display()))
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| entries.count())
}

/// `stat::peak_rss_mb:      61`
fn statistic(log: &str, name: &str) -> u64 {
    let line = log.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn save(section: &mut Section, target: &Target, counted: Vec<Counted>) -> Result<()> {
    section.say(format!(
        "{}, by libFuzzer with coverage. A finding is a panic, a broken rule (`tools/fuzz/src/targets/{}.rs` says which), an \
         input that takes {MAX_SECONDS} s, or a process that takes {MAX_MEMORY_MB} MB.",
        target.bytes, target.name
    ));
    let row = |counted: Counted| {
        let Counted { sanitizer, executions, seconds, findings, memory_mb, inputs } = counted;
        let rate = if seconds > 0.0 { executions as f64 / seconds } else { 0.0 };
        let texts = [executions.to_string(), format!("{seconds:.0}"), format!("{rate:.0}"), findings.to_string()];
        let [executions, seconds, rate, findings] = texts;
        let (inputs, memory) = (inputs.to_string(), format!("{memory_mb} MB"));
        [sanitizer.to_owned(), executions, seconds, rate, findings, inputs, memory]
    };
    section.table(
        "Executions",
        ["sanitizer", "executions", "seconds", "a second", "findings", "inputs kept", "most memory"],
        counted.into_iter().map(row).collect(),
    );
    println!("{}", section.save()?.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_libfuzzer_prints() {
        let log = "#8 DONE cov: 1\nstat::number_of_executed_units: 20000\nstat::peak_rss_mb:      61\n";
        assert_eq!(statistic(log, "number_of_executed_units"), 20_000);
        assert_eq!(statistic(log, "peak_rss_mb"), 61);
        assert_eq!(statistic("killed", "peak_rss_mb"), 0);
    }

    #[test]
    fn a_run_can_be_repeated_by_the_command_that_is_told() {
        let options = Options { executions: Some(5), target: None, workers: None, no_sanitizer: false };
        assert_eq!(command(&TARGETS[1], &options), "cargo xtask prove fuzz --target csv --executions 5");
        let options = Options { no_sanitizer: true, ..options };
        let told = "cargo xtask prove fuzz --target csv --executions 5 --no-sanitizer";
        assert_eq!(command(&TARGETS[1], &options), told);
    }
}

//! The command line; `cargo xtask chaos` builds what it needs and runs it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use chaos::plan::Bounds;
use chaos::run::{Run, line};
use chaos::tally::Tally;
use chaos::{Lane, artifact, iteration, report, shrink};
use clap::{Args, Parser, Subcommand, ValueEnum};
use reliability::Section;

/// Breaks the pipeline in every way, heals it, and lets the ledger judge
#[derive(Parser, Debug)]
#[command(name = "cargo xtask chaos", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Runs the plan of a failure again
    Replay {
        /// Its folder
        artifact: PathBuf,
        /// How often
        #[arg(long, default_value_t = 1)]
        times: u32,
        #[command(flatten)]
        with: With,
    },
    /// Leaves faults out of a failure as long as it still fails
    Shrink {
        /// Its folder
        artifact: PathBuf,
        /// Runs of each candidate
        #[arg(long, default_value_t = 5)]
        tries: u32,
        #[command(flatten)]
        with: With,
    },
}

#[derive(Args, Debug)]
struct RunArgs {
    /// Seed of every plan (default: by the clock)
    #[arg(long)]
    seed: Option<u64>,
    /// How many iterations (default: by the profile)
    #[arg(long)]
    iterations: Option<u64>,
    /// Number of the first iteration
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Iterations at the same time, each with servers of its own
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=16))]
    lanes: u32,
    /// Targets of an iteration, from..to
    #[arg(long, default_value = "300..3000", value_parser = range)]
    targets: (u32, u32),
    /// How much, and what the run must have met
    #[arg(long, value_enum, default_value_t = Profile::Smoke)]
    profile: Profile,
    /// End at the first failure
    #[arg(long)]
    stop_at_first: bool,
    /// Write the figures into the report on reliability; nightly and release do so anyway
    #[arg(long)]
    report: bool,
    /// Keep the folders of the lanes: logs of their last iterations
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    with: With,
}

#[derive(Args, Debug)]
struct With {
    /// A setting of all stages, NAME=VALUE; repeatable
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// 30 iterations; asks for no crash point and no hazard
    Smoke,
    /// 400 iterations; every crash point and every hazard must have been met
    Nightly,
    /// 2,500 iterations; the same
    Release,
}

impl Profile {
    fn iterations(self) -> u64 {
        match self {
            Self::Smoke => 30,
            Self::Nightly => 400,
            Self::Release => 2500,
        }
    }

    fn is_whole(self) -> bool {
        match self {
            Self::Smoke => false,
            Self::Nightly | Self::Release => true,
        }
    }
}

fn range(text: &str) -> Result<(u32, u32), String> {
    let numbers = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    numbers
        .filter(|(from, to)| from <= to && *from > 0)
        .ok_or_else(|| "expected FROM..TO, such as 300..3000".to_owned())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    chaos::ignore_file_size_signal();
    let cli = Cli::parse();
    let ended = match cli.command {
        None => run(&cli.run),
        Some(Command::Replay { artifact, times, with }) => replay(&artifact, times, &with.settings),
        Some(Command::Shrink { artifact, tries, with }) => make_smaller(&artifact, tries, &with.settings),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Where lanes work: gone when the process has ended.
fn work_dir() -> PathBuf {
    artifact::dir().join(format!("work-{}", std::process::id()))
}

fn run(args: &RunArgs) -> Result<bool> {
    let by_clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let seed = args.seed.unwrap_or_else(by_clock);
    let iterations = args.iterations.unwrap_or(args.profile.iterations());
    let (least, most) = args.targets;
    let profile = args.profile.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let command = format!(
        "cargo xtask chaos --seed {seed} --iterations {iterations} --lanes {} --targets {least}..{most} --profile {profile}",
        args.lanes
    );
    println!("{command}");
    let sections =
        (Section::begin("chaos", "Chaos", &command), Section::begin("crash-points", "Crash points", &command));
    let run = Run {
        seed,
        first: args.first,
        iterations,
        lanes: args.lanes,
        bounds: Bounds { targets: args.targets },
        stop_at_first: args.stop_at_first,
        extra: args.with.settings.clone(),
        dir: work_dir(),
        artifacts: artifact::dir(),
    };
    let begun = Instant::now();
    let tally = run.go();
    if args.keep {
        println!("logs are in {}", run.dir.display());
    } else {
        let _ = std::fs::remove_dir_all(&run.dir);
    }
    let (tally, minutes) = (tally?, begun.elapsed().as_secs_f64() / 60.0);
    report::print(&tally, minutes);
    if args.report || args.profile.is_whole() {
        report::save(sections.0, sections.1, &tally, minutes)?;
    }
    Ok(verdict(args.profile, &tally))
}

/// Whether the run may be believed and found nothing.
fn verdict(profile: Profile, tally: &Tally) -> bool {
    for (plan, outcome) in &tally.failures {
        println!("{}", line(plan, outcome));
    }
    let mut held = tally.failures.is_empty();
    if profile.is_whole() {
        let (points, hazards) = (tally.places_missed(), tally.hazards.missing());
        if !points.is_empty() {
            println!("no process died at: {}", points.join(", "));
        }
        if !hazards.is_empty() {
            let names: Vec<&str> = hazards.iter().map(|hazard| hazard.name()).collect();
            println!("never met: {}", names.join(", "));
        }
        held &= points.is_empty() && hazards.is_empty();
    }
    println!("{}", if held { "PASS" } else { "FAIL" });
    held
}

fn replay(artifact: &std::path::Path, times: u32, settings: &[(String, String)]) -> Result<bool> {
    let plan = artifact::plan(artifact)?;
    let dir = work_dir();
    let lane = Lane::start(&dir, &artifact::dir(), settings)?;
    let mut failed = 0;
    for _ in 0..times {
        let outcome = iteration::run(&lane, &plan, None)?;
        failed += u32::from(!outcome.breaches.is_empty());
        println!("{}", line(&plan, &outcome));
    }
    drop(lane);
    let _ = std::fs::remove_dir_all(&dir);
    println!("{failed} of {times} failed");
    Ok(failed == 0)
}

fn make_smaller(artifact: &std::path::Path, tries: u32, settings: &[(String, String)]) -> Result<bool> {
    let plan = artifact::plan(artifact)?;
    let dir = work_dir();
    let lane = Lane::start(&dir, &artifact::dir(), settings)?;
    let shrunk = shrink::shrink(&lane, &plan, tries, |line| println!("{line}"))?;
    drop(lane);
    let _ = std::fs::remove_dir_all(&dir);
    let path = artifact.join("smaller/plan.json");
    std::fs::create_dir_all(artifact.join("smaller"))?;
    std::fs::write(&path, serde_json::to_string_pretty(&shrunk.plan)?)?;
    println!("{} of {} runs fail with:", shrunk.failed, shrunk.tries);
    for event in &shrunk.plan.events {
        println!("  {:5} ms {:?}", event.at_ms, event.fault);
    }
    println!("{}", path.display());
    Ok(true)
}

//! One run of one side: the bare loop, or the pipeline, from the start of the clock to the proof that all is paid.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use pipeline::domain::{Partition, PromotionId};
use pipeline::keys;
use serde::{Deserialize, Serialize};
use servers::Launch;
use sqlx::MySqlConnection;

use crate::account::{Meter, Used};
use crate::brake::Brake;
use crate::counters::{self, Counted};
use crate::floor::Told;
use crate::placement::Placement;
use crate::promotion::{PARTITIONS, Prepared, prepare};
use crate::run::Options;
use crate::stages::{Stages, Which};
use crate::stand::{Stand, World};

/// The longest run: ten million targets on a loaded machine.
const RUN_BOUND: Duration = Duration::from_secs(3_600);
/// Pause between two looks at the promotion's status: how exact the end is.
const LOOK: Duration = Duration::from_millis(10);
/// Pause between two samples of Redis.
const SAMPLE: Duration = Duration::from_millis(100);

/// A run and what it cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leg {
    /// `floor`, `pipeline` and so on.
    pub name: String,
    /// Targets paid.
    pub targets: u64,
    /// From the start of the clock to the end.
    pub seconds: f64,
    /// What each process used.
    pub used: Vec<Used>,
    /// What the servers counted, without what the benchmark itself asked.
    pub counted: Counted,
    /// How it went, where that was sampled.
    pub samples: Vec<Sample>,
    /// The share of the time for which a braked process ran.
    pub ran_for: Option<f64>,
}

/// Redis at one moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Since the start of the clock.
    pub at_s: f64,
    /// Targets published.
    pub published: u64,
    /// Targets settled.
    pub settled: u64,
    /// `used_memory` in bytes.
    pub memory: u64,
}

impl Leg {
    /// Targets per second.
    pub fn rate(&self) -> f64 {
        self.targets as f64 / self.seconds
    }

    /// CPU time of all processes of this name, in µs per target.
    pub fn cpu_us(&self, name: &str) -> f64 {
        let cpu_s: f64 = self.used.iter().filter(|used| used.name == name).map(|used| used.cpu_s).sum();
        cpu_s * 1e6 / self.targets as f64
    }

    /// Highest resident memory of any process of this name, in bytes.
    pub fn peak_memory(&self, name: &str) -> u64 {
        self.used.iter().filter(|used| used.name == name).map(|used| used.peak_memory).max().unwrap_or(0)
    }

    /// A counter of MySQL per 1,000 targets.
    pub fn mysql_per_1000(&self, name: &str) -> f64 {
        self.counted.mysql(name) as f64 * 1_000.0 / self.targets as f64
    }

    /// Targets per second of the first and of the second half, by what was settled; without samples nothing.
    pub fn halves(&self) -> Option<(f64, f64)> {
        let half = self.targets / 2;
        // At the end, when the keys are removed, nothing is settled again.
        let begun = self.samples.iter().take_while(|sample| sample.settled == 0).last()?;
        let middle = self.samples.iter().find(|sample| sample.settled >= half)?;
        let end = self.samples.iter().find(|sample| sample.settled >= self.targets)?;
        let rate = |from: &Sample, to: &Sample| (to.settled - from.settled) as f64 / (to.at_s - from.at_s);
        (end.at_s > middle.at_s).then(|| (rate(begun, middle), rate(middle, end)))
    }
}

/// The bare loop over `targets` targets.
pub async fn floor(stand: &Stand, database: &str, targets: u64) -> Result<Leg> {
    let world = stand.world(database, &[])?;
    let mut mysql = world.connect().await?;
    let prepared = prepare(&mut mysql, "BENCH", targets).await?;
    world.calm(&mut mysql).await?;
    let launch = Launch::stage("floor", "floor", world.dir())?
        .args(["--database-url", &world.database_url])
        .args(["--money-url", &world.money.url(), "--money-token", world.money.token()])
        .args(["--promotion", &prepared.id.to_string(), "--campaign", &prepared.campaign])
        .args(["--last", &prepared.last.to_string()]);
    let before = counters::read(&mut mysql, None).await?;
    let meter = Meter::start(servers_of(&world, false)?)?;
    let told = run_program(&launch)?;
    let mut used = meter.read()?;
    used.push(Used { name: "floor".to_owned(), cpu_s: told.cpu_s, peak_memory: told.peak_memory });
    let counted = counters::read(&mut mysql, None).await?.since(&before);
    check(&world, &mut mysql, &prepared).await?;
    world.end()?;
    Ok(Leg {
        name: "floor".to_owned(),
        targets,
        seconds: told.seconds,
        used,
        counted,
        samples: Vec::new(),
        ran_for: None,
    })
}

/// Runs one of the benchmark's own programs to its end.
pub fn run_program(launch: &Launch) -> Result<Told> {
    let output = launch.run(RUN_BOUND)?.ok()?;
    serde_json::from_str(&output).with_context(|| format!("not understood: {output}"))
}

/// The whole pipeline over `targets` targets, from READY to COMPLETED.
pub async fn pipeline(stand: &Stand, database: &str, targets: u64, options: &Options) -> Result<Leg> {
    placed(stand, database, targets, options, Placement::Anywhere).await
}

/// The same, with its processes on certain cores.
pub async fn placed(
    stand: &Stand,
    database: &str,
    targets: u64,
    options: &Options,
    placement: Placement,
) -> Result<Leg> {
    let payers = options.payers;
    let world = stand.world(database, &[])?;
    let mut mysql = world.connect().await?;
    let prepared = prepare(&mut mysql, "BENCH", targets).await?;
    let stages = Stages::start(&world, Which::all(payers), &options.settings())?;
    world.calm(&mut mysql).await?;
    let mut redis = world.redis_connection()?;
    let before = counters::read(&mut mysql, Some(&mut redis)).await?;
    let processes: Vec<_> = servers_of(&world, true)?.into_iter().chain(stages.pids()).collect();
    let brake = placement.apply(&processes)?;
    let meter = Meter::start(processes.iter().cloned())?;
    let begun = Instant::now();
    prepared.seal(&mut mysql).await?;
    let sampler = Sampler::start(&world, prepared.id, begun)?;
    let looks = until_completed(&prepared, &mut mysql, &stages).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let used = meter.read()?;
    let ran_for = brake.map(Brake::release).transpose()?;
    let samples = sampler.stop()?;
    let mut counted = counters::read(&mut mysql, Some(&mut redis)).await?.since(&before);
    leave_out_our_own(&mut counted, looks, samples.len() as u64);
    // MariaDB is shared by all runs.
    Placement::Anywhere.apply(&processes)?;
    stages.stop()?;
    check(&world, &mut mysql, &prepared).await?;
    world.end()?;
    let name = if payers == 1 { "pipeline".to_owned() } else { format!("pipeline, {payers} payers") };
    Ok(Leg { name, targets, seconds, used, counted, samples, ran_for })
}

/// The servers' names and pids.
pub fn servers_of(world: &World<'_>, redis: bool) -> Result<Vec<(String, u32)>> {
    let mut servers = vec![("MariaDB".to_owned(), world.mysql_pid()?), ("money".to_owned(), world.money.pid())];
    if redis {
        servers.push(("Redis".to_owned(), world.redis.pid()?));
    }
    Ok(servers)
}

/// Waits for the end; tells how often it has looked.
pub async fn until_completed(prepared: &Prepared, mysql: &mut MySqlConnection, stages: &Stages) -> Result<u64> {
    let begun = Instant::now();
    for looks in 1.. {
        match prepared.status(mysql).await?.as_str() {
            "COMPLETED" => return Ok(looks),
            "FAILED" | "STOPPED" => bail!("the promotion has ended otherwise"),
            _ => {}
        }
        stages.check()?;
        if begun.elapsed() > RUN_BOUND {
            bail!("not completed within {RUN_BOUND:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(0)
}

/// All of it was paid, once, and MySQL knows it.
pub async fn check(world: &World<'_>, mysql: &mut MySqlConnection, prepared: &Prepared) -> Result<()> {
    let (count, total) = world.money.paid()?;
    let exact = |text: &str| text.parse::<rust_decimal::Decimal>().with_context(|| format!("not an amount: {text}"));
    let (paid, meant) = (exact(&total)?, exact(&prepared.total)?);
    let succeeded = prepared.succeeded(mysql).await?;
    if count != prepared.targets || paid != meant || succeeded != prepared.targets {
        bail!(
            "{} targets of {meant} were to be paid; money paid {count} of {paid}, and {succeeded} are SUCCESS",
            prepared.targets
        );
    }
    Ok(())
}

/// Takes our own questions out of the counts: looks at the promotion (two statements each the first time, then one),
/// and samples (INFO, and HMGET for each partition).
fn leave_out_our_own(counted: &mut Counted, looks: u64, samples: u64) {
    let less = |map: &mut std::collections::BTreeMap<String, u64>, name: &str, by: u64| {
        if let Some(value) = map.get_mut(name) {
            *value = value.saturating_sub(by);
        }
    };
    for name in ["Questions", "Com_select", "Com_stmt_execute"] {
        less(&mut counted.mysql, name, looks);
    }
    less(&mut counted.redis_calls, "info", samples + 1);
    less(&mut counted.redis_calls, "hmget", samples * u64::from(PARTITIONS));
    less(&mut counted.redis, "total_commands_processed", samples * u64::from(1 + PARTITIONS) + 1);
}

/// Looks at Redis ten times a second, from a thread of its own.
struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Sample>>>,
}

impl Sampler {
    fn start(world: &World<'_>, promotion: i64, begun: Instant) -> Result<Self> {
        let mut redis = world.redis_connection()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("sampler".to_owned()).spawn(move || {
            let mut samples = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                samples.push(sample(&mut redis, promotion, begun)?);
                thread::sleep(SAMPLE);
            }
            Ok(samples)
        })?;
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<Vec<Sample>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the sampler panicked"))?
    }
}

fn sample(redis: &mut redis::Connection, promotion: i64, begun: Instant) -> Result<Sample> {
    let mut pipe = redis::pipe();
    pipe.cmd("INFO").arg("memory");
    for number in 0..PARTITIONS {
        let counts = keys::counts(Partition { promotion: PromotionId(promotion), number });
        let fields = ["published_count", "success_count", "fail_count", "retry_success_count"];
        pipe.cmd("HMGET").arg(counts).arg(&fields);
    }
    let answers: Vec<redis::Value> = pipe.query(redis)?;
    let at_s = begun.elapsed().as_secs_f64();
    let mut answers = answers.into_iter();
    let info: String = redis::from_redis_value(answers.next().context("no answer")?)?;
    let memory = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap_or("0").trim().parse()?;
    let mut sample = Sample { at_s, published: 0, settled: 0, memory };
    for answer in answers {
        let counts: Vec<Option<u64>> = redis::from_redis_value(answer)?;
        let mut counts = counts.into_iter().map(Option::unwrap_or_default);
        sample.published += counts.next().unwrap_or(0);
        sample.settled += counts.sum::<u64>();
    }
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_told_from_what_was_settled() {
        let sample = |at_s: f64, settled: u64| Sample { at_s, published: settled, settled, memory: 0 };
        let leg = Leg {
            name: "pipeline".to_owned(),
            targets: 1_000,
            seconds: 4.0,
            used: Vec::new(),
            counted: Counted::default(),
            samples: vec![sample(0.0, 0), sample(1.0, 0), sample(2.0, 500), sample(4.0, 1_000), sample(4.1, 0)],
            ran_for: None,
        };
        assert_eq!(leg.halves(), Some((500.0, 250.0)));
        assert_eq!(leg.rate(), 250.0);
    }
}

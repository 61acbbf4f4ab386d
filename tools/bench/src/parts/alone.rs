//! Loader, dispatcher and payer, each alone against its own ceiling, in turns.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pipeline::domain::{Partition, PromotionId};
use pipeline::keys;
use servers::Launch;

use crate::account::{Meter, ended_children};
use crate::ceiling::insert::{amount, customer, reason};
use crate::floor::Told;
use crate::leg::run_program;
use crate::promotion::{PARTITIONS, Prepared, prepare};
use crate::report::{Alone, Report, rate};
use crate::run::{Options, say};
use crate::stages::{Stages, Which, program_of};
use crate::stand::{Stand, World};

/// No stage alone takes longer.
const BOUND: Duration = Duration::from_secs(1_800);
/// How exact beginning and end of a stage are seen.
const LOOK: Duration = Duration::from_millis(5);
/// A dispatcher that is never held up by its window.
const NO_WINDOW: [(&str, &str); 1] = [("PAYOUT_DISPATCHER_WINDOW", "10000000")];

/// All three.
pub async fn measure(options: &Options, stand: &Stand, report: &mut Report) -> Result<()> {
    let targets = options.targets();
    for number in 1..=options.pairs() {
        say(&format!("stages alone, {number} of {}: {targets} targets each", options.pairs()));
        let name = |what: &str| format!("{what}_{number}");
        let (stage_run, ceiling_run) =
            (load(stand, &name("load"), targets).await?, insert(stand, &name("insert"), targets).await?);
        add(report, "loader", "a bare multi-row insert", stage_run, ceiling_run);
        let stage_run = dispatch(stand, &name("dispatch"), targets).await?;
        let ceiling_run = publish(stand, &name("publish"), targets).await?;
        add(report, "dispatcher", "paging and pipelined XADD", stage_run, ceiling_run);
        let (stage_run, ceiling_run) =
            (pay(stand, &name("pay"), targets).await?, write(stand, &name("write"), targets).await?);
        add(report, "payer, money at once", "reading and the two writes, money not asked", stage_run, ceiling_run);
    }
    // The table shows the runs of a stage together.
    report.alone.sort_by_key(|one| ["loader", "dispatcher"].iter().position(|name| *name == one.stage).unwrap_or(2));
    Ok(())
}

fn add(report: &mut Report, stage: &str, ceiling: &str, stage_run: Told, ceiling_run: Told) {
    let alone = Alone { stage: stage.to_owned(), ceiling: ceiling.to_owned(), stage_run, ceiling_run };
    let (stage_rate, ceiling_rate) = (rate(&alone.stage_run), rate(&alone.ceiling_run));
    println!("{stage}: {stage_rate:.0}/s, {ceiling}: {ceiling_rate:.0}/s, {:.3} of it", alone.ratio());
    report.alone.push(alone);
}

async fn load(stand: &Stand, database: &str, targets: u64) -> Result<Told> {
    let world = stand.world(database, &[])?;
    let file = write_file(world.dir(), targets)?;
    world.calm(&mut world.connect().await?).await?;
    let loader = program_of(&world, "loader", "loader")?
        .args(["--type", "POINT", "--campaign-code", "BENCH", "--yes", "-o", "json"])
        .arg(&file);
    // The loader ends by itself: its use is told by its parent's account of ended children.
    let (begun, before) = (Instant::now(), ended_children()?);
    loader.run(BOUND)?.ok()?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_s = (ended_children()? - before).as_secs_f64();
    std::fs::remove_file(file)?;
    world.end()?;
    Ok(Told { targets, seconds, cpu_s, peak_memory: 0, redis_cpu_s: 0.0 })
}

fn write_file(dir: &Path, targets: u64) -> Result<PathBuf> {
    let path = dir.join("targets.csv");
    let mut out = BufWriter::new(File::create(&path)?);
    writeln!(out, "customer_uid,amount,reason,merchant_code,merchant_brand_code,expired_at")?;
    for n in 0..targets {
        writeln!(out, "{},{},\"{}\",M0001,B001,2027-12-31", customer(n), amount(n), reason(n))?;
    }
    out.flush()?;
    Ok(path)
}

async fn insert(stand: &Stand, database: &str, targets: u64) -> Result<Told> {
    let world = stand.world(database, &[])?;
    world.calm(&mut world.connect().await?).await?;
    let launch = ceiling(&world, "insert")?.args(["--targets", &targets.to_string()]);
    let told = run_program(&launch)?;
    world.end()?;
    Ok(told)
}

fn ceiling(world: &World<'_>, which: &str) -> Result<Launch> {
    let launch = Launch::stage("ceiling", "ceiling", world.dir())?.arg(which);
    Ok(launch.args(["--database-url", &world.database_url]))
}

/// From the first to the last that was seen published; its CPU until the last mark is written.
async fn dispatch(stand: &Stand, database: &str, targets: u64) -> Result<Told> {
    let world = stand.world(database, &[])?;
    let mut mysql = world.connect().await?;
    let prepared = prepare(&mut mysql, "BENCH", targets).await?;
    let dispatcher = Stages::start(&world, Which { dispatcher: true, ..Which::NONE }, &NO_WINDOW)?;
    world.calm(&mut mysql).await?;
    let meter = Meter::start(dispatcher.pids())?;
    prepared.seal(&mut mysql).await?;
    let mut told = watch(&world, &prepared, &dispatcher, &meter, "published_count", targets)?;
    until_marked(&prepared, &mut mysql).await?;
    told.cpu_s = meter.read()?.iter().map(|used| used.cpu_s).sum();
    dispatcher.stop()?;
    world.end()?;
    Ok(told)
}

async fn until_marked(prepared: &Prepared, mysql: &mut sqlx::MySqlConnection) -> Result<()> {
    let begun = Instant::now();
    loop {
        // The last ones are marked last: a look at the newest rows is enough, and cheap.
        let open: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM (SELECT publish_status FROM campaign_promotion_point_targets \
             WHERE promotion_id = ? AND point_target_id > ?) t WHERE publish_status = 'PENDING'",
        )
        .bind(prepared.id)
        .bind(prepared.last - 20_000)
        .fetch_one(&mut *mysql)
        .await?;
        if open == 0 {
            return Ok(());
        }
        if begun.elapsed() > BOUND {
            bail!("targets were not marked as published within {BOUND:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn publish(stand: &Stand, database: &str, targets: u64) -> Result<Told> {
    let world = stand.world(database, &[])?;
    let mut mysql = world.connect().await?;
    let prepared = prepare(&mut mysql, "BENCH", targets).await?;
    world.calm(&mut mysql).await?;
    let launch = ceiling(&world, "publish")?
        .args(["--redis-url", &world.redis.url(), "--promotion", &prepared.id.to_string()])
        .args(["--last", &prepared.last.to_string()]);
    let told = run_program(&launch)?;
    world.end()?;
    Ok(told)
}

/// A payer over streams that hold everything.
async fn pay(stand: &Stand, database: &str, targets: u64) -> Result<Told> {
    let world = stand.world(database, &[])?;
    let (mut mysql, prepared) = published(&world, targets).await?;
    world.calm(&mut mysql).await?;
    let launch = program_of(&world, "payer", "payer-1")?.env("PAYOUT_CONSUMER_NAME", "payer-1");
    let payer = launch.start()?;
    let meter = Meter::start([("payer".to_owned(), payer.pid())])?;
    let told = watch(&world, &prepared, &payer, &meter, "success_count", targets)?;
    payer.stop(Duration::from_secs(30))?;
    world.end()?;
    Ok(told)
}

async fn write(stand: &Stand, database: &str, targets: u64) -> Result<Told> {
    let world = stand.world(database, &[])?;
    let (mut mysql, prepared) = published(&world, targets).await?;
    world.calm(&mut mysql).await?;
    let launch = ceiling(&world, "pay")?
        .args(["--redis-url", &world.redis.url(), "--promotion", &prepared.id.to_string()])
        .args(["--targets", &targets.to_string()]);
    let told = run_program(&launch)?;
    world.end()?;
    Ok(told)
}

/// A promotion whose targets are all on the streams, and whose dispatcher has ended.
async fn published(world: &World<'_>, targets: u64) -> Result<(sqlx::MySqlConnection, Prepared)> {
    let mut mysql = world.connect().await?;
    let prepared = prepare(&mut mysql, "BENCH", targets).await?;
    let dispatcher = Stages::start(world, Which { dispatcher: true, ..Which::NONE }, &NO_WINDOW)?;
    let meter = Meter::start(dispatcher.pids())?;
    prepared.seal(&mut mysql).await?;
    watch(world, &prepared, &dispatcher, &meter, "published_count", targets)?;
    until_marked(&prepared, &mut mysql).await?;
    dispatcher.stop()?;
    Ok((mysql, prepared))
}

/// What can be asked whether it still runs.
trait Runs {
    fn check(&self) -> Result<()>;
}

impl Runs for Stages {
    fn check(&self) -> Result<()> {
        Stages::check(self)
    }
}

impl Runs for servers::Process {
    fn check(&self) -> Result<()> {
        if self.is_running() { Ok(()) } else { bail!(self.trouble("ended by itself")) }
    }
}

/// Watches a count on all partitions from its first step to `targets`. The rate is that between the two: neither the
/// process's start nor its pause between two looks for work are a part of it.
fn watch(
    world: &World<'_>,
    prepared: &Prepared,
    stage: &impl Runs,
    meter: &Meter,
    field: &str,
    targets: u64,
) -> Result<Told> {
    let mut redis = world.redis_connection()?;
    let (begun, mut first) = (Instant::now(), None);
    loop {
        let mut pipe = redis::pipe();
        for number in 0..PARTITIONS {
            pipe.cmd("HGET").arg(keys::counts(Partition { promotion: PromotionId(prepared.id), number })).arg(field);
        }
        let counts: Vec<Option<u64>> = pipe.query(&mut redis)?;
        let (now, count) = (Instant::now(), counts.into_iter().flatten().sum::<u64>());
        if count > 0 {
            let (since, before) = *first.get_or_insert((now, count));
            if count >= targets {
                let seconds = now.duration_since(since).as_secs_f64();
                let used = meter.read()?;
                let cpu_s = used.iter().map(|used| used.cpu_s).sum::<f64>();
                let peak_memory = used.iter().map(|used| used.peak_memory).max().context("no process")?;
                // As if the rate between had been that of all.
                let seconds = seconds * targets as f64 / (count - before).max(1) as f64;
                return Ok(Told { targets, seconds, cpu_s, peak_memory, redis_cpu_s: 0.0 });
            }
        }
        stage.check()?;
        if begun.elapsed() > BOUND {
            bail!("only {count} of {targets} within {BOUND:?}");
        }
        std::thread::sleep(LOOK);
    }
}

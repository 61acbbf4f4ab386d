//! `cargo xtask demo`: a real campaign, from two CSV files to a ledger that matches every row.
//!
//! Reads top to bottom: install and build, start everything, load, watch (and kill a payer on the way), compare.

mod books;
mod build;
mod compare;
mod load;
mod report;
mod stack;
mod targets;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::install;
use crate::run_dir::RunDir;
use stack::Stack;
use targets::Kind;

/// What a shell reports for a program that Ctrl-C ended.
const EXIT_INTERRUPTED: i32 = 130;

/// How a demo runs.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Payouts altogether: half of them points, half vouchers
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    targets: u32,
    /// Leaves everything running at the end and prints its addresses; `cargo xtask down` ends it
    #[arg(long)]
    keep_running: bool,
    /// Kill one payer (SIGKILL) when this share of the payouts is done, and start another one
    #[arg(long, value_name = "PERCENT", default_value_t = 40, value_parser = clap::value_parser!(u8).range(1..=99))]
    kill_payer_at: u8,
    /// Let all payers live
    #[arg(long, conflicts_with = "kill_payer_at")]
    no_kill_payer: bool,
}

impl Options {
    fn points(&self) -> u32 {
        self.targets / 2
    }

    fn count_of(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Point => self.points(),
            Kind::Voucher => self.targets - self.points(),
        }
    }
}

/// Runs the demo; success only when every check passed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    install::ensure()?;
    build::release()?;
    let dir = Arc::new(RunDir::claim(servers::demo_dir())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    end_on_signal(&runtime, Arc::clone(&dir));

    step("starting Redis, MariaDB, the money sandbox and the stages");
    let mut stack = Stack::start(Arc::clone(&dir), options.keep_running)?;
    let passed = pay(&runtime, &mut stack, options);
    while dir.is_ending() {
        // Interrupted: whoever does that also exits.
        std::thread::park();
    }
    if options.keep_running && passed.is_ok() {
        report::addresses(&stack)?;
        stack.leave_running()?;
    } else {
        if let Err(error) = &passed {
            eprintln!("error: {error:#}\nthe logs are in {}", dir.path().display());
        }
        step("ending everything");
        for trouble in stack.stop() {
            println!("  {trouble}");
        }
    }
    let passed = passed.unwrap_or(false);
    println!("\n{}", if passed { "PASS" } else { "FAIL" });
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads, watches, compares; whether everything is as it should be.
fn pay(runtime: &Runtime, stack: &mut Stack, options: &Options) -> Result<bool> {
    step(&format!("writing and loading {} targets", options.targets));
    let mut files = Vec::new();
    for kind in Kind::ALL {
        let path = stack.dir().join(kind.file());
        let written = targets::write(kind, options.count_of(kind), &path)?;
        files.push((kind, path, written));
    }
    let begun = Instant::now();
    let loads = load::in_background(stack, files)?;
    let pool = runtime.block_on(books::connect(&stack.database_url()))?;
    watch::until_completed(runtime, &pool, stack, options, &loads)?;
    let loaded = loads.finish()?;
    println!("paid in {}", watch::seconds(begun.elapsed()));

    step("comparing targets, results and the ledger");
    let mut books = Vec::new();
    for load in &loaded {
        let rows = runtime.block_on(books::read(&pool, load.kind, load.promotion_id))?;
        books.push(compare::with_ledger(load, rows, stack.money_addr()?)?);
    }
    runtime.block_on(pool.close());
    report::table(&books);
    let mut passed = books.iter().all(compare::Books::balance);
    for load in &loaded {
        passed &= audit(stack, load.promotion_id)?;
    }
    Ok(passed)
}

/// The operator's own check, over Redis too; prints what it finds.
fn audit(stack: &Stack, promotion_id: i64) -> Result<bool> {
    let url = stack.money_url();
    let args = ["audit".to_owned(), promotion_id.to_string(), "--ledger".to_owned(), url];
    let finished = stack.tool("promoctl")?.args(&args).run(Duration::from_secs(300))?;
    println!("\npromoctl {}\n{}{}", args.join(" "), finished.stdout.trim_end(), finished.stderr.trim_end());
    Ok(finished.status.success())
}

/// Ctrl-C and SIGTERM end everything that was started, then us; a second one ends us at once.
fn end_on_signal(runtime: &Runtime, dir: Arc<RunDir>) {
    runtime.spawn(async move {
        if let Err(error) = first_signal().await {
            eprintln!("signals cannot be watched: {error:#}");
            return;
        }
        eprintln!("\ninterrupted: ending everything");
        tokio::spawn(async {
            if first_signal().await.is_ok() {
                std::process::exit(EXIT_INTERRUPTED);
            }
        });
        let ended = tokio::task::spawn_blocking(move || dir.end_all()).await;
        if let Ok(Err(error)) = ended {
            eprintln!("error: {error:#}");
        }
        std::process::exit(EXIT_INTERRUPTED);
    });
}

async fn first_signal() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        received = interrupt.recv() => received,
        received = terminate.recv() => received,
    }
    .context("no more signals will come")
}

fn step(text: &str) {
    println!("\n=== {text}");
}

//! The loader: a CSV file becomes a promotion that is READY.
//!
//! Two passes. The first reads the whole file and writes nothing ([`survey`]); whoever started the loader is shown
//! what it found and asked. The second stores the targets while the promotion is LOADING ([`batches`], [`load`]) and
//! seals it. A refused file leaves no promotion behind, and a killed load goes on where it stopped.

mod arguments;
mod batches;
mod csv;
mod ending;
mod load;
mod plan;
mod progress;
mod refusal;
mod rejected;
mod report;
mod run;
mod seen;
mod survey;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use pipeline::config::{Config, Needs, process_environment};
use pipeline::stage::{self, Stage};

use arguments::Arguments;
use ending::Ending;

/// Exit code: refused or misused, as the command line parser has it.
const EXIT_REFUSED: u8 = 2;

const STAGE: Stage = Stage { name: "loader", needs: Needs { redis: false, money: false, pin: false, webhook: false } };

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match stage::configure(STAGE.name, STAGE.needs, arguments.config.as_deref(), &process_environment()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if arguments.check {
        println!("loader: the configuration is complete");
        return ExitCode::SUCCESS;
    }
    if arguments.dump_config {
        print!("{}", config.dump());
        return ExitCode::SUCCESS;
    }
    stage::start_logging(STAGE.name, &config);
    match start(&arguments, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ending::Refused(refusal)) => {
            eprintln!("loader: {refusal}");
            ExitCode::from(EXIT_REFUSED)
        }
        Err(Ending::Failed(error)) => {
            tracing::error!(error = format!("{error:#}"), "failed");
            ExitCode::from(stage::EXIT_FAILED)
        }
    }
}

fn start(arguments: &Arguments, config: &Config) -> Result<(), Ending> {
    // The second thread answers probes while this one reads the file.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        let health = stage::expose(STAGE, config).await;
        run::run(arguments, config, &health).await
    })
}

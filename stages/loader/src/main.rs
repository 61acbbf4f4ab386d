//! The loader as a program: configuration, command line, exit code. What it does is told in `lib.rs`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use loader::arguments::Arguments;
use loader::ending::Ending;
use loader::run;
use pipeline::config::{Config, Needs, process_environment};
use pipeline::stage::{self, Stage};

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

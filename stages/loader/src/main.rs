//! The loader as a program: configuration, command line, exit code. What it does is told in `lib.rs`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use loader::arguments::Arguments;
use loader::ending::Ending;
use loader::run;
use pipeline::config::{Config, Needs, process_environment};
use pipeline::stage;

/// Exit code: refused or misused, as the command line parser has it.
const EXIT_REFUSED: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let needs = Needs { redis: false, money: false, pin: false };
    let config = match stage::configure("loader", needs, arguments.config.as_deref(), &process_environment()) {
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
    stage::start_logging("loader", &config);
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(run::run(arguments, config))
}

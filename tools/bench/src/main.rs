//! `cargo xtask bench`, built in release.

use std::process::ExitCode;

use clap::Parser;

/// The pipeline against the bare loop, each stage against its own ceiling, latency, limits and idle cost
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", version)]
struct Cli {
    #[command(flatten)]
    options: bench::run::Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match bench::run::run(&Cli::parse().options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

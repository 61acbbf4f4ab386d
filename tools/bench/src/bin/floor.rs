//! The bare loop as a program.

use clap::Parser;

/// The bare loop: page targets, ask money, insert results
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: bench::floor::Options,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let told = bench::floor::run(Cli::parse().options).await?;
    println!("{}", serde_json::to_string(&told)?);
    Ok(())
}

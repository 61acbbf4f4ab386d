//! What each stage is compared with, as a program.

use clap::Parser;

/// What a stage is compared with
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    ceiling: bench::ceiling::Ceiling,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let told = bench::ceiling::run(Cli::parse().ceiling).await?;
    println!("{}", serde_json::to_string(&told)?);
    Ok(())
}

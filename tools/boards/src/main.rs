//! `boards --render DIR`: pays for a minute under Prometheus, with every fault, and draws what the boards show of it.

use std::path::PathBuf;

use anyhow::Context as _;
use boards::run::Run;
use boards::{draw, panel};
use clap::Parser;

/// Draws Grafana's boards as they show a real run
#[derive(Debug, Parser)]
#[command(name = "boards", version)]
struct Cli {
    /// Where the pictures go, one SVG for each board
    #[arg(long, value_name = "DIR")]
    render: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Cli { render } = Cli::parse();
    std::fs::create_dir_all(&render).with_context(|| format!("cannot create {}", render.display()))?;
    let boards = panel::boards()?;
    let run = Run::through()?;
    for board in &boards {
        draw::board(board, &run.prometheus, run.whole, &render)?;
        println!("{}", render.join(format!("{}.svg", board.name)).display());
    }
    Ok(())
}

//! `cargo xtask down`: ends what `demo --keep-running`, or a demo that was killed, left.

use std::process::ExitCode;

use anyhow::Result;

use crate::run_dir::RunDir;

/// Ends exactly the processes that were recorded; the data stays until the next demo.
pub(crate) fn run() -> Result<ExitCode> {
    let ended = RunDir::open(servers::demo_dir()).end_all()?;
    if ended.is_empty() {
        println!("nothing is running");
    } else {
        println!("ended {}", ended.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

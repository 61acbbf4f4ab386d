//! `cargo xtask reliability`: makes `docs/reliability.md` of what the runs left behind.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

/// Reads the sections and writes the document.
pub(crate) fn run() -> Result<ExitCode> {
    let sections = reliability::read(&reliability::dir())?;
    ensure!(!sections.is_empty(), "no run has left figures in {} yet", reliability::dir().display());
    let path = servers::workspace_dir().join("docs/reliability.md");
    std::fs::write(&path, reliability::render(&sections))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{} holds {} sections", path.display(), sections.len());
    Ok(ExitCode::SUCCESS)
}

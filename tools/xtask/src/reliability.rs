//! `cargo xtask reliability`: takes what the runs left behind into `docs/reliability.json`, and makes
//! `docs/reliability.md` of it.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

/// Reads the sections and writes both.
pub(crate) fn run() -> Result<ExitCode> {
    let newer = reliability::read(&reliability::dir())?;
    let docs = servers::workspace_dir().join("docs");
    let (figures, page) = (docs.join("reliability.json"), docs.join("reliability.md"));
    let kept = reliability::kept(&figures)?;
    let sections = reliability::renewed(kept.clone(), newer);
    ensure!(!sections.is_empty(), "no run has left figures in {} yet", reliability::dir().display());
    let renewed = sections.iter().filter(|section| !kept.contains(section)).count();
    let text = serde_json::to_string_pretty(&sections)? + "\n";
    for (path, text) in [(&figures, text), (&page, reliability::render(&sections))] {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("{} holds {} sections, {renewed} of them new", page.display(), sections.len());
    Ok(ExitCode::SUCCESS)
}

//! The tests' programs, built once and run directly.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// A test program and the folder in which cargo would run it.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) folder: PathBuf,
}

/// Programs by package and target.
#[derive(Debug)]
pub(crate) struct Programs(HashMap<(String, String), Program>);

impl Programs {
    /// The program of a test target; for a stage's own unit tests the target is the stage.
    pub(crate) fn of(&self, package: &str, target: &str) -> Result<&Program> {
        let key = (package.to_owned(), target.to_owned());
        self.0.get(&key).with_context(|| format!("package {package} has no test target {target}"))
    }
}

/// Builds the tests, and finds those of these packages.
pub(crate) fn build(packages: &[&str]) -> Result<Programs> {
    let mut tests = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tests.current_dir(servers::workspace_dir());
    // All of the workspace: the same features for all, or what is built for one package is built again for another.
    tests.args(["test", "--workspace", "--no-run", "--message-format=json"]).stderr(Stdio::inherit());
    let output = tests.output().context("cannot run cargo")?;
    ensure!(output.status.success(), "the tests cannot be built");
    let mut programs = HashMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        if let Some((key, program)) = program(&message)
            && packages.contains(&key.0.as_str())
        {
            programs.insert(key, program);
        }
    }
    if programs.is_empty() {
        bail!("cargo names no test programs");
    }
    Ok(Programs(programs))
}

fn program(message: &Value) -> Option<((String, String), Program)> {
    if message["profile"]["test"] != true {
        return None;
    }
    let path = PathBuf::from(message["executable"].as_str()?);
    let folder = PathBuf::from(message["manifest_path"].as_str()?).parent()?.to_owned();
    let package = folder.file_name()?.to_str()?.to_owned();
    let target = message["target"]["name"].as_str()?.to_owned();
    Some(((package, target), Program { path, folder }))
}

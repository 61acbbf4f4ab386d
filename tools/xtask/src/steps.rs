//! A series of commands that stops at the first failure and ends with a summary.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use comfy_table::{Table, presets};

/// One command with the name that the summary shows.
pub(crate) struct Step {
    name: &'static str,
    command: Command,
}

impl Step {
    /// A cargo command in the workspace.
    pub(crate) fn cargo<const N: usize>(name: &'static str, args: [&str; N]) -> Self {
        let mut command = cargo();
        command.args(args);
        Self { name, command }
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }
}

/// Cargo, as it was called, at the root of the workspace.
pub(crate) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(servers::workspace_dir());
    command
}

/// Runs the steps in order; not 0 when one failed.
pub(crate) fn run(steps: Vec<Step>) -> Result<ExitCode> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["step", "result", "seconds"]);
    let mut failed = None;
    for Step { name, mut command } in steps {
        if failed.is_some() {
            table.add_row([name, "not run", ""]);
            continue;
        }
        println!("\n=== {name}: {}", shown(&command));
        let begun = Instant::now();
        let status = command.status().with_context(|| format!("cannot run {}", shown(&command)))?;
        let result = if status.success() { "ok" } else { "FAILED" };
        table.add_row([name, result, &seconds(begun.elapsed())]);
        if !status.success() {
            failed = Some(name);
        }
    }
    println!("\n{table}");
    match failed {
        None => {
            println!("\nall steps passed");
            Ok(ExitCode::SUCCESS)
        }
        Some(name) => {
            println!("\nFAILED: {name}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}

fn shown(command: &Command) -> String {
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    std::iter::once("cargo".into()).chain(args).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &'static str, script: &str) -> Step {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Step { name, command }
    }

    #[test]
    fn nothing_runs_after_a_failed_step() {
        let dir = tempfile::tempdir().unwrap();
        let mark = |name: &str| format!("touch {}", dir.path().join(name).display());
        let steps = vec![shell("one", &mark("one")), shell("two", "exit 3"), shell("three", &mark("three"))];
        let code = run(steps).unwrap();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
        assert!(dir.path().join("one").exists() && !dir.path().join("three").exists());
    }
}

//! Finding programs: the servers that the distribution installs, and our own binaries.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{profile_dir, workspace_dir};

/// A Debian package whose programs we start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package(pub &'static str);

/// Debian puts servers here; a user's PATH need not contain it.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];

/// The first of `names` on the PATH or among the system's folders.
pub fn program(names: &[&str], package: Package) -> Result<PathBuf> {
    find(names).with_context(|| {
        format!(
            "{} is not installed (Debian package {}): `cargo xtask install` installs it",
            names.join(" or "),
            package.0
        )
    })
}

fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).chain(SYSTEM_FOLDERS.iter().map(PathBuf::from)).collect();
    names.iter().find_map(|name| {
        let mut candidates = folders.iter().map(|folder| folder.join(name));
        candidates.find(|candidate| candidate.is_file())
    })
}

/// One of our own binaries, of the profile that the caller was built with; built now when it is missing.
///
/// A binary that exists is taken as it is: `cargo xtask test` builds them all first, and so should you after a change
/// (`cargo build --workspace`).
pub fn binary(name: &str) -> Result<PathBuf> {
    let dir = profile_dir()?;
    let path = dir.join(name);
    if !path.is_file() {
        build(name, &dir)?;
    }
    if !path.is_file() {
        bail!("building {name} left no {}", path.display());
    }
    Ok(path)
}

fn build(name: &str, dir: &Path) -> Result<()> {
    let profile = match dir.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(other) => other,
    };
    eprintln!("building {name} (profile {profile}), which is missing in {}", dir.display());
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile, "--bin", name])
        .current_dir(workspace_dir())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("cannot build {name}: `cargo build --profile {profile} --bin {name}` failed ({status})");
    }
    Ok(())
}

//! Where things live: the target directory, the profile's binaries, a directory for each instance.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::ProcessId;

/// The workspace's root, as of the build.
pub fn workspace_dir() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The commit that is checked out, with a `+` where files differ from it.
pub fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(workspace_dir()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short=10", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|status| !status.is_empty());
    if changed { format!("{head}+") } else { head }
}

/// Where a demo runs: emptied by the next one. Who holds its file `lock` keeps demos and benchmarks away.
pub fn demo_dir() -> PathBuf {
    workspace_dir().join(".run/demo")
}

/// The directory with the binaries of the profile that this very program was built with, for example `target/debug`.
pub fn profile_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("cannot find the running program")?;
    let dir = exe.parent().context("the running program has no folder")?;
    // Test programs and examples lie one folder deeper.
    let nested = dir.ends_with("deps") || dir.ends_with("examples");
    let dir = if nested { dir.parent() } else { Some(dir) };
    Ok(dir.context("the running program has no folder")?.to_owned())
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, or the one that this program lies in, or the workspace's.
pub fn target_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("CARGO_TARGET_DIR") {
        return workspace_dir().join(dir);
    }
    let built_in = std::env::current_exe()
        .ok()
        .and_then(|exe| exe.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()).map(Path::to_owned));
    built_in.unwrap_or_else(|| workspace_dir().join("target"))
}

/// What we keep between runs: `target/servers`.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let dir = target_dir().join("servers");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// The directory of one instance, removed with it when it is ours.
#[derive(Debug)]
pub(crate) struct InstanceDir {
    path: PathBuf,
    keep: bool,
}

impl InstanceDir {
    /// The given directory, kept when the instance ends, or a new one under `target/servers/run`.
    pub(crate) fn new(name: &str, given: Option<&Path>) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = match given {
            Some(dir) => dir.to_owned(),
            None => {
                let me = ProcessId::of(std::process::id()).context("no entry in /proc for us")?;
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                run_dir()?.join(format!("{me}-{name}-{number}"))
            }
        };
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let path = path.canonicalize()?;
        Ok(Self { path, keep: given.is_some() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for InstanceDir {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// `target/servers/run`, without what processes left there that have ended since: an instance in a `static`, or of a
/// killed process, is not dropped.
fn run_dir() -> Result<PathBuf> {
    static SWEPT: OnceLock<()> = OnceLock::new();
    let dir = cache_dir()?.join("run");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    SWEPT.get_or_init(|| sweep(&dir));
    Ok(dir)
}

fn sweep(run: &Path) {
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.split('-').next());
        let owner = owner.and_then(|id| id.parse::<ProcessId>().ok());
        if owner.is_some_and(|id| !id.is_running()) {
            // Another process may be sweeping the same directory.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

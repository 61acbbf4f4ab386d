//! The git-ignored folder `.run/demo/` with everything of one demo, and who runs in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use servers::{ProcessId, poll};

/// A stage drains for seconds at most; a server shuts down in less.
const GRACE: Duration = Duration::from_secs(20);
const KILL_BOUND: Duration = Duration::from_secs(10);

/// `.run/demo/`: one line `PID@START NAME` for each process in `pids`, in the order of their start. The start time makes sure
/// that only the very process that was started is ever ended, never one that has its pid later.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    pids: Mutex<()>,
    ending: AtomicBool,
    /// Held for as long as a demo is being started or watched.
    _lock: Option<File>,
}

impl RunDir {
    /// The folder as it is.
    pub(crate) fn open(path: PathBuf) -> Self {
        Self { path, pids: Mutex::default(), ending: AtomicBool::new(false), _lock: None }
    }

    /// The folder for a new demo: emptied, and refused while another demo runs in it.
    pub(crate) fn claim(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let lock = File::create(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another demo is running here"),
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock .run/demo/lock"),
        }
        let dir = Self { path, pids: Mutex::default(), ending: AtomicBool::new(false), _lock: Some(lock) };
        if let Some((name, id)) = dir.running()?.first() {
            bail!("a demo is still up ({name}, pid {}): `cargo xtask down` ends it", id.pid);
        }
        for entry in fs::read_dir(&dir.path)? {
            let entry = entry?;
            if entry.file_name() == "lock" {
                continue;
            }
            let is_dir = entry.file_type()?.is_dir();
            let removed = if is_dir { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
            removed.with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
        Ok(dir)
    }

    /// A file or folder in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts something and writes down its pid in one step, so that an interrupt between the two misses nothing.
    pub(crate) fn start<T>(
        &self,
        name: &str,
        start: impl FnOnce() -> Result<T>,
        id: impl FnOnce(&T) -> Result<ProcessId>,
    ) -> Result<T> {
        let _guard = self.pids.lock();
        let started = start()?;
        let line = format!("{} {name}\n", id(&started)?);
        let mut file = OpenOptions::new().create(true).append(true).open(self.join("pids"))?;
        file.write_all(line.as_bytes())?;
        Ok(started)
    }

    /// Whether everything is being ended: what fails from now on fails for that reason.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// What was started here and still runs, in the order of start.
    pub(crate) fn running(&self) -> Result<Vec<(String, ProcessId)>> {
        let text = match fs::read_to_string(self.join("pids")) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).context("cannot read .run/demo/pids"),
        };
        let mut running = Vec::new();
        for line in text.lines() {
            let (id, name) = line.split_once(' ').with_context(|| format!("cannot read .run/demo/pids: {line:?}"))?;
            let id: ProcessId = id.parse()?;
            if id.is_running() {
                running.push((name.to_owned(), id));
            }
        }
        Ok(running)
    }

    /// Ends exactly what was started here and still runs, the last started first, so that every stage still has its
    /// servers while it drains. Returns their names.
    pub(crate) fn end_all(&self) -> Result<Vec<String>> {
        self.ending.store(true, Ordering::SeqCst);
        let _guard = self.pids.lock();
        let mut ended = Vec::new();
        for (name, id) in self.running()?.into_iter().rev() {
            id.terminate();
            let gone = || (!id.is_running()).then_some(());
            if poll(GRACE, gone).is_none() {
                id.kill9();
                poll(KILL_BOUND, gone).with_context(|| format!("{name} (pid {}) cannot be killed", id.pid))?;
            }
            ended.push(name);
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::process::{Child, Command};

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    /// Reaps, as init does for a process whose parent has gone.
    fn reap(mut child: Child) -> std::thread::JoinHandle<bool> {
        std::thread::spawn(move || child.wait().unwrap().success())
    }

    #[test]
    fn down_ends_what_was_recorded_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::claim(folder.path().to_owned()).unwrap();
        let id_of = |child: &Child| Ok(ProcessId::of(child.id()).unwrap());
        let ours = dir.start("ours", || Ok(sleeper()), id_of).unwrap();
        // A pid that was reused: the recorded process is gone, another one has its pid now.
        let mut other = sleeper();
        let now = ProcessId::of(other.id()).unwrap();
        let then = ProcessId { start_ticks: now.start_ticks - 1, ..now };
        fs::write(
            folder.path().join("pids"),
            format!("{}{then} gone\n", fs::read_to_string(folder.path().join("pids")).unwrap()),
        )
        .unwrap();
        let ours = reap(ours);
        assert_eq!(RunDir::open(folder.path().to_owned()).end_all().unwrap(), ["ours"]);
        assert!(!ours.join().unwrap());
        assert!(now.is_running(), "a process that only has the pid was ended");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_second_demo_is_refused_while_one_runs_and_begins_with_an_empty_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("old.csv"), "x").unwrap();
        let first = RunDir::claim(path.clone()).unwrap();
        assert!(!path.join("old.csv").exists());
        assert!(RunDir::claim(path.clone()).unwrap_err().to_string().contains("another demo"));
        let id_of = |child: &Child| Ok(ProcessId::of(child.id()).unwrap());
        let mut child = first.start("left", || Ok(sleeper()), id_of).unwrap();
        drop(first);
        assert!(RunDir::claim(path.clone()).unwrap_err().to_string().contains("cargo xtask down"));
        child.kill().unwrap();
        child.wait().unwrap();
        RunDir::claim(path).unwrap();
    }
}

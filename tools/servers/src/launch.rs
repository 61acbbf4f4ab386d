//! Our own binaries as processes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{Daemon, Lifetime, ProcessId, binary, poll, spawn};

/// Settings that our binaries read: a launched process gets those that it is given, never those that happen to be set
/// in the developer's shell.
const OUR_SETTINGS: [&str; 4] = ["PAYOUT_", "DATABASE_URL", "REDIS_URL", "MONEY_"];

/// How to start one of our binaries: program, arguments, environment, where its log goes.
#[derive(Clone, Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    dir: PathBuf,
    lifetime: Lifetime,
}

impl Launch {
    /// One of our binaries (see [`binary`]), called `name` in its log's file name; files go to `dir`, which is created.
    pub fn stage(bin: &str, name: &str, dir: impl AsRef<Path>) -> Result<Self> {
        Self::program(binary(bin)?, name, dir)
    }

    /// Any program.
    pub fn program(program: PathBuf, name: &str, dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self {
            name: name.to_owned(),
            program,
            args: Vec::new(),
            envs: Vec::new(),
            dir: dir.canonicalize()?,
            lifetime: Lifetime::default(),
        })
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        for arg in args {
            self.args.push(arg.as_ref().to_owned());
        }
        self
    }

    /// Sets one environment variable; a later one of the same name wins.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let pair = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.envs.push(pair);
        self
    }

    /// Sets environment variables.
    #[must_use]
    pub fn envs(mut self, pairs: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> Self {
        for (name, value) in pairs {
            self = self.env(name, value);
        }
        self
    }

    /// How long it may live.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Starts it as a process that keeps running; its output is appended to `DIR/NAME.log`. Does not wait for it to be
    /// ready: see [`Process::metrics_addr`].
    pub fn start(self) -> Result<Process> {
        let daemon = self.spawn()?;
        Ok(Process { launch: self, daemon: Mutex::new(daemon) })
    }

    /// Runs it to its end, at most for `bound`; kills it when it takes longer. A status other than 0 is no error here:
    /// see [`Finished::ok`].
    pub fn run(&self, bound: Duration) -> Result<Finished> {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn::spawn(command, self.lifetime)?;
        // Both are read while it runs, so that a full pipe never stops it.
        let out = read_all(child.stdout.take());
        let err = read_all(child.stderr.take());
        let ended = poll(bound, || child.try_wait().transpose()).transpose()?;
        if ended.is_none() {
            child.kill()?;
        }
        let status = child.wait()?;
        let finished = Finished {
            name: self.name.clone(),
            status,
            stdout: out.join().unwrap_or_default(),
            stderr: err.join().unwrap_or_default(),
        };
        if ended.is_none() {
            bail!("{} did not end within {bound:?}:\n{}", self.name, finished.stderr);
        }
        Ok(finished)
    }

    fn spawn(&self) -> Result<Daemon> {
        let log = self.dir.join(format!("{}.log", self.name));
        Daemon::start(&self.name, self.command(), &log, self.lifetime)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if is_our_setting(&name.to_string_lossy()) {
                command.env_remove(&name);
            }
        }
        command.args(&self.args).envs(self.envs.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.dir);
        command
    }
}

fn is_our_setting(name: &str) -> bool {
    OUR_SETTINGS.iter().any(|ours| name.starts_with(ours))
}

fn read_all(pipe: Option<impl std::io::Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// How a process that was run to its end ended, and what it printed.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What it was called.
    pub name: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Its output when it ended with 0, else an error with everything it printed.
    pub fn ok(self) -> Result<String> {
        if !self.status.success() {
            let Self { name, status, stdout, stderr } = self;
            bail!("{name} failed ({status}):\n{stdout}{stderr}");
        }
        Ok(self.stdout)
    }
}

/// One of our binaries, running. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    daemon: Mutex<Daemon>,
}

impl Process {
    /// What it was called.
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// Its pid; another one after a restart.
    pub fn pid(&self) -> u32 {
        self.lock().pid()
    }

    /// Its pid and start time.
    pub fn id(&self) -> ProcessId {
        self.lock().id()
    }

    /// Everything it has written so far, in all its lives.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where its output goes.
    pub fn log_path(&self) -> PathBuf {
        self.lock().log().to_owned()
    }

    /// The address it listens on for metrics and health, once it does: the one given as `PAYOUT_METRICS_ADDR`, and when
    /// that has port 0, the one that it listens on according to the kernel.
    pub fn metrics_addr(&self, bound: Duration) -> Result<SocketAddr> {
        let daemon = self.lock();
        let found = poll(bound, || {
            if !daemon.is_running() {
                return Some(None);
            }
            listening_port(daemon.pid()).map(Some)
        });
        match found {
            Some(Some(port)) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            Some(None) => bail!(daemon.trouble("ended before it listened")),
            None => bail!(daemon.trouble(&format!("did not listen within {bound:?}"))),
        }
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.lock().is_running()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill9(&self) -> Result<()> {
        self.lock().kill9()
    }

    /// SIGTERM, without waiting.
    pub fn sigterm(&self) -> Result<()> {
        self.lock().terminate()
    }

    /// SIGSTOP, and waits until it has stopped.
    pub fn sigstop(&self) -> Result<()> {
        self.lock().pause()
    }

    /// SIGCONT.
    pub fn sigcont(&self) -> Result<()> {
        self.lock().resume()
    }

    /// Waits until it has ended, at most for `bound`; `None` when it still runs then.
    pub fn wait(&self, bound: Duration) -> Option<ExitStatus> {
        self.lock().wait(bound)
    }

    /// SIGTERM, then waits until it has ended; an error with its last log lines when it has not within `grace`.
    pub fn stop(&self, grace: Duration) -> Result<ExitStatus> {
        self.lock().stop(grace)
    }

    /// Starts it again with the same settings; kills it first when it still runs.
    pub fn restart(&self) -> Result<()> {
        let mut daemon = self.lock();
        daemon.kill9()?;
        *daemon = self.launch.spawn()?;
        Ok(())
    }

    /// An error text: what happened and the end of its log.
    pub fn trouble(&self, what: &str) -> String {
        self.lock().trouble(what)
    }

    /// Lets go of it without ending it (for [`Lifetime::Detached`]).
    pub fn leave_running(self) -> ProcessId {
        let daemon = self.daemon.into_inner().unwrap_or_else(PoisonError::into_inner);
        daemon.leave_running()
    }

    fn lock(&self) -> MutexGuard<'_, Daemon> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first TCP port (IPv4) that a process listens on, from the kernel's tables: independent of what its log says.
fn listening_port(pid: u32) -> Option<u16> {
    const LISTEN: &str = "0A";
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
    // Those that listen come first; the kernel is not made to list the others, of which there may be thousands.
    let table = BufReader::new(fs::File::open(format!("/proc/{pid}/net/tcp")).ok()?);
    for line in table.lines().skip(1) {
        let line = line.ok()?;
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.get(3) != Some(&LISTEN) {
            return None;
        }
        if sockets.iter().any(|inode| fields.get(9) == Some(&inode.as_str())) {
            let (_, port) = fields.get(1)?.rsplit_once(':')?;
            return u16::from_str_radix(port, 16).ok();
        }
    }
    None
}

/// The root that a program lies in (`ROOT/usr/sbin/mysqld`) when it is not the machine's: a system unpacked into a
/// folder, with its own dynamic loader.
pub(crate) fn system_root(program: &Path) -> Option<&Path> {
    let holds = |root: &&Path| program.starts_with(root.join("usr")) && loader(root).is_file();
    program.ancestors().skip(1).find(holds).filter(|root| *root != Path::new("/"))
}

/// A command for a server program; one in an unpacked system is started with that system's loader and libraries.
pub(crate) fn in_root(program: &Path) -> Command {
    let Some(root) = system_root(program) else {
        return Command::new(program);
    };
    let folders = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib"];
    let libraries = folders.map(|folder| root.join(folder).to_string_lossy().into_owned());
    let mut command = Command::new(loader(root));
    command.arg("--library-path").arg(libraries.join(":")).arg(program);
    command
}

fn loader(root: &Path) -> PathBuf {
    root.join("lib64/ld-linux-x86-64.so.2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_own_settings_do_not_reach_a_process() {
        for ours in ["DATABASE_URL", "DATABASE_URL_FILE", "REDIS_URL", "MONEY_TOKEN", "PAYOUT_MONEY_MAX_RPS"] {
            assert!(is_our_setting(ours), "{ours}");
        }
        assert!(!is_our_setting("PATH") && !is_our_setting("RUST_LOG"));
    }

    #[test]
    fn only_a_system_unpacked_into_a_folder_has_a_root_of_its_own() {
        for installed in ["/usr/sbin/mariadbd", "/usr/bin/redis-server", "/usr/local/bin/redis-server"] {
            assert_eq!(system_root(Path::new(installed)), None);
        }
        let root = crate::target_dir().join(format!("servers/test-{}-root", std::process::id()));
        fs::create_dir_all(root.join("lib64")).unwrap();
        fs::write(loader(&root), "").unwrap();
        let found = system_root(&root.join("usr/sbin/mysqld")).map(Path::to_owned);
        let outside = system_root(&root.join("mysqld")).map(Path::to_owned);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, Some(root));
        assert_eq!(outside, None);
    }
}

//! A private redis-server.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::dirs::InstanceDir;
use crate::find::Package;
use crate::{Daemon, Lifetime, ProcessId, find, free_port, launch::in_root, poll};

/// Numbered databases: enough for every test of a process to have one of its own.
pub(crate) const DATABASES: u32 = 1024;

/// Start takes 0.02 to 0.9 s (FAULTS 5.3); an append-only file of gigabytes takes longer.
const START_BOUND: Duration = Duration::from_secs(30);
const STOP_BOUND: Duration = Duration::from_secs(20);

/// Another process may take a port between choosing and binding it.
const PORT_TRIES: u32 = 5;

/// What a [`Redis`] is started with. The default suits a test.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions {
    /// `maxmemory`, for example `4mb`; without a limit by default.
    pub maxmemory: Option<String>,
    /// More arguments, for example `["--appendfsync", "always"]`; they come last and win.
    pub args: Vec<String>,
    /// Where its files go; kept when it ends, and found again by the next start. By default a directory of its own
    /// that is removed with it.
    pub dir: Option<PathBuf>,
    /// The port; any free one by default.
    pub port: Option<u16>,
    /// The server program: by default the variable `SERVERS_REDIS`, else the installed `redis-server`.
    pub program: Option<PathBuf>,
    /// How long it may live.
    pub lifetime: Lifetime,
}

/// A private redis-server on 127.0.0.1 with an append-only file (fsync every second), no snapshots, `noeviction` and
/// 1024 numbered databases. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    options: RedisOptions,
    program: PathBuf,
    port: u16,
    daemon: Mutex<Option<Daemon>>,
    dir: InstanceDir,
}

impl Redis {
    /// Starts a server and waits until it answers.
    pub fn start(options: RedisOptions) -> Result<Self> {
        let installed = || find::program(&["redis-server", "valkey-server"], Package("redis-server"));
        let given = options.program.clone();
        let given = given.or_else(|| std::env::var_os("SERVERS_REDIS").map(PathBuf::from));
        let program = given.map_or_else(installed, Ok)?;
        let dir = InstanceDir::new("redis", options.dir.as_deref())?;
        let mut redis = Self { options, program, port: 0, daemon: Mutex::new(None), dir };
        let mut tries = 0;
        loop {
            tries += 1;
            redis.port = redis.options.port.map_or_else(free_port, Ok)?;
            match redis.launch() {
                Ok(()) => return Ok(redis),
                Err(error) if tries == PORT_TRIES || !port_was_taken(&error) => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// `redis://127.0.0.1:PORT/0`.
    pub fn url(&self) -> String {
        self.url_of_db(0)
    }

    /// `redis://127.0.0.1:PORT/N`, N below 1024. Scripts, FLUSHALL and memory are shared by all numbered databases.
    pub fn url_of_db(&self, number: u32) -> String {
        format!("redis://127.0.0.1:{}/{number}", self.port)
    }

    /// The port, the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The pid of the running server.
    pub fn pid(&self) -> Result<u32> {
        self.with(|daemon| Ok(daemon.pid()))
    }

    /// Pid and start time of the running server.
    pub fn id(&self) -> Result<ProcessId> {
        self.with(|daemon| Ok(daemon.id()))
    }

    /// Its directory: `redis.log`, `appendonlydir/`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill9(&self) -> Result<()> {
        self.with(Daemon::kill9)
    }

    /// Starts it again on the same port and data; kills it first when it still runs.
    pub fn restart(&self) -> Result<()> {
        self.lock().take();
        self.launch()
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.with(Daemon::pause)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.with(Daemon::resume)
    }

    /// SIGTERM, and waits until it has ended; `restart` brings it back.
    pub fn stop(&self) -> Result<()> {
        self.with(|daemon| daemon.stop(STOP_BOUND).map(drop))
    }

    /// Lets go of it without ending it (for [`Lifetime::Detached`]); its directory stays.
    pub fn leave_running(mut self) -> Result<ProcessId> {
        self.dir.keep();
        let daemon = self.lock().take().context("redis-server does not run")?;
        Ok(daemon.leave_running())
    }

    fn launch(&self) -> Result<()> {
        let dir = self.dir.path();
        let mut command = in_root(&self.program);
        command.args(self.arguments()).current_dir(dir);
        let log = dir.join("redis.log");
        let daemon = Daemon::start("redis-server", command, &log, self.options.lifetime)?;
        let ready = poll(START_BOUND, || {
            if !daemon.is_running() {
                return Some(false);
            }
            answers(self.port, daemon.pid()).then_some(true)
        });
        match ready {
            Some(true) => {
                *self.lock() = Some(daemon);
                Ok(())
            }
            Some(false) => bail!(daemon.trouble("ended while starting")),
            None => bail!(daemon.trouble(&format!("did not answer within {START_BOUND:?}"))),
        }
    }

    fn arguments(&self) -> Vec<OsString> {
        let port = self.port.to_string();
        let databases = DATABASES.to_string();
        let mut arguments: Vec<&str> = vec!["--port", &port, "--bind", "127.0.0.1"];
        arguments.extend(["--databases", &databases, "--save", "", "--appendonly", "yes"]);
        arguments.extend(["--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]);
        // Deleting an entry reads its node of the stream from the start: docs/performance.md.
        arguments.extend(["--stream-node-max-entries", "16"]);
        arguments.extend(["--daemonize", "no", "--dir", "."]);
        if let Some(maxmemory) = &self.options.maxmemory {
            arguments.extend(["--maxmemory", maxmemory]);
        }
        arguments.extend(self.options.args.iter().map(String::as_str));
        arguments.into_iter().map(OsString::from).collect()
    }

    fn with<T>(&self, act: impl FnOnce(&Daemon) -> Result<T>) -> Result<T> {
        act(self.lock().as_ref().context("redis-server does not run")?)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Daemon>> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Before its directory goes.
        self.lock().take();
    }
}

fn port_was_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("Address already in use")
}

/// Whether the server at this port has finished loading and is the process that we started: another one may have taken
/// the port first, and would answer too.
fn answers(port: u16, pid: u32) -> bool {
    let reply = ask(port, "PING\r\nINFO server\r\nQUIT\r\n").unwrap_or_default();
    reply.starts_with("+PONG") && reply.contains(&format!("\r\nprocess_id:{pid}\r\n"))
}

fn ask(port: u16, inline: &str) -> Result<String> {
    let bound = Duration::from_secs(1);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, bound)?;
    stream.set_read_timeout(Some(bound))?;
    stream.set_write_timeout(Some(bound))?;
    stream.write_all(inline.as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

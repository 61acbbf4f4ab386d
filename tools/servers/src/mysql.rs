//! A private MariaDB or MySQL server.

mod flavour;
mod template;
mod wire;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::dirs::InstanceDir;
use crate::{Daemon, Lifetime, ProcessId, free_port, launch::in_root, poll};
use flavour::Server;

/// Start takes 0.2 s, recovery after a kill as long (FAULTS 5.3); a loaded machine takes longer.
const START_BOUND: Duration = Duration::from_secs(60);
const STOP_BOUND: Duration = Duration::from_secs(60);

/// Another process may take a port between choosing and binding it.
const PORT_TRIES: u32 = 5;

/// A path of a unix socket must fit into 108 bytes.
const SOCKET_PATH_MAX: usize = 100;

/// The account that `url` names, with all privileges. The server listens on loopback only and holds test data: the
/// password is not a secret, but code that handles passwords is exercised.
const USER: &str = "payout";
const PASSWORD: &str = "payout-local";

/// When a commit is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `innodb_flush_log_at_trx_commit=1`: fsync at every commit, as in production.
    #[default]
    EveryCommit,
    /// `=2`: written at every commit, fsync once a second; survives a kill of the server, not of the machine.
    EverySecond,
}

/// What a [`MySql`] is started with. The default suits a test.
#[derive(Clone, Debug, Default)]
pub struct MySqlOptions {
    /// The server program: by default the variable `SERVERS_MYSQLD`, else the installed `mariadbd` or `mysqld`. A
    /// program in an unpacked system root (`ROOT/usr/sbin/mysqld` with `ROOT/lib64`) is started with that root's
    /// libraries.
    pub program: Option<PathBuf>,
    /// When a commit is on disk.
    pub durability: Durability,
    /// `innodb-buffer-pool-size`, by default `128M`.
    pub buffer_pool: Option<String>,
    /// More arguments, for example `["--max-connections=50"]`; they come last and win.
    pub args: Vec<String>,
    /// Where its files go; kept when it ends, and found again by the next start. By default a directory of its own
    /// that is removed with it.
    pub dir: Option<PathBuf>,
    /// The port; any free one by default.
    pub port: Option<u16>,
    /// How long it may live.
    pub lifetime: Lifetime,
}

/// A private MariaDB or MySQL server on 127.0.0.1 and a unix socket, utf8mb4, with `payout` (see [`MySql::url`]) and
/// `root` (no password) as accounts that may do everything. Dropping it kills it.
#[derive(Debug)]
pub struct MySql {
    options: MySqlOptions,
    server: Server,
    port: u16,
    daemon: Mutex<Option<Daemon>>,
    dir: InstanceDir,
}

impl MySql {
    /// Copies the template's data, starts a server on it and waits until it answers.
    pub fn start(options: MySqlOptions) -> Result<Self> {
        let server = Server::find(options.program.as_deref())?;
        let dir = InstanceDir::new("mysql", options.dir.as_deref())?;
        if !dir.path().join("data").exists() {
            template::copy_to(&server, &dir.path().join("data"))?;
        }
        Self::on(server, dir, options)
    }

    fn on(server: Server, dir: InstanceDir, options: MySqlOptions) -> Result<Self> {
        let mut mysql = Self { options, server, port: 0, daemon: Mutex::new(None), dir };
        let mut tries = 0;
        loop {
            tries += 1;
            mysql.port = mysql.options.port.map_or_else(free_port, Ok)?;
            match mysql.launch() {
                Ok(()) => return Ok(mysql),
                Err(error) if tries == PORT_TRIES || !port_was_taken(&error) => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// `mysql://payout:…@127.0.0.1:PORT/DATABASE`.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Creates an empty utf8mb4 database and returns its URL.
    pub fn create_database(&self, name: &str) -> Result<String> {
        self.sql(&format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4"))?;
        Ok(self.url(name))
    }

    /// Runs one statement as root and drops what it returns: for set-up and faults (`KILL`, `SET GLOBAL`).
    pub fn sql(&self, statement: &str) -> Result<()> {
        wire::Session::open(&self.socket())?.run(statement)
    }

    /// Whether it is MariaDB, not MySQL.
    pub fn is_mariadb(&self) -> bool {
        self.server.is_mariadb()
    }

    /// What `--version` prints.
    pub fn version(&self) -> &str {
        self.server.version()
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

    /// Its directory: `data/`, `mysql.log`, `mysql.sock`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its unix socket (elsewhere when its directory's path is too long for one).
    pub fn socket(&self) -> PathBuf {
        let path = self.dir.path().join("mysql.sock");
        if path.as_os_str().len() <= SOCKET_PATH_MAX {
            return path;
        }
        std::env::temp_dir().join(format!("servers-mysql-{}.sock", self.port))
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

    /// A clean shutdown (SIGTERM), and waits until it has ended; `restart` brings it back.
    pub fn stop(&self) -> Result<()> {
        self.with(|daemon| daemon.stop(STOP_BOUND).map(drop))
    }

    /// Lets go of it without ending it (for [`Lifetime::Detached`]); its directory stays.
    pub fn leave_running(mut self) -> Result<ProcessId> {
        self.dir.keep();
        let daemon = self.lock().take().context("the MySQL server does not run")?;
        Ok(daemon.leave_running())
    }

    fn launch(&self) -> Result<()> {
        let socket = self.socket();
        // A killed server leaves its socket behind.
        let _ = fs::remove_file(&socket);
        let mut command = in_root(self.server.program());
        command.args(self.arguments(&socket)).current_dir(self.dir.path());
        let log = self.dir.path().join("mysql.log");
        let daemon = Daemon::start("the MySQL server", command, &log, self.options.lifetime)?;
        // The socket is ours alone, so whoever answers on it is the server that we started.
        let ready = poll(START_BOUND, || {
            if !daemon.is_running() {
                return Some(false);
            }
            let session = wire::Session::open(&socket);
            session.and_then(|mut session| session.run("SELECT 1")).ok().map(|()| true)
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

    fn arguments(&self, socket: &Path) -> Vec<OsString> {
        let mut arguments = self.server.common_arguments(&self.dir.path().join("data"));
        arguments.push({
            let mut argument = OsString::from("--socket=");
            argument.push(socket);
            argument
        });
        let pool = self.options.buffer_pool.as_deref().unwrap_or("128M");
        let flush = match self.options.durability {
            Durability::EveryCommit => 1,
            Durability::EverySecond => 2,
        };
        let settings = [
            format!("--port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            "--skip-name-resolve".to_owned(),
            "--character-set-server=utf8mb4".to_owned(),
            "--local-infile=0".to_owned(),
            "--max-connections=500".to_owned(),
            "--innodb-lock-wait-timeout=5".to_owned(),
            format!("--innodb-buffer-pool-size={pool}"),
            format!("--innodb-flush-log-at-trx-commit={flush}"),
        ];
        arguments.extend(settings.into_iter().map(OsString::from));
        arguments.extend(self.options.args.iter().map(OsString::from));
        arguments
    }

    fn with<T>(&self, act: impl FnOnce(&Daemon) -> Result<T>) -> Result<T> {
        act(self.lock().as_ref().context("the MySQL server does not run")?)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Daemon>> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MySql {
    fn drop(&mut self) {
        // Before its directory goes; when it was left running, its socket stays.
        if self.lock().take().is_some() {
            let _ = fs::remove_file(self.socket());
        }
    }
}

fn port_was_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("Address already in use")
}

//! Which server it is, and what MariaDB and MySQL want said differently.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::find::{self, Package};
use crate::launch::{in_root, system_root};

/// A server program and what it says it is.
#[derive(Clone, Debug)]
pub(super) struct Server {
    program: PathBuf,
    version: String,
}

impl Server {
    /// The given program, or that of the variable `SERVERS_MYSQLD`, or the installed one.
    pub(super) fn find(given: Option<&Path>) -> Result<Self> {
        let named = given.map(Path::to_owned);
        let named = named.or_else(|| std::env::var_os("SERVERS_MYSQLD").map(PathBuf::from));
        let installed = || find::program(&["mariadbd", "mysqld"], Package("mariadb-server"));
        let program = named.map_or_else(installed, Ok)?;
        let output = in_root(&program).arg("--version").output();
        let output = output.with_context(|| format!("cannot run {}", program.display()))?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{} --version failed: {}", program.display(), error.trim());
        }
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { program, version })
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }

    /// A file name for this version: from `mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 …` it is
    /// `mariadb-10.11.19-MariaDB-0_deb12u1`.
    pub(super) fn key(&self) -> String {
        let words: Vec<&str> = self.version.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "Ver");
        let number = at.and_then(|at| words.get(at + 1)).unwrap_or(&"unknown");
        let number: String =
            number.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' }).collect();
        let family = if self.is_mariadb() { "mariadb" } else { "mysql" };
        format!("{family}-{number}")
    }

    /// The arguments that every start needs: no configuration of the machine, the data, the account.
    pub(super) fn common_arguments(&self, data: &Path) -> Vec<OsString> {
        let mut datadir = OsString::from("--datadir=");
        datadir.push(data);
        let mut arguments = vec![OsString::from("--no-defaults"), datadir];
        if rustix::process::geteuid().is_root() {
            arguments.push("--user=root".into());
        }
        if let Some(root) = system_root(&self.program) {
            let mut basedir = OsString::from("--basedir=");
            basedir.push(root.join("usr"));
            arguments.push(basedir);
        }
        if self.is_mariadb() {
            arguments.push("--skip-log-bin".into());
        } else {
            // The X plugin would open a second port.
            arguments.extend(["--disable-log-bin".into(), "--mysqlx=OFF".into()]);
            arguments.push("--secure-file-priv=".into());
        }
        arguments
    }

    /// The command that fills an empty data directory.
    pub(super) fn installer(&self, data: &Path) -> Result<Command> {
        if !self.is_mariadb() {
            let mut command = in_root(&self.program);
            command.args(self.common_arguments(data));
            command.arg("--initialize-insecure");
            return Ok(command);
        }
        let names = ["mariadb-install-db", "mysql_install_db"];
        let beside = names
            .iter()
            .filter_map(|name| Some(self.program.parent()?.parent()?.join("bin").join(name)))
            .find(|path| path.is_file());
        let installed = || find::program(&names, Package("mariadb-server"));
        let mut command = Command::new(beside.map_or_else(installed, Ok)?);
        let mut datadir = OsString::from("--datadir=");
        datadir.push(data);
        command.arg("--no-defaults").arg(datadir);
        command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        // A container may not be able to look up its own host name, which matters to nothing here.
        command.arg("--force");
        // The server grows the redo log to its own default at the first start; the template stays small.
        command.args(["--skip-name-resolve", "--innodb-log-file-size=16M"]);
        if rustix::process::geteuid().is_root() {
            command.arg("--user=root");
        }
        Ok(command)
    }

    /// What keeps the template's files small while its accounts are written.
    pub(super) fn template_arguments(&self) -> Vec<String> {
        let log = if self.is_mariadb() { "--innodb-log-file-size=16M" } else { "--innodb-redo-log-capacity=16M" };
        vec![log.to_owned()]
    }
}

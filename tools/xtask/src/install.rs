//! Installing the Debian packages whose programs we start.

use std::fmt;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use servers::Package;

/// A package, how to see that it is there, and what it is for.
struct Need {
    package: &'static str,
    /// Any of these on the PATH means that it need not be installed.
    programs: &'static [&'static str],
    purpose: &'static str,
    /// What it would start now and at every boot. We start private instances only.
    services: &'static [&'static str],
}

/// Everything that tests and the demo start besides our own binaries.
const NEEDS: &[Need] = &[
    Need {
        package: "redis-server",
        programs: &["redis-server"],
        purpose: "private Redis instances for tests and the demo",
        services: &["redis-server"],
    },
    Need {
        package: "mariadb-server",
        programs: &["mariadbd"],
        purpose: "private MariaDB instances for tests and the demo",
        services: &["mariadb"],
    },
    Need {
        package: "prometheus",
        programs: &["prometheus"],
        purpose: "runs what the boards ask; its promtool checks and tests the alerts",
        services: &["prometheus"],
    },
];

/// Runs as root with the packages as `$1` and the services as `$2`. While it runs, a policy forbids packages to start
/// their services (exit code 101, as `invoke-rc.d` wants it); afterwards they are kept from starting at boot.
const SCRIPT: &str = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
apt-get update
apt-get install --yes --no-install-recommends $1
for service in $2; do
    update-rc.d "$service" disable || true
done
"#;

/// We may not install packages; the text says what to run.
#[derive(Debug)]
pub(crate) struct NotAllowed(String);

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAllowed {}

/// `cargo xtask install`.
pub(crate) fn run() -> Result<ExitCode> {
    for need in NEEDS {
        let state = if is_present(need) { "installed" } else { "missing" };
        println!("{:<16} {state:<10} {}", need.package, need.purpose);
    }
    ensure()?;
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing, without a word when nothing is.
pub(crate) fn ensure() -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !is_present(need)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.iter().map(|need| need.package).collect::<Vec<_>>().join(" ");
    let services = missing.iter().flat_map(|need| need.services).copied().collect::<Vec<_>>().join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(NotAllowed(format!(
            "this is not a Debian system: install the programs of these Debian packages yourself: {packages}"
        ))
        .into());
    }
    let Some(mut shell) = root_shell() else {
        return Err(NotAllowed(format!(
            "{packages} must be installed, for which I am neither root nor may use sudo. Run:\n  \
             sudo apt-get update && sudo apt-get install --yes --no-install-recommends {packages}"
        ))
        .into());
    };
    println!("installing {packages}");
    let status = shell.args(["-c", SCRIPT, "install", &packages, &services]).status();
    let status = status.context("cannot run the installation")?;
    if !status.success() {
        bail!("apt-get could not install {packages} ({status})");
    }
    if let Some(need) = missing.into_iter().find(|need| !is_present(need)) {
        bail!("{} was installed, but {} is not there", need.package, need.programs.join(" or "));
    }
    Ok(())
}

fn is_present(need: &Need) -> bool {
    servers::program(need.programs, Package(need.package)).is_ok()
}

/// A shell that runs as root: ours when we are root, by sudo when that needs no password or there is a terminal to ask
/// for one.
fn root_shell() -> Option<Command> {
    if rustix::process::geteuid().is_root() {
        return Some(Command::new("/bin/sh"));
    }
    let silent = Command::new("sudo").args(["-n", "true"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    // An error means that there is no sudo.
    let allowed = silent.ok()?.success();
    if !allowed && !std::io::stdin().is_terminal() {
        return None;
    }
    let mut command = Command::new("sudo");
    if allowed {
        command.arg("-n");
    }
    command.arg("/bin/sh");
    Some(command)
}

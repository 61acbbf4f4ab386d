//! The common main of the stages that run until they are told to end, and what the loader, a command, shares of it.
//!
//! Configuration first, whole, before a port is opened; then logs, the panic hook, metrics and health; then
//! the stage runs until it ends or is told to. The first SIGTERM or SIGINT requests the end and gives the
//! stage its grace; the second ends the process at once.

mod probe;
mod run;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::config::{Config, Environment, Needs, process_environment};
use crate::health::Health;
use crate::shutdown::Shutdown;
use crate::telemetry;

/// Exit code: the stage failed, or could not finish within its grace.
pub const EXIT_FAILED: u8 = 1;
/// Exit code: the configuration has faults (EX_USAGE of sysexits.h).
pub const EXIT_CONFIG: u8 = 64;
/// Exit code: a task panicked (EX_SOFTWARE of sysexits.h).
pub const EXIT_PANIC: u8 = 70;

/// A stage.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Name of the binary, and the label of its metrics.
    pub name: &'static str,
    /// What it cannot do without.
    pub needs: Needs,
}

/// What a stage is given to run.
#[derive(Clone, Debug)]
pub struct Context {
    /// Which stage this is.
    pub stage: Stage,
    /// Checked.
    pub config: Arc<Config>,
    /// The request to end.
    pub shutdown: Shutdown,
    /// Told by the stage, asked by probes.
    pub health: Health,
}

/// Runs a stage from its command line to its exit code.
pub fn main<F, Fut>(stage: Stage, run: F) -> ExitCode
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let matches = command(stage.name).get_matches();
    let environment = process_environment();
    let config = match load(stage, &matches, &environment) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if matches.get_flag("check") {
        print_warnings(&config);
        println!("{}: the configuration is complete", stage.name);
        return ExitCode::SUCCESS;
    }
    if matches.get_flag("dump-config") {
        print!("{}", config.dump());
        return ExitCode::SUCCESS;
    }
    if let Some(which) = matches.get_one::<String>("healthcheck") {
        return probe::healthcheck(&config.metrics_addr, which);
    }
    start_logging(stage.name, &config);
    run::to_the_end(stage, config, run)
}

/// For commands with a command line of their own (the loader): logs and the panic hook, as the stages have them.
pub fn start_logging(name: &'static str, config: &Config) {
    telemetry::start(&config.log);
    run::end_on_panic();
    for warning in &config.warnings {
        tracing::warn!(stage = name, warning, "configuration");
    }
}

/// For commands with a command line of their own: metrics and health, as the stages have them, within a tokio runtime.
/// Such a command does its work whether or not anybody can watch it: an address that is taken is only warned of.
pub async fn expose(stage: Stage, config: &Config) -> Health {
    let health = Health::new(config.live_within, Shutdown::never());
    if let Err(error) = run::expose(stage, config, &health).await {
        tracing::warn!(stage = stage.name, error = format!("{error:#}"), "nobody can watch this");
    }
    health
}

/// For commands with a command line of their own: reads the configuration, and tells its faults on standard error.
///
/// # Errors
/// The exit code for a configuration with faults, which have been told.
pub fn configure(name: &str, needs: Needs, file: Option<&Path>, environment: &Environment) -> Result<Config, ExitCode> {
    Config::load(needs, file, environment).map_err(|faults| {
        eprintln!("{name}: {faults}");
        ExitCode::from(EXIT_CONFIG)
    })
}

fn load(stage: Stage, matches: &ArgMatches, environment: &Environment) -> Result<Config, ExitCode> {
    let file = matches.get_one::<PathBuf>("config").map(PathBuf::as_path);
    configure(stage.name, stage.needs, file, environment)
}

fn print_warnings(config: &Config) {
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
}

fn command(name: &'static str) -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(format!("The {name} stage of the payout pipeline. It runs until SIGTERM or SIGINT."))
        .after_help("Exit codes: 0 done, 1 failed, 64 faults in the configuration, 70 panic, 130 and 143 ended by a second signal.")
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Configuration file in TOML over the defaults; environment variables go before it"),
        )
        .arg(flag("check", "Check the configuration and end").conflicts_with_all(["dump-config", "healthcheck"]))
        .arg(flag("dump-config", "Print the configuration in effect, secrets hidden, and end").conflicts_with("healthcheck"))
        .arg(
            Arg::new("healthcheck")
                .long("healthcheck")
                .value_name("WHICH")
                .value_parser(["live", "ready"])
                .help("Ask the process that listens at the configured metrics address, and end with 0 or 1"),
        )
}

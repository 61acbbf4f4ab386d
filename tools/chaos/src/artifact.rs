//! What a failure leaves behind, so that a person can understand it and a machine can repeat it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use acceptance::Cache;
use anyhow::{Context, Result};
use serde_json::json;

use crate::crew::DIED_HERE;
use crate::plan::Plan;
use crate::stand::Stand;

const PLAN: &str = "plan.json";
/// Entries of a stream that are written down.
const MAX_ENTRIES: &str = "2000";

/// A stage, and the name of a place that it passes.
pub type Place = (String, String);

/// Where artifacts are kept.
pub fn dir() -> PathBuf {
    servers::workspace_dir().join(".run/chaos")
}

/// Reads the plan of an artifact.
///
/// # Errors
/// There is none.
pub fn plan(artifact: &Path) -> Result<Plan> {
    let path = artifact.join(PLAN);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a plan", path.display()))
}

/// Writes everything that is known about a failed iteration. Servers still run.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write(stand: &Stand<'_>, breaches: &[String]) -> Result<PathBuf> {
    let to = stand.lane.artifacts().join(format!("{}-{}", stand.plan.seed, stand.plan.iteration));
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
    let verdict = json!({"commit": servers::commit(), "breaches": breaches});
    fs::write(to.join(PLAN), serde_json::to_string_pretty(stand.plan)?)?;
    fs::write(to.join("verdict.json"), serde_json::to_string_pretty(&verdict)?)?;
    // Logs, the journal and the file that was loaded.
    for entry in fs::read_dir(&stand.dir)?.flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    for (log, name) in
        [(stand.redis.dir().join("redis.log"), "redis.log"), (stand.lane.mysql.dir().join("mysql.log"), "mysql.log")]
    {
        // A server that never wrote a line has no log.
        let _ = fs::copy(log, to.join(name));
    }
    fs::write(to.join("redis.txt"), keys(&stand.cache))?;
    fs::write(to.join("mysql.sql"), dump(stand))?;
    let ledger = acceptance::get(&format!("{}/ledger", stand.money.url())).map(|answer| answer.body);
    fs::write(to.join("ledger.ndjson"), ledger.unwrap_or_else(|error| error.to_string()))?;
    Ok(to)
}

/// Every key with its content, in words.
fn keys(cache: &Cache) -> String {
    let mut text = String::new();
    let names: Vec<String> = cache.ask(&["KEYS", "*"]).unwrap_or_default();
    for name in names {
        let kind: String = cache.ask(&["TYPE", &name]).unwrap_or_default();
        let content: Vec<Vec<&str>> = match kind.as_str() {
            "stream" => vec![
                vec!["XINFO", "STREAM", &name],
                vec!["XRANGE", &name, "-", "+", "COUNT", MAX_ENTRIES],
                vec!["XINFO", "GROUPS", &name],
                vec!["XPENDING", &name, "payers", "-", "+", MAX_ENTRIES],
            ],
            "hash" => vec![vec!["HGETALL", &name]],
            _ => vec![vec!["GET", &name]],
        };
        text.push_str(&format!("{name} ({kind})\n"));
        for command in content {
            let answer = cache.ask::<redis::Value>(&command).map(|value| format!("{value:?}"));
            text.push_str(&format!("  {}: {}\n", command[0], answer.unwrap_or_else(|error| error.to_string())));
        }
    }
    text
}

/// All tables, by the server's own dump program.
fn dump(stand: &Stand<'_>) -> Vec<u8> {
    let mysql = &stand.lane.mysql;
    let program = if mysql.is_mariadb() { "mariadb-dump" } else { "mysqldump" };
    let socket = format!("--socket={}", mysql.socket().display());
    let output = Command::new(program).args([&socket, "--user=root", "--skip-extended-insert", "payout"]).output();
    output.map(|output| output.stdout).unwrap_or_else(|error| format!("-- {program}: {error}\n").into_bytes())
}

/// Stages and crash points at which their processes died, by what their logs say.
pub(crate) fn points_hit(dir: &Path) -> BTreeMap<Place, u64> {
    let mut points = BTreeMap::new();
    let logs = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    for log in logs.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
        let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stage = name.split(['-', '.']).next().unwrap_or_default();
        let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
        for line in text.lines().filter_map(|line| line.strip_prefix(DIED_HERE)) {
            let name = line.split(':').next().unwrap_or(line);
            *points.entry((stage.to_owned(), name.to_owned())).or_insert(0) += 1;
        }
    }
    points
}

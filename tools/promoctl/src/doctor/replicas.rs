//! The processes that run, and whether they agree.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chrono::{DateTime, NaiveDateTime};
use pipeline::config::Needs;
use pipeline::streams::Replica;
use serde::Serialize;

use super::finding::{Finding, Findings, Severity};
use crate::output;
use crate::session::Session;

/// Processes that are named for each value of a setting.
const NAMED: usize = 5;

/// A process of a stage.
#[derive(Serialize)]
pub(super) struct ReplicaLine {
    pub(super) stage: String,
    pub(super) name: String,
    pub(super) process: u32,
    pub(super) version: String,
    pub(super) config_hash: String,
    #[serde(serialize_with = "output::iso")]
    pub(super) started_at: Option<NaiveDateTime>,
}

/// Lists them, and adds where they differ.
pub(super) async fn examine(session: &Session, found: &mut Findings) -> Result<Vec<ReplicaLine>> {
    let (replicas, whole) = session.streams()?.replicas().await?;
    if !whole {
        found.add(Finding {
            severity: Severity::Info,
            check: "replicas",
            place: "Redis".to_owned(),
            found: "there are more keys than were looked through for announcements of processes".to_owned(),
            means: "processes may be missing from the list".to_owned(),
            advice: "give the product a Redis, or a numbered database, of its own".to_owned(),
        });
    }
    compare(&replicas, found);
    let mut own = session.config.agreed(Needs { money: true, ..Needs::default() });
    // The doctor asks money nothing, and needs no address of it.
    own.remove("money.url");
    compare_own(&own, &replicas, found);
    let local =
        |ms| DateTime::from_timestamp_millis(ms).map(|at| at.with_timezone(&session.config.time_zone).naive_local());
    let line = |replica: Replica| ReplicaLine {
        started_at: local(replica.started_at_ms),
        stage: replica.stage,
        name: replica.name,
        process: replica.process,
        version: replica.version,
        config_hash: replica.config_hash,
    };
    Ok(replicas.into_iter().map(line).collect())
}

fn compare(replicas: &[Replica], found: &mut Findings) {
    let versions = grouped(replicas.iter().map(|replica| (replica.version.as_str(), replica)));
    if versions.len() > 1 {
        found.add(Finding {
            severity: Severity::Warning,
            check: "replica version",
            place: "replicas".to_owned(),
            found: format!("they have different versions: {}", words(&versions)),
            means: "right while a new version is rolled out, and not for long".to_owned(),
            advice: "finish the roll-out".to_owned(),
        });
    }
    let keys: BTreeSet<&str> =
        replicas.iter().flat_map(|replica| replica.settings.keys()).map(String::as_str).collect();
    let mut differing_stages = BTreeSet::new();
    for key in keys {
        let values =
            grouped(replicas.iter().filter_map(|replica| Some((replica.settings.get(key)?.as_str(), replica))));
        if values.len() < 2 {
            continue;
        }
        differing_stages.extend(values.values().flatten().map(|replica| replica.stage.clone()));
        found.add(Finding {
            severity: Severity::Error,
            check: "replica configuration",
            place: key.to_owned(),
            found: format!("replicas differ in {key}: {}", words(&values)),
            means: "they decide differently about the same payouts, or overstep what they share".to_owned(),
            advice: "give all the same value, and restart those that have another; --dump-config says where theirs comes from"
                .to_owned(),
        });
    }
    for (stage, replicas) in grouped(replicas.iter().map(|replica| (replica.stage.as_str(), replica))) {
        let hashes = grouped(replicas.iter().map(|replica| (replica.config_hash.as_str(), *replica)));
        if hashes.len() > 1 && !differing_stages.contains(stage) {
            found.add(Finding {
                severity: Severity::Info,
                check: "replica configuration",
                place: stage.to_owned(),
                found: format!("its replicas differ in keys that need not agree: {}", words(&hashes)),
                means: "harmless; perhaps not meant".to_owned(),
                advice: "compare what --dump-config prints on each".to_owned(),
            });
        }
    }
}

/// Where this `promoctl` has other values than the replicas have, all of them the same.
fn compare_own(own: &BTreeMap<String, String>, replicas: &[Replica], found: &mut Findings) {
    let theirs = |key: &str| {
        let values: BTreeSet<&str> =
            replicas.iter().filter_map(|replica| replica.settings.get(key)).map(String::as_str).collect();
        match values.len() {
            1 => values.into_iter().next(),
            _ => None,
        }
    };
    let differing = own.iter().filter_map(|(key, value)| {
        theirs(key).filter(|theirs| theirs != value).map(|theirs| format!("{key}: {value:?} here, {theirs:?} there"))
    });
    let differing: Vec<String> = differing.collect();
    if differing.is_empty() {
        return;
    }
    found.add(Finding {
        severity: Severity::Warning,
        check: "own configuration",
        place: "promoctl".to_owned(),
        found: format!("this promoctl is configured differently from the replicas: {}", differing.join("; ")),
        means: "what it asks money, how fast, which refusals it takes for final and what it calls stuck follow its own values"
            .to_owned(),
        advice: "give it the configuration of the stages: the same file (--config) and the same environment".to_owned(),
    });
}

fn grouped<'a>(pairs: impl Iterator<Item = (&'a str, &'a Replica)>) -> BTreeMap<&'a str, Vec<&'a Replica>> {
    let mut groups: BTreeMap<&str, Vec<&Replica>> = BTreeMap::new();
    for (value, replica) in pairs {
        groups.entry(value).or_default().push(replica);
    }
    groups
}

/// `5s on payer p-1, payer p-2; 6s on retrier r-1`
fn words(groups: &BTreeMap<&str, Vec<&Replica>>) -> String {
    let group = |(value, replicas): (&&str, &Vec<&Replica>)| {
        let names = replicas.iter().take(NAMED).map(|replica| format!("{} {}", replica.stage, replica.name));
        let names = names.collect::<Vec<_>>().join(", ");
        let more = match replicas.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{value:?} on {names}{more}")
    };
    groups.iter().map(group).collect::<Vec<_>>().join("; ")
}

//! The Redis server, and what all replicas share in it.

use anyhow::Result;
use chrono::{DateTime, Utc};
use pipeline::streams::{Breaker, ServerFacts};

use super::finding::{Finding, Findings, Severity};
use crate::session::Session;

/// Share of its memory from which on a server is nearly full, in percent.
const NEARLY_FULL: u64 = 80;
/// Share from which on publishing is about to be refused.
const FULL: u64 = 95;

/// Adds what is wrong with it; says whether it answers.
pub(super) async fn examine(session: &Session, found: &mut Findings) -> Result<bool> {
    let streams = session.streams()?;
    let facts = match streams.server_facts().await {
        Ok(facts) => facts,
        Err(error) => {
            found.add(finding(
                Severity::Error,
                "redis reachable",
                format!("it does not answer: {error}"),
                "nothing is published or delivered while it is away; nothing is lost",
                "see that it runs and that REDIS_URL is right",
            ));
            return Ok(false);
        }
    };
    let before = Utc::now();
    let clock = streams.clock().await?;
    let at = DateTime::from_timestamp(i64::try_from(clock.as_secs())?, clock.subsec_nanos()).unwrap_or(before);
    super::compare_clocks(found, "Redis", before, at, Utc::now());
    keys_stay(&facts, found);
    memory(&facts, found);
    persistence(&facts, found);
    role(&facts, found);
    shared(session, found).await?;
    Ok(true)
}

fn finding(severity: Severity, check: &'static str, what: String, means: &str, advice: &str) -> Finding {
    let (place, means, advice) = ("Redis".to_owned(), means.to_owned(), advice.to_owned());
    Finding { severity, check, place, found: what, means, advice }
}

fn keys_stay(facts: &ServerFacts, found: &mut Findings) {
    if facts.major() < 7 {
        found.add(finding(
            Severity::Error,
            "redis version",
            format!("it is version {}", facts.version),
            "stages do not start on it: the scripts need 7",
            "use Redis 7 or later, or a Valkey that is compatible with it",
        ));
    }
    if facts.may_evict() {
        found.add(finding(
            Severity::Error,
            "redis eviction",
            format!("maxmemory-policy is {}", facts.maxmemory_policy),
            "streams may vanish under memory pressure; stages do not start on it",
            "set maxmemory-policy to noeviction",
        ));
    }
    if facts.evicted_keys > 0 {
        found.add(finding(
            Severity::Error,
            "redis eviction",
            format!("{} keys were evicted since it started", facts.evicted_keys),
            "streams may be among them; the sweep refills them from MySQL",
            "set maxmemory-policy to noeviction, then run `promoctl audit` on every running promotion",
        ));
    }
}

fn memory(facts: &ServerFacts, found: &mut Findings) {
    if facts.maxmemory == 0 {
        found.add(finding(
            Severity::Info,
            "redis memory",
            "maxmemory is not set".to_owned(),
            "it may grow until the machine ends it",
            "set maxmemory below what the machine has",
        ));
        return;
    }
    let used = facts.used_memory.saturating_mul(100) / facts.maxmemory;
    if used >= NEARLY_FULL {
        found.add(finding(
            if used >= FULL { Severity::Error } else { Severity::Warning },
            "redis memory",
            format!("{used} % of maxmemory are used"),
            "when it is full, publishing is refused until entries are settled",
            "raise maxmemory, or lower dispatcher.window; see what else lives in this Redis",
        ));
    }
}

fn persistence(facts: &ServerFacts, found: &mut Findings) {
    if !facts.appendonly {
        let snapshots = if facts.snapshots == Some(true) { ", only snapshots" } else { " and no snapshots" };
        found.add(finding(
            Severity::Warning,
            "redis persistence",
            format!("it writes no append-only file{snapshots}"),
            "a restart costs a refill from MySQL, and everything in flight is looked up again",
            "set appendonly yes",
        ));
    }
    if facts.appendonly && facts.appendfsync.as_deref() == Some("no") {
        found.add(finding(
            Severity::Info,
            "redis persistence",
            "appendfsync is no".to_owned(),
            "a crash of the machine loses up to half a minute, which is delivered again",
            "set appendfsync everysec",
        ));
    }
    if !facts.append_ok {
        found.add(finding(
            Severity::Error,
            "redis persistence",
            "the last write to the append-only file failed".to_owned(),
            "writes are refused until one goes well",
            "see its log: the disk is full or broken",
        ));
    }
    if !facts.snapshot_ok {
        let age = facts.snapshot_age.map_or_else(String::new, |age| format!(", the last good one is {age} s old"));
        found.add(finding(
            Severity::Error,
            "redis persistence",
            format!("the last snapshot failed{age}"),
            "with stop-writes-on-bgsave-error, its default, it refuses all writes",
            "see its log: the disk is full, or memory is too short for a fork",
        ));
    }
}

fn role(facts: &ServerFacts, found: &mut Findings) {
    if facts.role == "slave" {
        found.add(finding(
            Severity::Error,
            "redis role",
            "it is a replica".to_owned(),
            "it refuses writes, so nothing is published or settled",
            "point REDIS_URL to the primary, or end the failover",
        ));
    }
    let (replicas, online) = facts.replicas;
    if online < replicas {
        found.add(finding(
            Severity::Warning,
            "redis role",
            format!("{online} of its {replicas} replicas are online"),
            "a failover would go to one that lacks much; what it lacks is delivered again",
            "see the replicas' logs",
        ));
    }
}

/// Breaker and limiter.
async fn shared(session: &Session, found: &mut Findings) -> Result<()> {
    let streams = session.streams()?;
    let state = match streams.breaker_state().await? {
        Breaker::Closed => None,
        Breaker::Open { remaining } => Some(format!("open for {} ms more", remaining.as_millis())),
        Breaker::HalfOpen => Some("half-open: one request at a time probes".to_owned()),
    };
    if let Some(state) = state {
        found.add(Finding {
            place: "money".to_owned(),
            ..finding(
                Severity::Warning,
                "breaker",
                format!("the circuit breaker is {state}"),
                "money fails persistently, so nothing is sent; no attempt is used up",
                "see what money answers: payout_money_requests_total by verdict; it closes by itself",
            )
        });
    }
    let limiter = streams.limiter_state().await?;
    if !limiter.held_for.is_zero() {
        found.add(Finding {
            place: "money".to_owned(),
            ..finding(
                Severity::Warning,
                "limiter",
                format!("all requests are held back for {} ms more", limiter.held_for.as_millis()),
                "money answered 429: it takes fewer requests than money.max_rps says",
                "lower money.max_rps to what is agreed, in all replicas",
            )
        });
    }
    Ok(())
}

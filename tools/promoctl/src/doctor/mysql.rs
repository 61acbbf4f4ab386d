//! The database server.

use chrono::{DateTime, TimeDelta, Utc};
use pipeline::store::{ServerSettings, Store};

use super::finding::{Finding, Findings, Severity};
use crate::session::Session;

/// Local times that differ by less are clocks, not zones.
const ANOTHER_ZONE: TimeDelta = TimeDelta::minutes(10);

/// Adds what is wrong with it; says whether the tables can be used.
pub(super) async fn examine(session: &Session, found: &mut Findings) -> bool {
    let before = Utc::now();
    let settings = match session.store.server_settings().await {
        Ok(settings) => settings,
        Err(error) => {
            found.add(finding(
                Severity::Error,
                "database reachable",
                format!("it does not answer: {error}"),
                "nothing is paid while it is away",
                "see that it runs and that DATABASE_URL is right, with a user that may read and write the tables",
            ));
            return false;
        }
    };
    super::compare_clocks(found, "MySQL", before, settings.utc.and_utc(), Utc::now());
    version(&settings, found);
    durability(&settings, found);
    writable(&settings, found);
    zone(session, &settings, Utc::now(), found);
    schema(session, found).await
}

fn finding(severity: Severity, check: &'static str, what: String, means: &str, advice: &str) -> Finding {
    let (place, means, advice) = ("MySQL".to_owned(), means.to_owned(), advice.to_owned());
    Finding { severity, check, place, found: what, means, advice }
}

fn version(settings: &ServerSettings, found: &mut Findings) {
    let least = if settings.version.contains("MariaDB") { (10, 11) } else { (8, 0) };
    let mut parts = settings.version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version < least {
        found.add(finding(
            Severity::Error,
            "database version",
            format!("it is version {}", settings.version),
            "statements of the product fail on it",
            "use MySQL 8.0 or later, or MariaDB 10.11 or later",
        ));
    }
}

fn durability(settings: &ServerSettings, found: &mut Findings) {
    if settings.flush_log_at_commit != 1 {
        found.add(finding(
            Severity::Error,
            "database durability",
            format!("innodb_flush_log_at_trx_commit is {}", settings.flush_log_at_commit),
            "a crash loses the last commits: intents and results of payments that were made",
            "set innodb_flush_log_at_trx_commit = 1",
        ));
    }
    if settings.binary_log && settings.sync_binlog != 1 {
        found.add(finding(
            Severity::Warning,
            "database durability",
            format!("sync_binlog is {} and the binary log is on", settings.sync_binlog),
            "a crash may leave replicas, and a failover to one, without the last commits",
            "set sync_binlog = 1",
        ));
    }
    if !settings.sql_mode.contains("STRICT_TRANS_TABLES") && !settings.sql_mode.contains("STRICT_ALL_TABLES") {
        found.add(finding(
            Severity::Error,
            "database sql_mode",
            format!("sql_mode is {:?}, which is not strict", settings.sql_mode),
            "what does not fit a column is cut without an error",
            "add STRICT_TRANS_TABLES to sql_mode",
        ));
    }
}

fn writable(settings: &ServerSettings, found: &mut Findings) {
    if settings.read_only {
        found.add(finding(
            Severity::Error,
            "database writable",
            "read_only is on".to_owned(),
            "no intent can be recorded, so nothing is paid",
            "point DATABASE_URL to the primary, or end the failover",
        ));
    }
    if settings.connected * 10 >= settings.max_connections * 8 {
        found.add(finding(
            Severity::Warning,
            "database connections",
            format!("{} of {} connections are used", settings.connected, settings.max_connections),
            "stages that start or reconnect are refused",
            "raise max_connections, or run fewer replicas or a smaller store.connections",
        ));
    }
}

fn zone(session: &Session, settings: &ServerSettings, now: DateTime<Utc>, found: &mut Findings) {
    let ours = now.with_timezone(&session.config.time_zone).naive_local();
    let differs = settings.local.is_none_or(|local| (local - ours).abs() > ANOTHER_ZONE);
    // A clock that is wrong has been told.
    let clock_is_right = (settings.utc - now.naive_utc()).abs() <= ANOTHER_ZONE;
    if differs && clock_is_right {
        let local = settings.local.map_or_else(|| "nothing".to_owned(), |local| local.format("%H:%M").to_string());
        let (zone, expected) = (session.config.time_zone, ours.format("%H:%M"));
        found.add(finding(
            Severity::Warning,
            "database time zone",
            format!("NOW() gives {local} to others, and it is {expected} in {zone} (time.zone)"),
            "an admin tool that writes NOW() reserves promotions for another hour than it shows",
            "set the server's time_zone to the offset of time.zone, or let such tools set it for their connections",
        ));
    }
}

async fn schema(session: &Session, found: &mut Findings) -> bool {
    let what = match session.store.schema_version().await {
        Ok(version) if version == Store::expected_schema_version() => return true,
        Ok(version) => {
            format!("the schema is at version {version}, this promoctl expects {}", Store::expected_schema_version())
        }
        Err(error) => format!("the schema's version cannot be read: {error}"),
    };
    found.add(finding(
        Severity::Error,
        "schema version",
        what,
        "stages of this version do not start on an older schema",
        "run `promoctl migrate` with the version that the stages have",
    ));
    false
}

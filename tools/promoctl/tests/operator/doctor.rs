use std::collections::BTreeMap;
use std::time::Duration;

use pipeline::streams::Replica;
use serde_json::Value;
use servers::{Durability, MySql, MySqlOptions, Redis, RedisOptions};

use crate::field::{Field, Shape, counts, stream};

fn running(targets: i64) -> Shape {
    Shape { targets, partitions: 1, status: "IN_PROGRESS", started: true }
}

/// Severity of what a check found.
fn severities<'a>(report: &'a Value, check: &str) -> Vec<&'a str> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings.filter(|finding| finding["check"] == check).map(|finding| finding["severity"].as_str().unwrap()).collect()
}

fn is_told(report: &Value) {
    for finding in report["findings"].as_array().unwrap() {
        for part in ["check", "where", "found", "means", "do"] {
            assert!(!finding[part].as_str().unwrap().is_empty(), "{finding}");
        }
    }
}

async fn say(field: &mut Field, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    redis::cmd(words[0]).arg(&words[1..]).query::<redis::Value>(&mut field.redis).unwrap();
}

#[tokio::test]
async fn nothing_is_found_where_everything_is_as_it_should_be() {
    let redis = Redis::start(RedisOptions { maxmemory: Some("100mb".into()), ..RedisOptions::default() }).unwrap();
    let args = vec!["--default-time-zone=+09:00".into()];
    let mysql = MySql::start(MySqlOptions { args, ..MySqlOptions::default() }).unwrap();
    let field = Field::at(mysql.create_database("payout").unwrap(), redis.url()).await;
    field.ctl(&["migrate"]).ok().unwrap();
    let report = field.json(&["doctor"]);
    assert_eq!(report["findings"], serde_json::json!([]));
    assert!(field.ctl(&["doctor"]).ok().unwrap().contains("nothing found"));
    field.promotion(Shape { status: "READY", started: false, ..running(3) }).await;
    assert_eq!(field.code(&["doctor"]), 0, "a promotion that waits is nothing to find");
}

#[tokio::test]
async fn servers_that_endanger_data_are_found() {
    let redis = Redis::start(RedisOptions {
        maxmemory: Some("1500kb".into()),
        args: ["--maxmemory-policy", "volatile-lru", "--appendonly", "no"].map(str::to_owned).to_vec(),
        ..RedisOptions::default()
    })
    .unwrap();
    let mysql = MySql::start(MySqlOptions {
        durability: Durability::EverySecond,
        args: ["--sql-mode=", "--max-connections=10", "--default-time-zone=+00:00"].map(str::to_owned).to_vec(),
        ..MySqlOptions::default()
    })
    .unwrap();
    let field = Field::at(mysql.create_database("payout").unwrap(), redis.url()).await;
    let report = field.json(&["doctor"]);
    for (check, severity) in [
        ("schema version", "error"),
        ("database durability", "error"),
        ("database sql_mode", "error"),
        ("database time zone", "warning"),
        ("redis eviction", "error"),
        ("redis persistence", "warning"),
    ] {
        assert_eq!(severities(&report, check), [severity], "{check}: {report}");
    }
    assert!(!severities(&report, "redis memory").is_empty(), "{report}");
    is_told(&report);
    assert_eq!(field.code(&["doctor"]), 1);
    let table = field.ctl(&["doctor"]).stdout;
    assert!(table.contains("ERROR: maxmemory-policy is volatile-lru (Redis)"), "{table}");
}

#[tokio::test]
async fn a_server_that_is_away_is_a_finding_and_the_other_is_looked_at_all_the_same() {
    let field = Field::new().await;
    let away = |name: &str, url: &str| {
        let launch = field.launch(&["doctor", "-o", "json"]).env("PAYOUT_STORE_ACQUIRE_TIMEOUT", "500ms");
        let finished = launch.env(name, url).run(Duration::from_secs(60)).unwrap();
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        serde_json::from_str::<Value>(&finished.stdout).unwrap()
    };
    let report = away("DATABASE_URL", "mysql://u:geheim@127.0.0.1:1/d");
    assert_eq!(severities(&report, "database reachable"), ["error"]);
    assert_eq!(severities(&report, "redis reachable"), [] as [&str; 0]);
    assert!(!report.to_string().contains("geheim"), "{report}");
    let report = away("REDIS_URL", "redis://:geheim@127.0.0.1:1/0");
    assert_eq!(severities(&report, "redis reachable"), ["error"]);
    assert_eq!(severities(&report, "database reachable"), [] as [&str; 0]);
    assert!(!report.to_string().contains("geheim"), "{report}");
}

#[tokio::test]
async fn what_is_wrong_with_a_running_promotions_streams_is_found() {
    let mut field = Field::new().await;
    let id = field.promotion(running(6)).await;
    let (s, h) = (stream(id, 0), counts(id, 0));
    let doctor = |field: &Field| field.json(&["doctor", "--promotion", &id.to_string()]);
    assert_eq!(severities(&doctor(&field), "stream missing"), ["error"]);
    assert_eq!(severities(&doctor(&field), "stage missing").len(), 4);
    field.publish(id, 0).await;
    let healthy = doctor(&field);
    for check in
        ["stream missing", "group missing", "group position", "counts", "entries lost", "entries stuck", "deliveries"]
    {
        assert_eq!(severities(&healthy, check), [] as [&str; 0], "{check}: {healthy}");
    }
    // A payer that froze holds three, one of which was delivered again and again; one is held.
    say(&mut field, &format!("XREADGROUP GROUP payers payer-1 COUNT 3 STREAMS {s} >")).await;
    say(&mut field, &format!("XREADGROUP GROUP payers held COUNT 1 STREAMS {s} >")).await;
    assert_eq!(severities(&doctor(&field), "entries stuck"), [] as [&str; 0], "it works on them");
    say(&mut field, &format!("XCLAIM {s} payers payer-1 0 1001-0 IDLE 600000 RETRYCOUNT 15 JUSTID")).await;
    let report = doctor(&field);
    assert_eq!(severities(&report, "entries stuck"), ["error"]);
    assert_eq!(severities(&report, "deliveries"), ["warning"]);
    assert_eq!(severities(&report, "waiting for a person"), ["warning"]);
    is_told(&report);
    say(&mut field, &format!("HINCRBY {h} success_count 1")).await;
    assert_eq!(severities(&doctor(&field), "counts"), ["error"]);
    say(&mut field, &format!("HINCRBY {h} success_count -1")).await;
    say(&mut field, &format!("XGROUP DELCONSUMER {s} payers payer-1")).await;
    let report = doctor(&field);
    assert_eq!((severities(&report, "entries lost"), severities(&report, "counts")), (vec!["error"], vec![]));
    say(&mut field, &format!("XGROUP SETID {s} payers 99999-0")).await;
    assert_eq!(severities(&doctor(&field), "group position"), ["error"]);
    say(&mut field, &format!("XGROUP DESTROY {s} payers")).await;
    assert_eq!(severities(&doctor(&field), "group missing"), ["error"]);
    say(&mut field, &format!("SET {h} text")).await;
    assert_eq!(severities(&doctor(&field), "partition unreadable"), ["error"]);
    assert_eq!(field.code(&["doctor", "--promotion", "99"]), 2);
    assert_eq!(field.number("SELECT COUNT(*) FROM payout_audit").await, 0);
}

#[tokio::test]
async fn promotions_that_do_not_go_on_and_keys_that_were_left_are_found() {
    let field = Field::new().await;
    let id = field.promotion(running(4)).await;
    field.publish(id, 0).await;
    for (status, at, check, severity) in [
        ("FAILED", "stopped_at = NOW()", "promotion failed", "error"),
        ("STOPPED", "stopped_at = NOW() - INTERVAL 9 DAY", "promotion stopped", "warning"),
        ("COMPLETED", "completed_at = NOW() - INTERVAL 1 DAY", "keys left behind", "warning"),
    ] {
        field.sql(&format!("UPDATE campaign_promotions SET promotion_status = '{status}'")).await;
        field.sql(&format!("UPDATE campaign_promotion_summary SET stopped_memo = 'bad token', {at}")).await;
        let report = field.json(&["doctor"]);
        assert_eq!(severities(&report, check), [severity], "{report}");
        is_told(&report);
    }
    field.sql("UPDATE campaign_promotions SET promotion_status = 'IN_PROGRESS', promotion_type = 'GOLD'").await;
    assert_eq!(severities(&field.json(&["doctor"]), "promotion unusable"), ["error"]);
    assert_eq!(field.status(id).await.as_deref(), Some("IN_PROGRESS"), "the doctor writes nothing");
    field.sql("UPDATE campaign_promotions SET promotion_type = 'POINT', promotion_status = 'LOADING', created_at = NOW() - INTERVAL 1 DAY").await;
    assert_eq!(severities(&field.json(&["doctor"]), "promotion loading"), ["warning"]);
}

#[tokio::test]
async fn replicas_are_listed_and_a_setting_in_which_they_differ_is_named() {
    let field = Field::new().await;
    let replica = |stage: &str, name: &str, attempts: &str| Replica {
        stage: stage.into(),
        name: name.into(),
        process: 7,
        version: "1.0.0".into(),
        started_at_ms: 1_790_000_000_000,
        config_hash: attempts.into(),
        settings: BTreeMap::from([
            ("retry.max_attempts".into(), attempts.into()),
            ("money.max_rps".into(), "9".into()),
        ]),
    };
    let ttl = Duration::from_secs(60);
    for (name, attempts) in [("p-1", "5"), ("p-2", "5")] {
        field.streams.announce(&replica("payer", name, attempts), ttl).await.unwrap();
    }
    let report = field.json(&["doctor"]);
    assert_eq!(report["replicas"].as_array().unwrap().len(), 2);
    assert_eq!(report["replicas"][0]["started_at"], "2026-09-21T23:13:20");
    assert_eq!(severities(&report, "replica configuration"), [] as [&str; 0]);
    assert_eq!(severities(&report, "own configuration"), ["warning"]);
    let told =
        report["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == "own configuration").unwrap();
    assert!(told["found"].as_str().unwrap().ends_with(r#"money.max_rps: "1000" here, "9" there"#), "{told}");
    let alike =
        field.launch(&["doctor", "-o", "json"]).env("PAYOUT_MONEY_MAX_RPS", "9").run(Duration::from_secs(60)).unwrap();
    assert!(!alike.stdout.contains("own configuration"), "{}", alike.stdout);
    let newer = Replica { version: "1.1.0".into(), ..replica("retrier", "r-1", "6") };
    field.streams.announce(&newer, ttl).await.unwrap();
    let report = field.json(&["doctor"]);
    assert_eq!(severities(&report, "replica configuration"), ["error"]);
    assert_eq!(severities(&report, "replica version"), ["warning"]);
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == "replica configuration").unwrap();
    assert_eq!(finding["where"], "retry.max_attempts");
    assert!(finding["found"].as_str().unwrap().contains("\"6\" on retrier r-1"), "{finding}");
    field.streams.withdraw(&newer).await.unwrap();
    assert_eq!(field.json(&["doctor"])["replicas"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_open_breaker_and_a_limit_that_is_held_back_are_found() {
    let field = Field::new().await;
    assert_eq!(severities(&field.json(&["doctor"]), "limiter"), [] as [&str; 0]);
    field.streams.hold_back(Duration::from_secs(50)).await.unwrap();
    let policy = pipeline::streams::BreakerPolicy {
        window: Duration::from_secs(10),
        min_failures: 1,
        failure_percent: 1,
        open_for: Duration::from_secs(50),
        open_cap: Duration::from_secs(60),
    };
    field.streams.breaker_report(0, 5, &policy, "payer-1").await.unwrap();
    let report = field.json(&["doctor"]);
    assert_eq!((severities(&report, "limiter"), severities(&report, "breaker")), (vec!["warning"], vec!["warning"]));
}

use pipeline::domain::{Partition, PromotionId, TargetId};
use pipeline::record::DeadLetter;
use serde_json::{Value, json};

use crate::field::{CUSTOMER, Field, Shape, stream};

/// Targets 1001 to 1010, the first eight published, the first five with results of all kinds.
async fn mixed(field: &Field) -> i64 {
    let id = field.promotion(Shape { targets: 10, partitions: 1, status: "IN_PROGRESS", started: true }).await;
    for (target, status) in
        [(1001, "SUCCESS"), (1002, "FAILED"), (1003, "PENDING"), (1004, "RETRYING"), (1005, "PENDING")]
    {
        field.result(id, target, status).await;
    }
    // Local time of the configured zone, as the stages write it.
    let local = "UTC_TIMESTAMP() + INTERVAL 9 HOUR";
    field.sql(&format!("UPDATE campaign_promotion_point_results SET updated_at = {local}")).await;
    field
        .sql(&format!(
            "UPDATE campaign_promotion_point_results SET waits_for = 'UNKNOWN_OUTCOME', retry_count = 4, \
             may_have_executed = 1, error_code = 'TIMEOUT', updated_at = {local} - INTERVAL 2 HOUR WHERE point_target_id = 1003"
        ))
        .await;
    field
        .sql("UPDATE campaign_promotion_point_targets SET publish_status = 'PUBLISHED' WHERE point_target_id <= 1008")
        .await;
    id
}

fn ids(page: &Value) -> Vec<i64> {
    page["data"].as_array().unwrap().iter().map(|line| line["target_id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn targets_are_listed_by_every_filter() {
    let field = Field::new().await;
    let id = mixed(&field).await.to_string();
    let list = |more: &[&str]| {
        let mut args = vec!["targets", "list", "--promotion", &id];
        args.extend(more);
        field.json(&args)
    };
    for (filter, expected) in [
        (vec!["--status", "SUCCESS"], vec![1001]),
        (vec!["--status", "failed"], vec![1002]),
        (vec!["--status", "PENDING"], vec![1003, 1005]),
        (vec!["--status", "RETRYING"], vec![1004]),
        (vec!["--status", "WAITING"], vec![1003]),
        (vec!["--status", "UNPUBLISHED"], vec![1009, 1010]),
        (vec!["--error-code", "REFUSED"], vec![1002]),
        (vec!["--error-code", "NONE_SUCH"], vec![]),
        (vec!["--older-than", "1h"], vec![1003]),
        (vec!["--older-than", "3h"], vec![]),
        (vec!["--older-than", "1h", "--status", "SUCCESS"], vec![]),
        (vec!["--customer", "7000004"], vec![1004]),
        (vec!["--customer", "7000004", "--status", "SUCCESS"], vec![]),
        (vec![], (1001..=1010).collect()),
    ] {
        assert_eq!(ids(&list(&filter)), expected, "{filter:?}");
    }
    assert_eq!(field.code(&["targets", "list", "--promotion", "99"]), 2);
    assert_eq!(field.code(&["targets", "list", "--promotion", &id, "--status", "LOST"]), 2);
    assert_eq!(field.code(&["targets", "list"]), 2, "of which promotion?");
}

#[tokio::test]
async fn a_listed_target_says_how_it_stands_and_not_who_it_is() {
    let field = Field::new().await;
    let id = mixed(&field).await.to_string();
    let waiting = ["targets", "list", "--promotion", &id, "--status", "WAITING"];
    let line = field.json(&waiting)["data"][0].clone();
    assert_eq!(line["customer_uid"], "*****03");
    assert_eq!((line["amount"].as_str(), line["attempts"].as_u64()), (Some("100.50"), Some(5)));
    assert_eq!(
        (line["publish_status"].as_str(), line["process_status"].as_str()),
        (Some("PUBLISHED"), Some("PENDING"))
    );
    assert_eq!((line["waits_for"].as_str(), line["error_code"].as_str()), (Some("UNKNOWN_OUTCOME"), Some("TIMEOUT")));
    let open: Vec<&str> = waiting.iter().copied().chain(["--show-pii"]).collect();
    assert_eq!(field.json(&open)["data"][0]["customer_uid"], (CUSTOMER + 3).to_string());
    let table = field.ctl(&waiting).ok().unwrap();
    assert!(table.contains("UNKNOWN_OUTCOME") && !table.contains(&(CUSTOMER + 3).to_string()), "{table}");
}

#[tokio::test]
async fn targets_are_listed_in_pages_and_a_rare_one_is_looked_for_part_by_part() {
    let field = Field::new().await;
    let id = mixed(&field).await.to_string();
    let list = |more: &[&str]| {
        let mut args = vec!["targets", "list", "--promotion", &id];
        args.extend(more);
        field.json(&args)
    };
    let (mut seen, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let page = list(&["--limit", "3", "--cursor", &cursor]);
        seen.extend(ids(&page));
        match page["next_cursor"].as_i64() {
            Some(next) => cursor = next.to_string(),
            None => break,
        }
    }
    assert_eq!(seen, (1001..=1010).collect::<Vec<_>>());
    // As if millions lay between them: no result may be asked for as many at once.
    field
        .sql("UPDATE campaign_promotion_point_targets SET point_target_id = 5000000 WHERE point_target_id = 1010")
        .await;
    field.sql("UPDATE campaign_promotion_loads SET last_target_id = 5000000").await;
    let rare = ["--status", "UNPUBLISHED"];
    let first = list(&rare);
    assert_eq!(ids(&first), [1009]);
    let (come_to, last) = (first["looked_through"].as_i64().unwrap(), first["last_target_id"].as_i64().unwrap());
    assert!(come_to > 1_000_000 && come_to < last, "{first}");
    assert_eq!(first["next_cursor"], come_to);
    let (mut rounds, mut page) = (0, first);
    while let Some(cursor) = page["next_cursor"].as_i64().map(|cursor| cursor.to_string()) {
        page = list(&["--status", "UNPUBLISHED", "--cursor", &cursor]);
        rounds += 1;
    }
    assert_eq!((ids(&page), rounds), (vec![5_000_000], 2));
    let table = field.ctl(&["targets", "list", "--promotion", &id, "--status", "UNPUBLISHED"]).ok().unwrap();
    assert!(table.contains(&format!("up to {come_to} of 5000000")), "{table}");
    assert_eq!(ids(&list(&["--customer", "7000010"])), [5_000_000], "a customer is found at once");
}

#[tokio::test]
async fn a_target_is_shown_whole_and_its_customer_and_reason_are_hidden() {
    let mut field = Field::new().await;
    let id = mixed(&field).await;
    field.sql("UPDATE campaign_promotion_point_targets SET reason = 'for Kim' WHERE point_target_id = 1003").await;
    field
        .sql(
            "UPDATE campaign_promotion_point_results SET key_generation = 2, requeues = 1 WHERE point_target_id = 1003",
        )
        .await;
    field
        .sql(&format!(
            "INSERT INTO payout_audit (at, actor, action, promotion_id, target_id, reason) VALUES \
             (NOW(), 'kim', 'resolve', {id}, 1003, 'asked'), (NOW(), 'lee', 'promotion stop', {id}, NULL, 'late'), \
             (NOW(), 'lee', 'resolve', {id}, 1002, 'another')"
        ))
        .await;
    field.publish(id, 0).await;
    field.deliver(id, 0, "retry", 3);
    let letter = |target: i64| DeadLetter {
        version: 1,
        kind: "POINT".into(),
        promotion: PromotionId(id),
        target: TargetId(target),
        generation: 2,
        attempts: 5,
        reason: "POISON".into(),
        failed_at_ms: 1_790_000_000_000,
    };
    let partition = Partition { promotion: PromotionId(id), number: 0 };
    field.streams.append_dead(partition, &[letter(1002).encode(), letter(1003).encode()]).await.unwrap();
    let name = id.to_string();
    field
        .sql(
            "UPDATE campaign_promotion_point_results SET attempts = '1 UNKNOWN\n2026-11-19 10:00:00 1 FAILED ACCOUNT_CLOSED\n\
             2026-11-20 11:30:00 2 UNKNOWN TIMEOUT\n' WHERE point_target_id = 1003",
        )
        .await;
    let show = field.json(&["targets", "show", "1003", "--promotion", &name, "--no-lookup"]);
    assert_eq!(
        (show["target"]["customer_uid"].as_str(), show["target"]["reason"].as_str()),
        (Some("*****03"), Some("(hidden)"))
    );
    assert_eq!(show["idempotency_keys"], json!(["SPRING_*****03", "SPRING_*****03.g2"]));
    let row = &show["result"];
    assert_eq!((row["process_status"].as_str(), row["attempts"].as_u64()), (Some("PENDING"), Some(5)));
    assert_eq!((row["may_have_executed"].as_bool(), row["requeues"].as_u64()), (Some(true), Some(1)));
    assert_eq!(row["waits_for"], "UNKNOWN_OUTCOME");
    let entry = &show["entry"];
    assert_eq!((entry["entry_id"].as_str(), entry["consumer"].as_str()), (Some("1003-0"), Some("retry")));
    assert!(entry["place"].as_str().unwrap().starts_with("parked"), "{entry}");
    assert_eq!(entry["deliveries"], 1);
    let letter = &show["dead_letters"];
    assert_eq!((letter[0]["reason"].as_str(), letter[0]["key_generation"].as_u64()), (Some("POISON"), Some(2)));
    assert_eq!(letter.as_array().unwrap().len(), 1, "another's is another's: {letter}");
    let acts = show["acts"].as_array().unwrap();
    assert_eq!(
        acts.iter().map(|act| act["action"].as_str().unwrap()).collect::<Vec<_>>(),
        ["promotion stop", "resolve"]
    );
    assert_eq!((acts[0]["this_target"].as_bool(), acts[1]["this_target"].as_bool()), (Some(false), Some(true)));
    assert_eq!((show["ledger"].clone(), show["ledger_note"].as_str()), (json!([]), Some("not asked (--no-lookup)")));
    let moments = show["timeline"].as_array().unwrap();
    assert!(moments.iter().any(|moment| moment["what"].as_str().unwrap().contains("after 5 attempts")), "{moments:?}");
    let attempts: Vec<_> = moments
        .iter()
        .filter(|moment| moment["source"] == "result attempts")
        .map(|moment| moment["what"].clone())
        .collect();
    assert_eq!(
        attempts,
        [
            "an attempt (generation 1) came to FAILED, ACCOUNT_CLOSED",
            "an attempt (generation 2) came to UNKNOWN, TIMEOUT"
        ],
        "what was cut is left out"
    );
    let open = field.json(&["targets", "show", "1003", "--type", "POINT", "--no-lookup", "--show-pii"]);
    assert_eq!(open["idempotency_keys"][1], "SPRING_7000003.g2");
    assert_eq!(open["target"]["reason"], "for Kim");
    let table = field.ctl(&["targets", "show", "1003", "--promotion", &name, "--no-lookup"]).ok().unwrap();
    assert!(table.contains("UNKNOWN_OUTCOME") && !table.contains("7000003"), "{table}");
}

#[tokio::test]
async fn where_a_targets_entry_is_is_told_at_every_station() {
    let mut field = Field::new().await;
    let id = mixed(&field).await;
    let name = id.to_string();
    let place = |field: &Field, target: &str| {
        let show = field.json(&["targets", "show", target, "--promotion", &name, "--no-lookup"]);
        show["entry"]["place"].as_str().unwrap().to_owned()
    };
    assert!(place(&field, "1001").contains("no stream"));
    field.publish(id, 0).await;
    assert!(place(&field, "1001").contains("not delivered yet"));
    field.deliver(id, 0, "payer-1", 2);
    assert_eq!(place(&field, "1002"), "delivered to payer-1");
    redis::cmd("XDEL").arg(stream(id, 0)).arg("1002-0").query::<u64>(&mut field.redis).unwrap();
    assert!(place(&field, "1002").contains("deleted by somebody else"));
    redis::cmd("XACK").arg(stream(id, 0)).arg("payers").arg("1001-0").query::<u64>(&mut field.redis).unwrap();
    redis::cmd("XDEL").arg(stream(id, 0)).arg("1001-0").query::<u64>(&mut field.redis).unwrap();
    assert!(place(&field, "1001").contains("settled"));
    // A rebuilt entry does not name its target by its id.
    field.ctl(&["repair", &name, "--reason", "r", "--yes"]).ok().unwrap();
    let rebuilt = field.json(&["targets", "show", "1003", "--promotion", &name, "--no-lookup"]);
    assert!(rebuilt["entry"]["place"].as_str().unwrap().contains("not delivered yet"), "{rebuilt}");
    field.sql("INSERT INTO campaign_promotion_point_targets (point_target_id, promotion_id, customer_uid, partition_key) VALUES (2000, 1, 9, 0)").await;
    assert_eq!(place(&field, "2000"), "not published yet");
    for refused in [
        vec!["9999", "--promotion", &name],
        vec!["1001", "--promotion", "99"],
        vec!["1001", "--type", "NONE"],
        vec!["1001"],
    ] {
        let mut args = vec!["targets", "show"];
        args.extend(refused);
        args.push("--no-lookup");
        assert_eq!(field.code(&args), 2, "{args:?}");
    }
}

#[tokio::test]
async fn without_money_configured_a_target_is_shown_only_without_a_look_up() {
    let field = Field::new().await;
    let id = mixed(&field).await.to_string();
    assert_eq!(field.code(&["targets", "show", "1001", "--promotion", &id]), 64);
}

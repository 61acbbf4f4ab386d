use crate::field::{CUSTOMER, Field, Shape};

#[tokio::test]
async fn promotions_are_listed_newest_first_in_pages() {
    let field = Field::new().await;
    for number in 1..=5 {
        let status = if number == 3 { "STOPPED" } else { "READY" };
        field
            .sql(&format!(
                "INSERT INTO campaign_promotions (campaign_code, external_id, promotion_type, promotion_status, total_count, total_amount) \
                 VALUES ('C{number}', UUID(), 'POINT', '{status}', 10, 12345.60)"
            ))
            .await;
    }
    let page = field.json(&["promotion", "list", "--limit", "2"]);
    let ids = |page: &serde_json::Value| -> Vec<i64> {
        page["data"].as_array().unwrap().iter().map(|line| line["promotion_id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&page), [5, 4]);
    assert_eq!(page["data"][0]["total_amount"], "12345.60");
    let cursor = page["next_cursor"].to_string();
    assert_eq!(ids(&field.json(&["promotion", "list", "--limit", "10", "--cursor", &cursor])), [3, 2, 1]);
    assert_eq!(ids(&field.json(&["promotion", "list", "--status", "stopped"])), [3]);
    let table = field.ctl(&["promotion", "list"]).ok().unwrap();
    assert!(table.contains("12,345.60"), "{table}");
}

#[tokio::test]
async fn show_groups_failures_and_what_waits_and_hides_who_is_paid() {
    let field = Field::new().await;
    let id = field.promotion(Shape { targets: 10, partitions: 1, status: "IN_PROGRESS", started: true }).await;
    field.publish(id, 0).await;
    for target in 1001..=1004 {
        field.result(id, target, "SUCCESS").await;
    }
    for target in 1005..=1007 {
        field.result(id, target, "FAILED").await;
    }
    field.result(id, 1008, "PENDING").await;
    field.result(id, 1009, "PENDING").await;
    field.sql("UPDATE campaign_promotion_point_results SET waits_for = 'UNKNOWN_OUTCOME', error_code = 'TIMEOUT' WHERE point_target_id = 1008").await;
    field
        .sql("UPDATE campaign_promotion_point_results SET error_code = 'ODD_REFUSAL' WHERE point_target_id = 1009")
        .await;
    let show = field.json(&["promotion", "show", &id.to_string()]);
    let states = show["states"].as_array().unwrap();
    let state = |name: &str| states.iter().find(|state| state["state"] == name).unwrap();
    assert_eq!((state("SUCCESS")["targets"].as_u64(), state("SUCCESS")["amount"].as_str()), (Some(4), Some("402.00")));
    assert_eq!(state("PENDING")["waiting_for_a_person"], 1);
    assert_eq!(state("not begun")["targets"], 1);
    assert_eq!(show["failures"][0]["error_code"], "REFUSED");
    assert_eq!(
        (show["failures"][0]["targets"].as_u64(), show["failures"][0]["amount"].as_str()),
        (Some(3), Some("301.50"))
    );
    assert_eq!(show["refusals_not_final"][0]["error_code"], "ODD_REFUSAL");
    assert_eq!(show["refusals_not_final"].as_array().unwrap().len(), 1);
    assert_eq!(show["waiting"][0]["waits_for"], "UNKNOWN_OUTCOME");
    assert_eq!(show["waiting_targets"][0]["target_id"], 1008);
    assert_eq!(show["waiting_targets"][0]["customer_uid"], "*****08");
    assert_eq!(show["partitions"][0]["backlog"], 10);
    assert_eq!(show["partitions"][0]["undelivered"], 10);
    let open = field.json(&["promotion", "show", &id.to_string(), "--show-pii"]);
    assert_eq!(open["waiting_targets"][0]["customer_uid"], (CUSTOMER + 8).to_string());
    let table = field.ctl(&["promotion", "show", &id.to_string()]).ok().unwrap();
    assert!(!table.contains(&(CUSTOMER + 8).to_string()), "{table}");
}

#[tokio::test]
async fn pending_entries_and_consumers_are_listed_with_their_rows() {
    let mut field = Field::new().await;
    let id = field.promotion(Shape { targets: 6, partitions: 2, status: "IN_PROGRESS", started: true }).await;
    let name = id.to_string();
    let mut all = 0;
    for partition in 0..2 {
        all += field.publish(id, partition).await.len();
        field.deliver(id, partition, "payer-1", 10);
    }
    field.result(id, 1001, "PENDING").await;
    let list = field.json(&["pending", "list", "--promotion", &name]);
    let data = list["data"].as_array().unwrap();
    assert_eq!(data.len(), all);
    let line = data.iter().find(|line| line["target_id"] == 1001).unwrap();
    assert_eq!((line["consumer"].as_str(), line["process_status"].as_str()), (Some("payer-1"), Some("PENDING")));
    let mut seen = 0;
    let mut cursor = None::<String>;
    loop {
        let mut args = vec!["pending", "list", "--promotion", &name, "--limit", "2"];
        args.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor.as_str()]));
        let page = field.json(&args);
        seen += page["data"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, all);
    assert_eq!(
        field.json(&["pending", "list", "--promotion", &name, "--min-idle", "1h"])["data"],
        serde_json::json!([])
    );
    assert_eq!(
        field.json(&["pending", "list", "--promotion", &name, "--consumer", "retry"])["data"],
        serde_json::json!([])
    );
    let consumers = field.json(&["consumers", "list", "--promotion", &name]);
    assert_eq!(
        (consumers["data"][0]["consumer"].as_str(), consumers["data"][0]["pending"].as_u64()),
        (Some("payer-1"), Some(6))
    );
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_it_without_a_panic() {
    let field = Field::new().await;
    let mut child = field.piped(&["promotion", "list"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(141));
}

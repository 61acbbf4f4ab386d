//! What tests and operators can find out.

use money_sandbox::faults::Faults;
use serde_json::json;

use crate::client::{until, with};

#[tokio::test]
async fn the_ledger_lists_what_happened_in_order_and_by_campaign() {
    let (sandbox, client) = with(Faults::default()).await;
    let paid = client.charge("spring_7").await.money_key();
    client.cancel("autumn_8").await;
    sandbox.set_faults(Faults { refuse: 1.0, ..Faults::default() }).unwrap();
    client.charge("spring_9").await;

    let lines = client.ledger("").await;
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["paid", "cancelled", "declined"]);
    for (field, value) in [
        ("key", json!("spring_7")),
        ("type", json!("point")),
        ("customerUid", json!(7)),
        ("campaignCode", json!("spring")),
        ("merchantCode", json!("m")),
        ("amount", json!("10000.50")),
        ("moneyKey", json!(paid)),
    ] {
        assert_eq!(lines[0][field], value, "{field}");
    }
    assert!(lines[0]["at"].as_u64().unwrap() <= lines[1]["at"].as_u64().unwrap());
    assert_eq!(lines[2]["errorCode"], "CUSTOMER_NOT_ELIGIBLE");

    assert_eq!(client.ledger("?campaign=autumn").await, lines[1..2]);
    assert_eq!(client.ledger("?campaign=spring").await.len(), 2);
    assert_eq!(client.ledger("?campaign=none").await.len(), 0);
    let summary = client.get("/ledger/summary?campaign=spring").await;
    assert_eq!(
        summary,
        json!({"paid_count": 1, "paid_total": "10000.5", "distinct_paid_keys": 1,
            "keys_paid_more_than_once": 0, "declined": 1, "cancelled": 0})
    );
}

#[tokio::test]
async fn statistics_count_every_call_by_kind_and_outcome() {
    let (sandbox, client) = with(Faults::default()).await;
    client.charge("spring_7").await;
    client.charge("spring_7").await;
    client.look_up("spring_7").await;
    client.look_up("spring_8").await;
    client.cancel("spring_8").await;
    until("all counted", async || client.get("/stats").await["cancel"]["total"] == 1).await;
    let stats = client.get("/stats").await;
    assert_eq!(stats["charge"]["outcomes"], json!({"paid": 1, "replayed": 1}));
    assert_eq!(stats["lookup"]["outcomes"], json!({"found": 1, "not_seen": 1}));
    assert_eq!(stats["cancel"]["outcomes"], json!({"cancelled": 1}));

    let rate = client.get("/stats/rate").await;
    assert_eq!(rate["total"], 5);
    assert!((1..=5).contains(&rate["max_in_one_second"].as_u64().unwrap()));
    assert_eq!(Some(sandbox.stats().max_in_a_second()), rate["max_in_one_second"].as_u64());
    assert!(rate["first_arrival_us"].as_u64() < rate["last_arrival_us"].as_u64());
}

#[tokio::test]
async fn a_reset_clears_the_counters_and_on_request_the_ledger() {
    let (sandbox, client) = with(Faults::default()).await;
    let first = client.charge("spring_7").await.money_key();
    client.send("POST", "/admin/reset", None, "").await;
    assert_eq!(client.get("/stats/rate").await["total"], 0);
    assert_eq!(sandbox.summary(None).paid_count, 1);
    client.send("POST", "/admin/reset?ledger=true", None, "").await;
    assert_eq!(sandbox.summary(None).paid_count, 0);
    assert!(client.ledger("").await.is_empty());
    assert_ne!(client.charge("spring_7").await.money_key(), first);
}

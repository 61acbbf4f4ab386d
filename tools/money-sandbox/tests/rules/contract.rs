//! Charge, look up, cancel.

use money_sandbox::Settings;
use money_sandbox::faults::Faults;

use crate::client::{point, start, until, with};

#[tokio::test]
async fn the_same_key_with_the_same_body_is_paid_once_and_answered_alike() {
    let (sandbox, client) = with(Faults::default()).await;
    let first = client.charge("spring_7").await;
    let second = client.charge("spring_7").await;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.body, second.body);
    assert_ne!(client.charge("spring_8").await.money_key(), first.money_key());
    let summary = sandbox.summary(None);
    assert_eq!((summary.paid_count, summary.distinct_paid_keys), (2, 2));
    assert_eq!(summary.paid_total, "20001");
}

#[tokio::test]
async fn bodies_compare_by_their_fields_and_amounts_as_exact_numbers() {
    let (sandbox, client) = with(Faults::default()).await;
    let first = client.charge("spring_7").await;
    let same = r#" { "expiredAt" : null, "amount": 10000.5, "campaignCode":"spring", "customerUid": 7,
        "merchantCode": "m", "description": "so \u0062e it" }"#;
    assert_eq!(client.charge_with("spring_7", same).await.body, first.body);

    let large = "12345678901234567.01";
    client.charge_with("spring_9", &point(large)).await.money_key();
    let near = client.charge_with("spring_9", &point("12345678901234567.02")).await;
    assert_eq!((near.status, near.error_code().as_str()), (422, "KEY_REUSED"));
    assert_eq!(client.ledger("").await[1]["amount"], large);
    assert_eq!(sandbox.summary(None).paid_total, "12345678901244567.51");
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused_with_422_and_not_paid() {
    let (sandbox, client) = with(Faults::default()).await;
    client.charge("spring_7").await.money_key();
    let bodies = [
        point("10000.51"),
        point("10000.50").replace("so be it", "so it be"),
        point("10000.50").replace("null", "\"2027-01-01\""),
        point("10000.50").replace(":7", ":8"),
    ];
    for body in bodies {
        let reply = client.charge_with("spring_7", &body).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (422, "KEY_REUSED"), "{body}");
    }
    assert_eq!(client.voucher("spring_7").await.status, 422);
    assert_eq!(sandbox.summary(None).paid_count, 1);
}

#[tokio::test]
async fn while_the_first_request_executes_every_other_one_gets_409() {
    let (sandbox, client) = with(Faults { latency_ms: 5_000.0, ..Faults::default() }).await;
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.charge("spring_7").await }
    });
    until("the charge has arrived", async || client.get("/stats/rate").await["total"] == 1).await;
    // It has drawn its latency; the others are to be quick.
    sandbox.set_faults(Faults { retry_after_s: Some(3), ..Faults::default() }).unwrap();
    for reply in [
        client.charge("spring_7").await,
        client.charge_with("spring_7", &point("1")).await,
        client.look_up("spring_7").await,
        client.cancel("spring_7").await,
    ] {
        assert_eq!((reply.status, reply.error_code().as_str()), (409, "IN_PROGRESS"));
        assert!(reply.head.contains("retry-after: 3"), "{}", reply.head);
    }
    let first = first.await.unwrap();
    assert_eq!(client.look_up("spring_7").await.body, first.body);
    assert_eq!(sandbox.summary(None).paid_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_concurrent_requests_with_one_key_exactly_one_executes() {
    let faults = Faults { jitter_ms: 3.0, ..Faults::default() };
    let (sandbox, client) = with(faults).await;
    for round in 0..20 {
        let key = format!("spring_{round}");
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let (client, key) = (client.clone(), key.clone());
                tokio::spawn(async move { client.charge(&key).await })
            })
            .collect();
        let mut paid = Vec::new();
        for task in tasks {
            let reply = task.await.unwrap();
            match reply.status {
                200 => paid.push(reply.money_key()),
                409 => assert_eq!(reply.error_code(), "IN_PROGRESS"),
                status => panic!("{status}"),
            }
        }
        paid.dedup();
        assert_eq!(paid.len(), 1, "one payment, and its replays");
    }
    assert_eq!(sandbox.summary(None).paid_count, 20);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_the_payment() {
    let (sandbox, client) = with(Faults { latency_ms: 100.0, ..Faults::default() }).await;
    let leaving = client.charge("spring_7");
    let _ = tokio::time::timeout(std::time::Duration::from_millis(50), leaving).await;
    until("it is paid all the same", async || sandbox.summary(None).paid_count == 1).await;
}

#[tokio::test]
async fn a_refusal_is_recorded_and_repeated_for_ever() {
    let (sandbox, client) = with(Faults { refuse: 1.0, ..Faults::default() }).await;
    let first = client.charge("spring_7").await;
    assert_eq!((first.status, first.error_code().as_str()), (200, "CUSTOMER_NOT_ELIGIBLE"));
    sandbox.set_faults(Faults::default()).unwrap();
    assert_eq!(client.charge("spring_7").await.body, first.body);
    assert_eq!(client.look_up("spring_7").await.body, first.body);
    let cancel = client.cancel("spring_7").await;
    assert_eq!((cancel.status, &cancel.body), (409, &first.body));
    client.charge("spring_7.g2").await.money_key();
    let summary = sandbox.summary(None);
    assert_eq!((summary.paid_count, summary.declined, summary.cancelled), (1, 1, 0));
}

#[tokio::test]
async fn a_look_up_gives_the_stored_answer_and_404_for_what_was_not_seen() {
    let (_sandbox, client) = with(Faults::default()).await;
    assert_eq!(client.look_up("spring_7").await.status, 404);
    let paid = client.voucher("spring_7").await;
    let found = client.look_up("spring_7").await;
    assert_eq!((found.status, found.body), (200, paid.body));
}

#[tokio::test]
async fn keys_are_percent_decoded_in_paths() {
    let (_sandbox, client) = with(Faults::default()).await;
    let paid = client.charge("a b/c_7.g2").await;
    assert_eq!(client.look_up("a%20b%2Fc%5F7.g2").await.body, paid.body);
    assert_eq!(client.cancel("a%20b%2Fc_7%2Eg2").await.status, 409);
    assert_eq!(client.look_up("%FF").await.status, 400);
}

#[tokio::test]
async fn a_cancelled_key_is_burnt_for_a_late_request() {
    let (sandbox, client) = with(Faults::default()).await;
    assert_eq!(client.cancel("spring_7").await.status, 200);
    assert_eq!(client.cancel("spring_7").await.status, 200, "again");
    let late = client.charge("spring_7").await;
    assert_eq!((late.status, late.error_code().as_str()), (200, "CANCELLED"));
    assert_eq!(client.look_up("spring_7").await.body, late.body);
    let summary = sandbox.summary(Some("spring"));
    assert_eq!((summary.paid_count, summary.cancelled), (0, 1));
}

#[tokio::test]
async fn a_cancel_after_the_payment_is_answered_409_with_the_payment() {
    let (sandbox, client) = with(Faults::default()).await;
    let paid = client.charge("spring_7").await;
    let cancel = client.cancel("spring_7").await;
    assert_eq!((cancel.status, cancel.body), (409, paid.body));
    assert_eq!(sandbox.summary(None).cancelled, 0);
}

#[tokio::test]
async fn a_voucher_answer_has_its_code_pin_and_expiry() {
    let settings = Settings { pin_prefix: "CANARY-".to_owned(), ..Settings::default() };
    let (_sandbox, client) = start(settings).await;
    let data = client.voucher("spring_7").await.json()["data"].clone();
    assert!(data["voucherPin"].as_str().unwrap().starts_with("CANARY-"));
    assert!(data["voucherCode"].as_str().unwrap().len() > 8);
    assert_eq!(data["voucherExpiryAt"], "2027-02-28T23:59:59");
    let points = client.charge("spring_8").await.json()["data"].clone();
    assert!(points.get("voucherPin").is_none());
    let ledger = client.ledger("").await;
    assert!(!ledger[0].to_string().contains("CANARY-"));
}

#[tokio::test]
async fn malformed_requests_are_refused_before_anything_happens() {
    let (sandbox, client) = with(Faults::default()).await;
    let good = point("1");
    for body in [
        "".to_owned(),
        "{".to_owned(),
        good.replace("\"amount\":1,", ""),
        good.replace("customerUid", "customer"),
        good.replace(":7", ":-7"),
        point("\"1\""),
        point("1e3"),
        point("-1"),
        point("12345678901234567890123456789012345"),
        good.replace("null", "\"2027-02-30\""),
        good.replace("null", "\"tomorrow\""),
        good.replace("{", "{\"amount\":2,"),
    ] {
        let reply = client.charge_with("spring_7", &body).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (400, "INVALID_BODY"), "{body}");
    }
    let path = "/internal/v1/campaigns/point/charge";
    let keyless = client.send("POST", path, None, &good).await;
    assert_eq!((keyless.status, keyless.error_code().as_str()), (400, "MISSING_KEY"));
    assert_eq!(client.charge(&"k".repeat(201)).await.status, 400);
    let huge = format!("{}{good}", " ".repeat(64 * 1024));
    assert_eq!(client.charge_with("spring_7", &huge).await.status, 413);
    assert_eq!(client.send("GET", path, None, "").await.status, 405);
    let nowhere = "/internal/v1/campaigns/a/b/c";
    assert_eq!(client.send("GET", nowhere, None, "").await.status, 404);
    assert_eq!(sandbox.summary(None).paid_count, 0);
    assert_eq!(client.look_up("spring_7").await.status, 404);
}

#[tokio::test]
async fn every_call_needs_the_token() {
    let (sandbox, client) = with(Faults::default()).await;
    let mut stranger = client.clone();
    stranger.token = "sandbo";
    for reply in
        [stranger.charge("spring_7").await, stranger.look_up("spring_7").await, stranger.cancel("spring_7").await]
    {
        assert_eq!(reply.status, 401);
    }
    assert_eq!(client.look_up("spring_7").await.status, 404, "nothing happened");
    assert_eq!(stranger.get("/ledger/summary").await["paid_count"], 0, "not a contract path");
    assert_eq!(sandbox.summary(None).cancelled, 0);
}

#[tokio::test]
async fn types_that_were_added_are_charged_like_points() {
    let (_sandbox, client) = with(Faults::default()).await;
    let path = "/internal/v1/campaigns/gift-card/charge";
    let reply = client.send("POST", path, Some("spring_7"), &point("5")).await;
    reply.money_key();
    assert_eq!(client.ledger("").await[0]["type"], "gift-card");
}

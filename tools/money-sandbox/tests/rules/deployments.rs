//! Deployments that lack a part of the contract, or break it.

use std::time::Duration;

use money_sandbox::Settings;

use crate::client::{point, start, until};

#[tokio::test]
async fn a_deployment_without_look_up_or_cancel_answers_405() {
    let settings = Settings { no_lookup: true, no_cancel: true, ..Settings::default() };
    let (sandbox, client) = start(settings).await;
    client.charge("spring_7").await.money_key();
    assert_eq!(client.look_up("spring_7").await.status, 405);
    assert_eq!(client.cancel("spring_8").await.status, 405);
    assert_eq!(sandbox.summary(None).cancelled, 0);
}

#[tokio::test]
async fn a_service_that_ignores_keys_pays_each_time_and_its_ledger_says_so() {
    let settings = Settings { ignore_idempotency_key: true, ..Settings::default() };
    let (sandbox, client) = start(settings).await;
    let first = client.charge("spring_7").await.money_key();
    assert_ne!(client.charge("spring_7").await.money_key(), first);
    client.charge("spring_8").await.money_key();
    let summary = sandbox.summary(None);
    assert_eq!((summary.paid_count, summary.distinct_paid_keys), (3, 2));
    assert_eq!(summary.keys_paid_more_than_once, 1);
    assert_eq!(client.ledger("").await.len(), 3);
}

#[tokio::test]
async fn a_forgotten_key_is_as_good_as_new() {
    let forget_keys_after = Some(Duration::from_secs(3));
    let (sandbox, client) = start(Settings { forget_keys_after, ..Settings::default() }).await;
    let first = client.charge("spring_7").await.money_key();
    assert_eq!(client.charge("spring_7").await.money_key(), first);
    until("forgotten", async || client.look_up("spring_7").await.status == 404).await;
    let again = client.charge_with("spring_7", &point("3")).await.money_key();
    assert_ne!(again, first);
    assert_eq!(sandbox.summary(None).keys_paid_more_than_once, 1);
}

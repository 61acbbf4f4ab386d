//! Each fault does what it says, and nothing to the ledger that it does not say.

use std::time::Duration;

use money_sandbox::faults::{Fault, Faults, Kind, RefusalCode};
use money_sandbox::stats::Outcome;
use money_sandbox::{Sandbox, Settings};
use serde_json::json;

use crate::client::{Client, Reply, start, until, with};

/// Charges once with a fault; then, without faults, finds out whether it was paid.
async fn charge_once(faults: Faults) -> (Reply, u64) {
    let (sandbox, client) = with(faults).await;
    let reply = client.charge("spring_7").await;
    let paid = sandbox.summary(None).paid_count;
    replay_is_paid_once(&sandbox, &client).await;
    (reply, paid)
}

async fn replay_is_paid_once(sandbox: &Sandbox, client: &Client) {
    sandbox.set_faults(Faults::default()).unwrap();
    client.charge("spring_7").await.money_key();
    assert_eq!(sandbox.summary(None).paid_count, 1);
}

#[tokio::test]
async fn errors_before_the_execution_pay_nothing() {
    let (reply, paid) = charge_once(Faults { fail_before: 1.0, ..Faults::default() }).await;
    assert_eq!((reply.status, paid), (500, 0));
    let faults = Faults { unavailable: 1.0, ..Faults::default() };
    let (reply, paid) = charge_once(faults).await;
    assert_eq!((reply.status, paid), (503, 0));
    assert!(!reply.head.contains("retry-after"));
    let faults = Faults { too_many: 1.0, retry_after_s: Some(3), ..Faults::default() };
    let (reply, paid) = charge_once(faults).await;
    assert_eq!((reply.status, paid), (429, 0));
    assert!(reply.head.contains("retry-after: 3"));
}

#[tokio::test]
async fn an_error_after_the_execution_hides_a_payment() {
    let faults = Faults { fail_after: 1.0, fail_status: 502, ..Faults::default() };
    let (reply, paid) = charge_once(faults).await;
    assert_eq!((reply.status, paid), (502, 1));
}

#[tokio::test]
async fn a_lost_answer_closes_the_connection_after_the_payment() {
    let (reply, paid) = charge_once(Faults { lose: 1.0, ..Faults::default() }).await;
    assert_eq!((reply.status, reply.reset, paid), (0, false, 1));
}

#[tokio::test]
async fn a_reset_connection_pays_nothing() {
    let (reply, paid) = charge_once(Faults { reset: 1.0, ..Faults::default() }).await;
    assert_eq!((reply.status, reply.reset, paid), (0, true, 0));
}

#[tokio::test]
async fn a_hanging_request_is_never_answered() {
    let hang = Faults { hang_ms: 150, ..Faults::default() };
    let faults = Faults { hang_before: 1.0, ..hang.clone() };
    let (reply, paid) = charge_once(faults).await;
    assert_eq!((reply.status, paid), (0, 0));
    assert!(reply.took >= Duration::from_millis(150));
    let (reply, paid) = charge_once(Faults { hang_after: 1.0, ..hang }).await;
    assert_eq!((reply.status, paid), (0, 1));
    assert!(reply.took >= Duration::from_millis(150));
}

#[tokio::test]
async fn broken_bodies_hide_a_payment_behind_a_200() {
    let (reply, paid) = charge_once(Faults { garbage: 1.0, ..Faults::default() }).await;
    assert_eq!((reply.status, paid), (200, 1));
    assert!(!String::from_utf8_lossy(&reply.body).contains("SUCCESS"));

    let (reply, paid) = charge_once(Faults { truncate: 1.0, ..Faults::default() }).await;
    assert_eq!((reply.status, paid), (200, 1));
    assert!(reply.is_cut_short() && !reply.body.is_empty(), "{reply:?}");

    let faults = Faults { oversize: 1.0, oversize_bytes: 1 << 20, ..Faults::default() };
    let (reply, paid) = charge_once(faults).await;
    assert_eq!((reply.status, reply.body.len(), paid), (200, 1 << 20, 1));

    let faults = Faults { drip: 1.0, drip_ms: 2, ..Faults::default() };
    let (reply, paid) = charge_once(faults).await;
    assert_eq!((reply.status, paid), (200, 1));
    reply.money_key();
    assert!(reply.took >= Duration::from_millis(2) * (reply.body.len() as u32 - 1));
}

#[tokio::test]
async fn a_late_request_executes_after_its_client_gave_up() {
    let (sandbox, client) = with(Faults { late: 1.0, late_ms: 50, ..Faults::default() }).await;
    let reply = client.charge("spring_7").await;
    assert_eq!(reply.status, 0);
    until("the late payment", async || sandbox.summary(None).paid_count == 1).await;
    replay_is_paid_once(&sandbox, &client).await;
}

#[tokio::test]
async fn a_cancel_before_a_late_request_stops_it() {
    let (_sandbox, client) = with(Faults { late: 1.0, late_ms: 3_000, ..Faults::default() }).await;
    client.charge("spring_7").await;
    assert_eq!(client.look_up("spring_7").await.status, 404, "not seen yet");
    assert_eq!(client.cancel("spring_7").await.status, 200);
    until("the late request came", async || client.get("/stats").await["late_stopped"] == 1).await;
    assert_eq!(client.get("/ledger/summary").await["paid_count"], 0);
}

#[tokio::test]
async fn unauthorized_and_away_hold_until_they_are_switched_off() {
    let (_sandbox, client) = with(Faults { unauthorized: true, ..Faults::default() }).await;
    assert_eq!(client.charge("spring_7").await.status, 401);
    assert_eq!(client.look_up("spring_7").await.status, 401);
    let put = client.send("PUT", "/admin/faults", None, r#"{"away":true}"#).await;
    assert_eq!(put.json()["unauthorized"], false, "a PUT replaces all");
    assert_eq!(client.charge("spring_7").await.status, 0);
    assert_eq!(client.cancel("spring_7").await.status, 0);
    assert_eq!(client.send("PUT", "/admin/faults", None, "{}").await.status, 200);
    client.charge("spring_7").await.money_key();
}

#[tokio::test]
async fn look_ups_and_cancels_fail_too_when_told_so() {
    let on = vec![Kind::Lookup, Kind::Cancel];
    let faults = Faults { on, fail_after: 1.0, ..Faults::default() };
    let (sandbox, client) = with(faults).await;
    client.charge("spring_7").await.money_key();
    assert_eq!(client.look_up("spring_7").await.status, 500);
    assert_eq!(client.cancel("spring_8").await.status, 500);
    assert_eq!(sandbox.summary(None).cancelled, 1, "burnt before its answer was spoilt");
}

#[tokio::test]
async fn sticky_refusals_depend_on_the_key_alone() {
    let refused = async |order: &mut dyn Iterator<Item = u32>| {
        let codes = ["A", "B"].map(|code| RefusalCode { code: code.to_owned(), weight: 1.0 });
        let (_sandbox, client) =
            with(Faults { refuse: 0.5, refuse_codes: codes.to_vec(), sticky_refusals: true, ..Faults::default() })
                .await;
        let mut refused = Vec::new();
        for n in order {
            let reply = client.charge(&format!("spring_{n}")).await.json();
            if reply["meta"]["result"] == "FAIL" {
                refused.push((n, reply["meta"]["errorCode"].to_string()));
            }
        }
        refused.sort();
        refused
    };
    let forth = refused(&mut (0..60)).await;
    assert_eq!(forth, refused(&mut (0..60).rev()).await);
    assert!((10..50).contains(&forth.len()), "about half: {}", forth.len());
    for code in ["\"A\"", "\"B\""] {
        assert!(forth.iter().any(|(_, drawn)| drawn == code), "{forth:?}");
    }
}

#[tokio::test]
async fn the_same_seed_draws_the_same_faults() {
    let statuses = async |seed: u64| {
        let faults = Faults { fail_before: 0.3, too_many: 0.3, ..Faults::default() };
        let (_sandbox, client) = start(Settings { seed, faults, ..Settings::default() }).await;
        let mut statuses = Vec::new();
        for n in 0..40 {
            statuses.push(client.charge(&format!("spring_{n}")).await.status);
        }
        statuses
    };
    let first = statuses(5).await;
    assert_eq!(first, statuses(5).await);
    assert_ne!(first, statuses(6).await);
    for status in [200, 429, 500] {
        assert!(first.contains(&status));
    }
}

#[tokio::test]
async fn latency_is_drawn_from_its_distribution() {
    let (_sandbox, client) = with(Faults { latency_ms: 30.0, ..Faults::default() }).await;
    assert!(client.charge("spring_7").await.took >= Duration::from_millis(30));
    let tail = Faults { tail_median_ms: 100.0, tail_cap_ms: 400.0, ..Faults::default() };
    let mut dice = money_sandbox::digest::Dice::new(1, 1);
    let mut drawn: Vec<_> = (0..999).map(|_| tail.draw_latency(&mut dice)).collect();
    drawn.sort();
    assert!((80..125).contains(&drawn[499].as_millis()), "{:?}", drawn[499]);
    assert_eq!(drawn[998], Duration::from_millis(400));
}

#[tokio::test]
async fn impossible_faults_are_refused_and_change_nothing() {
    let (sandbox, client) = with(Faults { lose: 0.25, ..Faults::default() }).await;
    for body in [
        r#"{"lose":1.5}"#,
        r#"{"lose":0.6,"reset":0.6}"#,
        r#"{"loose":0.1}"#,
        r#"{"refuse":0.1,"refuse_codes":[]}"#,
        r#"{"fail_status":200}"#,
        r#"{"latency_ms":-1}"#,
        "",
    ] {
        assert_eq!(client.send("PUT", "/admin/faults", None, body).await.status, 400, "{body}");
    }
    assert_eq!(client.get("/admin/faults").await["lose"], json!(0.25));
    assert_eq!(sandbox.faults().lose, 0.25);
}

#[tokio::test]
async fn each_fault_is_counted() {
    let (sandbox, client) = with(Faults { lose: 1.0, ..Faults::default() }).await;
    client.charge("spring_7").await;
    until("counted", async || sandbox.stats().outcome(Kind::Charge, Outcome::Paid) == 1).await;
    let stats = client.get("/stats").await;
    assert_eq!(stats["charge"]["faults"][Fault::Lose.name()], 1);
    assert_eq!(stats["charge"]["total"], 1);
}

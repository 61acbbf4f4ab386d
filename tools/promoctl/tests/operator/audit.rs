//! For each invariant: a row, a count, a stream entry or an entry of the ledger altered by hand is found and named.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use pipeline::domain::{Counter, Counts, EntryId, Partition, PromotionId};
use pipeline::streams::Settle;
use serde_json::Value;

use crate::field::{CODE, CUSTOMER, Field, Shape, counts, stream};

/// Serves `GET /ledger` with whatever stands in it then.
#[derive(Clone)]
pub(crate) struct Ledger {
    lines: Arc<Mutex<Vec<String>>>,
    pub(crate) url: String,
}

impl Ledger {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ledger = Self { lines: Arc::default(), url };
        let lines = Arc::clone(&ledger.lines);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut request) = (stream.unwrap(), [0; 4096]);
                let _ = stream.read(&mut request);
                let body = lines.lock().unwrap().concat();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            }
        });
        ledger
    }

    pub(crate) fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line + "\n");
    }

    fn replace(&self, from: &str, to: &str) {
        let mut lines = self.lines.lock().unwrap();
        let hit = lines.iter_mut().find(|line| line.contains(from)).unwrap();
        *hit = hit.replace(from, to);
    }

    pub(crate) fn remove(&self, part: &str) {
        self.lines.lock().unwrap().retain(|line| !line.contains(part));
    }

    pub(crate) fn pay(&self, target: i64, customer: i64) {
        self.add(format!(
            "{{\"kind\":\"paid\",\"key\":\"{CODE}_{customer}\",\"type\":\"point\",\"customerUid\":{customer},\
             \"campaignCode\":\"{CODE}\",\"merchantCode\":null,\"amount\":\"100.50\",\"moneyKey\":\"mk{target}\",\"at\":1}}"
        ));
    }
}

/// A promotion in the middle of being paid, 20 targets in two partitions, with its ledger: 1001 to 1008 are paid, 1009 is
/// refused, 1010 waits for a retry, 1011 has an unknown outcome that was paid, the others are not begun.
struct Scene {
    field: Field,
    ledger: Ledger,
    id: i64,
    targets: [Vec<i64>; 2],
}

fn customer(target: i64) -> i64 {
    CUSTOMER + target - 1000
}

impl Scene {
    async fn new() -> Self {
        let field = Field::new().await;
        let ledger = Ledger::start();
        let id = field.promotion(Shape { targets: 20, partitions: 2, status: "IN_PROGRESS", started: true }).await;
        let targets = [field.publish(id, 0).await, field.publish(id, 1).await];
        let mut scene = Self { field, ledger, id, targets };
        for number in 0..2 {
            scene.field.deliver(id, number, "payer-1", 100);
        }
        for target in 1001..=1008 {
            scene.finish(target, "SUCCESS", Counter::Success).await;
            scene.ledger.pay(target, customer(target));
        }
        scene.finish(1009, "FAILED", Counter::Fail).await;
        let refused = format!(
            "{{\"kind\":\"declined\",\"key\":\"{CODE}_{uid}\",\"customerUid\":{uid},\"campaignCode\":\"{CODE}\",\"amount\":\"100.50\",\
             \"moneyKey\":null,\"at\":1,\"errorCode\":\"REFUSED\"}}",
            uid = customer(1009)
        );
        scene.ledger.add(refused);
        scene.field.result(id, 1010, "RETRYING").await;
        scene.field.result(id, 1011, "PENDING").await;
        scene.ledger.pay(1011, customer(1011));
        scene.ledger.add("{\"kind\":\"paid\",\"key\":\"SPRING_2_77\",\"customerUid\":77,\"campaignCode\":\"SPRING_2\",\"amount\":\"1\"}".into());
        scene
    }

    fn partition_of(&self, target: i64) -> u32 {
        u32::from(self.targets[1].contains(&target))
    }

    async fn finish(&mut self, target: i64, status: &str, counter: Counter) {
        self.field.result(self.id, target, status).await;
        let partition = Partition { promotion: PromotionId(self.id), number: self.partition_of(target) };
        let id = EntryId { first: target.unsigned_abs(), second: 0 };
        let settle = Settle { partition, by_counter: vec![(counter, vec![id])], dead: Vec::new() };
        assert_eq!(self.field.streams.settle(vec![settle], "20261120130000").await.unwrap(), [1]);
    }

    /// Everything that is left is paid, and the promotion ends as the summarizer ends it.
    async fn complete(&mut self) {
        self.field.sql("DELETE FROM campaign_promotion_point_results WHERE point_target_id IN (1010, 1011)").await;
        for target in 1010..=1020 {
            self.finish(target, "SUCCESS", Counter::Success).await;
            if target != 1011 {
                self.ledger.pay(target, customer(target));
            }
        }
        self.field.sql("UPDATE campaign_promotions SET promotion_status = 'COMPLETED'").await;
        self.field
            .sql("UPDATE campaign_promotion_summary SET published_count = 20, success_count = 19, fail_count = 1, completed_at = NOW()")
            .await;
        self.field.write_hash(self.id, 20, Counts { published: 20, success: 19, fail: 1, retry_success: 0 }).await;
        for number in 0..2 {
            redis::cmd("DEL")
                .arg(stream(self.id, number))
                .arg(counts(self.id, number))
                .query::<u64>(&mut self.field.redis)
                .unwrap();
        }
    }

    fn audit(&self) -> Value {
        self.field.json(&["audit", &self.id.to_string(), "--ledger", &self.ledger.url, "--patience", "0s"])
    }

    fn holds(&self) {
        let report = self.audit();
        assert_eq!(report["held"], true, "{report:#}");
        let status =
            self.field.code(&["audit", &self.id.to_string(), "--ledger", &self.ledger.url, "--patience", "0s"]);
        assert_eq!(status, 0);
    }

    /// The invariant is broken, and these targets are named, and no others.
    fn breaks(&self, invariant: &str, targets: &[i64]) {
        let report = self.audit();
        assert_eq!(report["held"], false);
        let line = report["invariants"].as_array().unwrap().iter().find(|line| line["invariant"] == invariant).unwrap();
        let named: Vec<i64> = line["target_ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
        assert!(line["breaches"].as_u64().unwrap() > 0, "{invariant} holds: {report:#}");
        assert_eq!(named, targets, "{report:#}");
        let args = ["audit", &self.id.to_string(), "--ledger", &self.ledger.url, "--patience", "0s"];
        let table = self.field.ctl(&args);
        assert_eq!(table.status.code(), Some(1));
        for target in targets {
            assert!(table.stdout.contains(&target.to_string()), "{}", table.stdout);
        }
    }
}

#[tokio::test]
async fn every_invariant_holds_on_a_running_and_on_a_completed_promotion() {
    let mut scene = Scene::new().await;
    scene.holds();
    scene.complete().await;
    scene.holds();
}

#[tokio::test]
async fn i1_a_success_that_the_ledger_does_not_know() {
    let scene = Scene::new().await;
    scene.ledger.remove("\"mk1003\"");
    scene.breaks("I1", &[1003]);
}

#[tokio::test]
async fn i1_a_second_payment_under_another_generation_of_the_key() {
    let scene = Scene::new().await;
    scene.ledger.add(format!(
        "{{\"kind\":\"paid\",\"key\":\"{CODE}_{uid}.g2\",\"customerUid\":{uid},\"campaignCode\":\"{CODE}\",\"amount\":\"100.50\",\"moneyKey\":\"mk1003\"}}",
        uid = customer(1003)
    ));
    scene.breaks("I1", &[1003]);
}

#[tokio::test]
async fn i1_a_payment_of_a_target_that_waits_for_a_retry_or_was_never_begun() {
    let scene = Scene::new().await;
    scene.ledger.pay(1010, customer(1010));
    scene.ledger.pay(1015, customer(1015));
    scene.breaks("I1", &[1010, 1015]);
}

#[tokio::test]
async fn i1_a_payment_in_our_namespace_without_a_target_and_without_showing_who() {
    let scene = Scene::new().await;
    scene.ledger.pay(5, 7_654_321);
    scene.breaks("I1", &[]);
    let report = scene.audit().to_string();
    assert!(report.contains("*****21") && !report.contains("7654321"), "{report}");
}

#[tokio::test]
async fn i2_a_failed_target_that_was_paid() {
    let scene = Scene::new().await;
    scene.ledger.pay(1009, customer(1009));
    scene.breaks("I2", &[1009]);
    scene.breaks("I1", &[1009]);
}

#[tokio::test]
async fn i2_another_amount_customer_campaign_or_key_in_the_ledger() {
    for (from, to) in [
        (
            "\"amount\":\"100.50\",\"moneyKey\":\"mk1004\"".to_owned(),
            "\"amount\":\"100.51\",\"moneyKey\":\"mk1004\"".to_owned(),
        ),
        (format!("\"customerUid\":{}", customer(1004)), "\"customerUid\":1".to_owned()),
        ("\"moneyKey\":\"mk1004\"".to_owned(), "\"moneyKey\":\"mk9\"".to_owned()),
    ] {
        let scene = Scene::new().await;
        scene.ledger.replace(&from, &to);
        scene.breaks("I2", &[1004]);
    }
    let scene = Scene::new().await;
    scene.field.sql("UPDATE campaign_promotion_point_targets SET amount = 100.49 WHERE point_target_id = 1002").await;
    scene.breaks("I2", &[1002]);
    scene.breaks("seal", &[]);
}

#[tokio::test]
async fn i3_a_final_row_without_an_intent_or_without_a_target() {
    let scene = Scene::new().await;
    scene.field.sql("UPDATE campaign_promotion_point_results SET attempt_token = 0 WHERE point_target_id = 1002").await;
    scene
        .field
        .sql("UPDATE campaign_promotion_point_results SET first_sent_at = NULL WHERE point_target_id = 1003")
        .await;
    scene.field.sql("UPDATE campaign_promotion_point_results SET requeues = 1 WHERE point_target_id = 1009").await;
    scene.field.result(scene.id, 9_999, "PENDING").await;
    scene.breaks("I3", &[1002, 1003, 9_999, 1009]);
}

#[tokio::test]
async fn i3_a_row_that_was_unpayable_needs_no_attempt() {
    let scene = Scene::new().await;
    let sql = "UPDATE campaign_promotion_point_results SET first_sent_at = NULL, error_code = 'NO_AMOUNT' WHERE point_target_id = 1009";
    scene.field.sql(sql).await;
    scene.holds();
}

#[tokio::test]
async fn i4_an_entry_that_was_deleted() {
    let mut scene = Scene::new().await;
    let key = stream(scene.id, scene.partition_of(1015));
    redis::cmd("XDEL").arg(key).arg("1015-0").query::<u64>(&mut scene.field.redis).unwrap();
    scene.breaks("I4", &[1015]);
}

#[tokio::test]
async fn i4_a_row_that_is_final_while_its_entry_stays() {
    let scene = Scene::new().await;
    scene.field.result(scene.id, 1016, "FAILED").await;
    scene.breaks("I4", &[1016]);
}

#[tokio::test]
async fn i4_a_published_count_that_is_wrong() {
    let mut scene = Scene::new().await;
    redis::cmd("HINCRBY")
        .arg(counts(scene.id, 0))
        .arg("published_count")
        .arg(1)
        .query::<i64>(&mut scene.field.redis)
        .unwrap();
    scene.breaks("I4", &[]);
}

#[tokio::test]
async fn i4_a_last_id_that_skips_targets() {
    let mut scene = Scene::new().await;
    let id = scene.id;
    // A fresh partition whose stream begins behind its first targets.
    let number = 0;
    let skipped = scene.targets[0].iter().copied().filter(|target| *target >= 1012).collect::<Vec<_>>();
    let (key, last) = (stream(id, number), scene.targets[0].last().copied().unwrap());
    redis::cmd("DEL").arg(&key).query::<u64>(&mut scene.field.redis).unwrap();
    redis::cmd("XGROUP")
        .arg(&["CREATE", &key, "payers", "0", "MKSTREAM"])
        .query::<String>(&mut scene.field.redis)
        .unwrap();
    redis::cmd("XSETID").arg(&key).arg(format!("{last}-0")).query::<String>(&mut scene.field.redis).unwrap();
    let report = scene.audit();
    let line = report["invariants"].as_array().unwrap().iter().find(|line| line["invariant"] == "I4").unwrap().clone();
    for target in skipped {
        assert!(line["target_ids"].as_array().unwrap().contains(&target.into()), "{target}: {line:#}");
    }
}

#[tokio::test]
async fn i5_what_a_completed_promotion_left_behind_or_does_not_add_up_to() {
    let mut scene = Scene::new().await;
    scene.complete().await;
    let summary = "UPDATE campaign_promotion_summary SET success_count = success_count";
    scene.field.sql(&format!("{summary} - 1")).await;
    scene.breaks("I5", &[]);
    scene.field.sql(&format!("{summary} + 1")).await;
    let hash = format!("campaign_promotion_summary:{}", scene.field.summary(scene.id).await);
    redis::cmd("HINCRBY").arg(&hash).arg("fail_count").arg(-1).query::<i64>(&mut scene.field.redis).unwrap();
    scene.breaks("I5", &[]);
    redis::cmd("HINCRBY").arg(&hash).arg("fail_count").arg(1).query::<i64>(&mut scene.field.redis).unwrap();
    scene.holds();
    redis::cmd("XADD")
        .arg(stream(scene.id, 1))
        .arg(&["2000-0", "d", "x"])
        .query::<String>(&mut scene.field.redis)
        .unwrap();
    scene.breaks("I5", &[]);
    redis::cmd("DEL").arg(stream(scene.id, 1)).query::<u64>(&mut scene.field.redis).unwrap();
    scene.ledger.remove("\"mk1020\"");
    scene.breaks("I5", &[]);
    scene.breaks("I1", &[1020]);
}

#[tokio::test]
async fn i6_an_entry_that_was_acknowledged_from_outside() {
    let mut scene = Scene::new().await;
    let key = stream(scene.id, scene.partition_of(1017));
    redis::cmd("XACK").arg(key).arg(&["payers", "1017-0"]).query::<u64>(&mut scene.field.redis).unwrap();
    scene.breaks("I6", &[1017]);
}

#[tokio::test]
async fn i6_an_entry_that_is_held_and_gone() {
    let mut scene = Scene::new().await;
    let key = stream(scene.id, scene.partition_of(1018));
    redis::cmd("XDEL").arg(key).arg("1018-0").query::<u64>(&mut scene.field.redis).unwrap();
    scene.breaks("I6", &[1018]);
}

#[tokio::test]
async fn i7_a_counter_ahead_of_mysql() {
    let mut scene = Scene::new().await;
    redis::cmd("HSET")
        .arg(counts(scene.id, 0))
        .arg(&["retry_success_count", "1"])
        .query::<u64>(&mut scene.field.redis)
        .unwrap();
    scene.breaks("I7", &[]);
    let scene = Scene::new().await;
    scene.field.sql("UPDATE campaign_promotion_summary SET success_count = 9").await;
    scene.breaks("I7", &[]);
    scene.field.sql("UPDATE campaign_promotion_summary SET success_count = 8").await;
    scene.holds();
    scene.field.write_hash(scene.id, 20, Counts { published: 20, success: 8, fail: 2, retry_success: 0 }).await;
    scene.breaks("I7", &[]);
}

#[tokio::test]
async fn a_target_that_disappeared_breaks_the_seal() {
    let scene = Scene::new().await;
    scene.field.sql("DELETE FROM campaign_promotion_point_targets WHERE point_target_id = 1020").await;
    scene.breaks("seal", &[]);
    scene.breaks("I4", &[1020]);
}

#[tokio::test]
async fn what_is_in_flight_is_looked_at_again_before_it_counts() {
    let mut scene = Scene::new().await;
    let id = scene.id.to_string();
    // The outcome is written, the entry is settled a moment later.
    scene.field.result(scene.id, 1016, "SUCCESS").await;
    scene.ledger.pay(1016, customer(1016));
    let url = scene.ledger.url.clone();
    let launch = scene.field.launch(&["audit", &id, "--ledger", &url, "--patience", "20s"]);
    let run = thread::spawn(move || launch.run(std::time::Duration::from_secs(60)));
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let partition = Partition { promotion: PromotionId(scene.id), number: scene.partition_of(1016) };
    let entry = EntryId { first: 1016, second: 0 };
    let settle = Settle { partition, by_counter: vec![(Counter::Success, vec![entry])], dead: Vec::new() };
    assert_eq!(scene.field.streams.settle(vec![settle], "").await.unwrap(), [1]);
    let finished = run.join().unwrap().unwrap();
    finished.ok().unwrap();
    scene.finish(1017, "FAILED", Counter::Fail).await;
    scene.holds();
}

#[tokio::test]
async fn the_audit_reads_the_sandboxs_own_ledger() {
    let field = Field::new().await;
    let sandbox = servers::Sandbox::start(servers::SandboxOptions::default()).unwrap();
    let id = field.promotion(Shape { targets: 2, partitions: 1, status: "IN_PROGRESS", started: true }).await;
    field.publish(id, 0).await;
    let body = format!(
        "{{\"customerUid\":{uid},\"merchantCode\":null,\"campaignCode\":\"{CODE}\",\"amount\":100.50,\"description\":null,\"expiredAt\":null}}",
        uid = customer(1002)
    );
    let mut stream = std::net::TcpStream::connect(sandbox.url().trim_start_matches("http://")).unwrap();
    write!(
        stream,
        "POST /internal/v1/campaigns/point/charge HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: {CODE}_{}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        sandbox.token(),
        customer(1002),
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("moneyKey"), "{answer}");
    let url = sandbox.url();
    let report = field.json(&["audit", &id.to_string(), "--ledger", &url, "--patience", "0s"]);
    let i1 = &report["invariants"][0];
    assert_eq!((i1["breaches"].as_u64(), i1["target_ids"].clone()), (Some(1), serde_json::json!([1002])), "{report:#}");
}

//! A database, a Redis and a ledger for one test, and a promotion in them that no stage has touched.

use std::time::Duration;

use pipeline::domain::{Counts, Partition, PayoutType, PromotionId, SummaryId, TargetId};
use pipeline::record::Record;
use pipeline::streams::{Publish, Streams};
use serde_json::Value;
use servers::{Finished, Fixture, Launch};
use sqlx::mysql::MySqlPool;

/// Customers are this much above their number, so that no id looks like a target's.
pub(crate) const CUSTOMER: i64 = 7_000_000;
pub(crate) const CODE: &str = "SPRING";
const BOUND: Duration = Duration::from_secs(120);

/// Where a test works.
pub(crate) struct Field {
    pub(crate) pool: MySqlPool,
    pub(crate) redis: redis::Connection,
    pub(crate) streams: Streams,
    database_url: String,
    redis_url: String,
    dir: tempfile::TempDir,
}

/// How a promotion that a test makes looks.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) targets: i64,
    pub(crate) partitions: u32,
    pub(crate) status: &'static str,
    pub(crate) started: bool,
}

impl Field {
    /// Fresh servers' parts, migrated.
    pub(crate) async fn new() -> Self {
        let field = Self::empty().await;
        field.ctl(&["migrate"]).ok().unwrap();
        field
    }

    /// Without a schema.
    pub(crate) async fn empty() -> Self {
        let fixture = Fixture::shared();
        Self::at(fixture.fresh_database().unwrap(), fixture.fresh_redis_db().unwrap()).await
    }

    /// On servers that a test has started itself.
    pub(crate) async fn at(database_url: String, redis_url: String) -> Self {
        let pool = MySqlPool::connect(&database_url).await.unwrap();
        let redis = redis::Client::open(redis_url.as_str()).unwrap().get_connection().unwrap();
        let streams = Streams::new(&redis_url).unwrap();
        Self { pool, redis, streams, database_url, redis_url, dir: tempfile::tempdir().unwrap() }
    }

    /// Where its database is.
    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// `promoctl` with these arguments, without a terminal.
    pub(crate) fn launch(&self, args: &[&str]) -> Launch {
        Launch::program(env!("CARGO_BIN_EXE_promoctl").into(), "promoctl", self.dir.path())
            .unwrap()
            .args(args)
            .env("DATABASE_URL", &self.database_url)
            .env("REDIS_URL", &self.redis_url)
            .env("USER", "tester")
    }

    /// The same, for a test that gives it its input and reads its output itself.
    pub(crate) fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_promoctl"));
        command
            .args(args)
            .env("DATABASE_URL", &self.database_url)
            .env("REDIS_URL", &self.redis_url)
            .env("USER", "tester");
        command
    }

    /// As a child whose standard output the test reads as it comes.
    pub(crate) fn piped(&self, args: &[&str]) -> std::process::Child {
        self.command(args).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap()
    }

    /// A path in the test's own folder.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn ctl(&self, args: &[&str]) -> Finished {
        self.launch(args).run(BOUND).unwrap()
    }

    pub(crate) fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// The exit code.
    pub(crate) fn code(&self, args: &[&str]) -> i32 {
        self.ctl(args).status.code().unwrap()
    }

    /// The JSON that it prints, whatever its exit code.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.extend(["-o", "json"]);
        let finished = self.ctl(&args);
        serde_json::from_str(&finished.stdout)
            .unwrap_or_else(|error| panic!("{error}: {args:?} printed {:?} and {:?}", finished.stdout, finished.stderr))
    }

    pub(crate) async fn sql(&self, sql: &str) -> u64 {
        sqlx::query(sql).execute(&self.pool).await.unwrap().rows_affected()
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    pub(crate) async fn status(&self, promotion: i64) -> Option<String> {
        let sql = "SELECT CAST(promotion_status AS CHAR) FROM campaign_promotions WHERE promotion_id = ?";
        sqlx::query_scalar(sql).bind(promotion).fetch_optional(&self.pool).await.unwrap()
    }

    /// A sealed promotion of points: targets of 100.50 each, customers from [`CUSTOMER`] + 1, ids from 1001.
    pub(crate) async fn promotion(&self, shape: Shape) -> i64 {
        let Shape { targets, partitions, status, started } = shape;
        let sql = format!(
            "INSERT INTO campaign_promotions (campaign_code, external_id, promotion_type, promotion_status, total_count, \
             total_amount, partition_count, created_at) VALUES ('{CODE}', UUID(), 'POINT', '{status}', {targets}, \
             {targets} * 100.50, {partitions}, NOW())"
        );
        let id = i64::try_from(sqlx::query(&sql).execute(&self.pool).await.unwrap().last_insert_id()).unwrap();
        self.sql(&format!(
            "INSERT INTO campaign_promotion_point_targets (point_target_id, promotion_id, customer_uid, amount, partition_key) \
             SELECT 1000 + n, {id}, {CUSTOMER} + n, 100.50, MOD(CRC32(CONCAT({id}, {CUSTOMER} + n)), {partitions}) \
             FROM (WITH RECURSIVE seq AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM seq WHERE n < {}) SELECT n FROM seq) s \
             WHERE n <= {targets}",
            targets.max(1)
        ))
        .await;
        let (first, last) = (1001, 1000 + targets);
        self.sql(&format!(
            "INSERT INTO campaign_promotion_loads (promotion_id, first_target_id, last_target_id, sealed_at) \
             VALUES ({id}, {first}, {last}, NOW())"
        ))
        .await;
        if started {
            self.sql(&format!(
                "INSERT INTO campaign_promotion_summary (promotion_id, started_at) VALUES ({id}, NOW())"
            ))
            .await;
        }
        id
    }

    /// A result row as the stages leave it.
    pub(crate) async fn result(&self, promotion: i64, target: i64, status: &str) {
        let key = if status == "SUCCESS" { format!("'mk{target}'") } else { "NULL".to_owned() };
        let error = if status == "FAILED" { "'REFUSED'" } else { "NULL" };
        self.sql(&format!(
            "INSERT INTO campaign_promotion_point_results (point_target_id, promotion_id, process_status, transaction_key, \
             error_code, attempt_token, first_sent_at, created_at, updated_at) \
             VALUES ({target}, {promotion}, '{status}', {key}, {error}, 77, NOW(), NOW(), NOW())"
        ))
        .await;
    }

    pub(crate) async fn summary(&self, promotion: i64) -> SummaryId {
        let sql =
            format!("SELECT promotion_summary_id FROM campaign_promotion_summary WHERE promotion_id = {promotion}");
        SummaryId(self.number(&sql).await)
    }

    /// Publishes every target of a partition, in order.
    pub(crate) async fn publish(&self, promotion: i64, partition: u32) -> Vec<i64> {
        let sql = format!(
            "SELECT point_target_id FROM campaign_promotion_point_targets WHERE promotion_id = {promotion} \
             AND partition_key = {partition} ORDER BY 1"
        );
        let targets: Vec<i64> = sqlx::query_scalar(&sql).fetch_all(&self.pool).await.unwrap();
        let promotion = PromotionId(promotion);
        let record = |target: &i64| {
            let kind = PayoutType::point().code;
            let record = Record { kind, promotion, target: TargetId(*target), published_at_ms: 1 };
            (TargetId(*target), record.encode())
        };
        let batch = Publish {
            partition: Partition { promotion, number: partition },
            expected: 0,
            window: 0,
            entries: targets.iter().map(record).collect(),
        };
        self.streams.publish(&[batch]).await.unwrap().remove(0).unwrap();
        targets
    }

    /// The public hash.
    pub(crate) async fn write_hash(&self, promotion: i64, total: u64, counts: Counts) {
        let summary = self.summary(promotion).await;
        self.streams.write_summary(summary, total, counts, Some("20261120130000"), None).await.unwrap();
    }

    /// Rows of the audit trail with this action.
    pub(crate) async fn acts(&self, action: &str) -> Vec<(String, String, i64, String)> {
        sqlx::query_as(
            "SELECT CAST(actor AS CHAR), CAST(reason AS CHAR), item_count, CAST(amount AS CHAR) FROM payout_audit \
             WHERE action = ? ORDER BY audit_id",
        )
        .bind(action)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// Delivers this many entries of a partition, at most, to a consumer.
    pub(crate) fn deliver(&mut self, promotion: i64, partition: u32, consumer: &str, most: u32) {
        let (most, stream) = (most.to_string(), stream(promotion, partition));
        let read = ["GROUP", "payers", consumer, "COUNT", &most, "STREAMS", &stream, ">"];
        redis::cmd("XREADGROUP").arg(&read).query::<redis::Value>(&mut self.redis).unwrap();
    }
}

/// A stream's key.
pub(crate) fn stream(promotion: i64, partition: u32) -> String {
    format!("promo:{{{promotion}:{partition}}}:targets")
}

/// A counts' key.
pub(crate) fn counts(promotion: i64, partition: u32) -> String {
    format!("promo:{{{promotion}:{partition}}}:counts")
}

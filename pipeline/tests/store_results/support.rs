//! A fresh schema, rows in any state, and what is done to them.

use std::time::Duration;

use pipeline::domain::decide::Write;
use pipeline::domain::outcome::{Effect, Receipt};
use pipeline::domain::result::AttemptToken;
use pipeline::domain::{PayoutType, PromotionId, ResultRow, TargetId};
use pipeline::store::{Claim, Outcome, PinCipher, Store, StoreSettings};
use servers::Fixture;

pub const PROMOTION: PromotionId = PromotionId(1);
pub const MINE: AttemptToken = AttemptToken(11);
pub const ANOTHERS: AttemptToken = AttemptToken(22);

pub struct Tables {
    pub store: Store,
    pub url: String,
    pub pool: sqlx::MySqlPool,
    pub kind: PayoutType,
}

/// With this many connections, which are waited for as long as it takes.
pub fn store(url: &str, connections: u32) -> Store {
    let pins = PinCipher::from_hex(&"0f".repeat(32)).unwrap();
    Store::new(StoreSettings {
        url,
        zone: chrono_tz::Asia::Seoul,
        connections,
        acquire_timeout: Duration::from_secs(3_600),
        lock_wait: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(60),
        pins: Some(pins),
    })
    .unwrap()
}

/// A fresh schema with one promotion and `targets` targets, ids from 1.
pub async fn tables(kind: PayoutType, targets: i64) -> Tables {
    let url = Fixture::shared().fresh_database().unwrap();
    let store = store(&url, 4);
    store.migrate().await.unwrap();
    let pool = sqlx::MySqlPool::connect(&url).await.unwrap();
    let tables = Tables { store, url, pool, kind };
    let code = &tables.kind.code;
    tables.sql(&format!(
        "INSERT INTO campaign_promotions (promotion_id, campaign_code, external_id, promotion_type, promotion_status, total_count, partition_count) \
         VALUES (1, 'C', 'x', '{code}', 'IN_PROGRESS', {targets}, 4), (2, 'D', 'y', '{code}', 'IN_PROGRESS', 0, 4)"
    )).await;
    for id in 1..=targets {
        let (table, key) = (&tables.kind.targets, &tables.kind.key);
        tables.sql(&format!("INSERT INTO {table} ({key}, promotion_id, customer_uid, amount, partition_key) VALUES ({id}, 1, {id}, 10, 0)")).await;
    }
    tables
}

impl Tables {
    pub async fn sql(&self, statement: &str) {
        sqlx::raw_sql(statement).execute(&self.pool).await.unwrap();
    }

    pub async fn begin(&self, targets: &[i64], token: AttemptToken, claim: Claim) -> Vec<ResultRow> {
        let targets: Vec<TargetId> = targets.iter().copied().map(TargetId).collect();
        let payouts = self.store.begin(&self.kind, PROMOTION, &targets, token, claim).await.unwrap();
        payouts.into_iter().map(|payout| payout.row).collect()
    }

    /// Puts a row into a state, as an earlier attempt left it.
    pub async fn row(&self, target: i64, status: &str, retry_count: u32, may_have_executed: bool, token: AttemptToken) {
        let (table, key) = (&self.kind.results, &self.kind.key);
        let (mhe, token) = (u8::from(may_have_executed), token.0);
        let transaction_key = if status == "SUCCESS" { "'before'" } else { "NULL" };
        self.sql(&format!(
            "REPLACE INTO {table} ({key}, promotion_id, process_status, transaction_key, retry_count, may_have_executed, attempt_token, first_sent_at, created_at) \
             VALUES ({target}, 1, '{status}', {transaction_key}, {retry_count}, {mhe}, {token}, '2026-01-02 03:04:05', NOW())"
        ))
        .await;
    }

    pub async fn read(&self, target: i64) -> ResultRow {
        let rows = self.store.results(&self.kind, &[TargetId(target)]).await.unwrap();
        rows[0].1
    }

    pub async fn record(
        &self,
        row: ResultRow,
        target: i64,
        token: AttemptToken,
        effect: Effect,
        another_attempt: bool,
    ) -> ResultRow {
        let receipt =
            (effect == Effect::Paid).then(|| Receipt { money_key: format!("key-{target}"), ..Receipt::default() });
        let write = Write { effect, another_attempt };
        let outcome =
            Outcome { target: TargetId(target), row, token, write, receipt, code: Some("CODE".into()), message: None };
        let rows = self.store.record(&self.kind, PROMOTION, &mut [outcome]).await.unwrap();
        assert_eq!(rows.len(), 1);
        rows[0].1
    }
}

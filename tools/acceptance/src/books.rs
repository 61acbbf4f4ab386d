//! The judgement: what `money` did against what the tables, the summary and Redis say.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;

use crate::cache::counts_of;
use crate::{Cache, Campaign, Counts, Ledger, Sql};

/// Breaches that are named in a failure.
const SHOWN: usize = 15;

/// A target with its result.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    /// Its id.
    pub id: i64,
    /// Its partition.
    pub partition: i64,
    /// Whom.
    pub customer: i64,
    /// How much, the default counted in; nothing when there is neither.
    pub amount: Option<Decimal>,
    /// `publish_status`
    pub publish_status: String,
    /// `process_status`, or nothing without a row.
    pub status: Option<String>,
    /// `transaction_key`
    pub transaction_key: Option<String>,
    /// `error_code`
    pub error_code: Option<String>,
    /// `retry_count`
    pub retry_count: Option<i32>,
    /// `requeues`
    pub requeues: Option<i32>,
    /// `key_generation`
    pub generation: Option<i32>,
    /// `waits_for`
    pub waits_for: Option<String>,
    /// Whether its intent was recorded.
    pub first_sent: i64,
}

/// Ledger and rows of a promotion.
#[derive(Debug)]
pub struct Books<'a> {
    sql: &'a Sql,
    cache: &'a Cache,
    campaign: Campaign,
    /// What `money` did.
    pub ledger: Ledger,
    /// What the tables say.
    pub rows: Vec<Row>,
}

impl<'a> Books<'a> {
    /// Reads the rows. The ledger comes first, so it is given: on a live system a payment may be made between the
    /// two readings, which then shows as a SUCCESS without a payment, and never hides a double one. Judged books are
    /// read at rest.
    ///
    /// # Panics
    /// When the database does not answer.
    pub fn read(ledger: Ledger, sql: &'a Sql, cache: &'a Cache, campaign: &Campaign) -> Self {
        let (targets, results, id) = (campaign.targets_table(), campaign.results_table(), campaign.id_column());
        let rows = sql.rows(&format!(
            "SELECT t.{id} AS id, CAST(t.partition_key AS SIGNED) AS `partition`, t.customer_uid AS customer, COALESCE(t.amount, p.default_amount) AS amount, \
             CAST(t.publish_status AS CHAR) AS publish_status, CAST(r.process_status AS CHAR) AS status, \
             CAST(r.transaction_key AS CHAR) AS transaction_key, CAST(r.error_code AS CHAR) AS error_code, \
             r.retry_count, r.requeues, r.key_generation AS generation, CAST(r.waits_for AS CHAR) AS waits_for, \
             CAST(r.first_sent_at IS NOT NULL AS SIGNED) AS first_sent \
             FROM {targets} t JOIN campaign_promotions p ON p.promotion_id = t.promotion_id \
             LEFT JOIN {results} r ON r.{id} = t.{id} WHERE t.promotion_id = {} ORDER BY t.{id}",
            campaign.id
        ));
        Self { sql, cache, campaign: campaign.clone(), ledger, rows }
    }

    /// Rows with a status; `None` for targets without a row.
    pub fn with(&self, status: Option<&str>) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.status.as_deref() == status).collect()
    }

    /// Nothing paid twice, nothing paid that the tables do not know of, and nothing paid that they call failed.
    ///
    /// # Panics
    /// Naming each breach.
    pub fn assert_exactly_once(&self) {
        none(&self.exactly_once(), "money and the rows disagree");
    }

    /// Breaches of [`Self::assert_exactly_once`].
    pub fn exactly_once(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        let mut known: HashMap<&str, i64> = HashMap::new();
        for row in &self.rows {
            self.judge(row, &mut known, &mut breaches);
        }
        for payment in self.ledger.payments() {
            if !known.contains_key(payment.money_key.as_str()) {
                breaches.push(format!("{} was paid, and no target has that key", payment.key));
            }
        }
        breaches
    }

    fn judge<'b>(&'b self, row: &Row, known: &mut HashMap<&'b str, i64>, breaches: &mut Vec<String>) {
        let (id, status) = (row.id, row.status.as_deref().unwrap_or("without a row"));
        let generations = i64::from(row.generation.unwrap_or(1));
        let keys: Vec<String> = (1..=generations).map(|number| self.campaign.key(row.customer, number)).collect();
        let payments: Vec<_> = keys.iter().flat_map(|key| self.ledger.paid(key)).collect();
        if payments.len() > 1 {
            breaches.push(format!("target {id} ({status}) was paid {} times", payments.len()));
        }
        let expected = match status {
            "SUCCESS" => payments.len() == 1,
            "FAILED" | "RETRYING" | "without a row" => payments.is_empty(),
            "PENDING" => payments.len() <= 1,
            _ => false,
        };
        if !expected {
            breaches.push(format!("target {id} is {status} with {} payments", payments.len()));
        }
        for payment in payments {
            known.insert(&payment.money_key, id);
            if payment.customer != row.customer || Some(payment.amount) != row.amount {
                breaches.push(format!(
                    "target {id} should get {:?}, and {} got {}",
                    row.amount, payment.customer, payment.amount
                ));
            }
            if status == "SUCCESS" && row.transaction_key.as_deref() != Some(&payment.money_key) {
                breaches.push(format!("target {id} has {:?} for {}", row.transaction_key, payment.money_key));
            }
        }
        if matches!(status, "SUCCESS" | "FAILED") && row.first_sent == 0 {
            breaches.push(format!("target {id} is {status} without an intent"));
        }
    }

    /// Exactly once, and everything that completion promises: every row final, and summary row, public hash, GROUP
    /// BY and ledger the same; no partition key left; every lifetime set.
    ///
    /// # Panics
    /// Naming each breach.
    pub fn assert_closed(&self) {
        self.assert_exactly_once();
        none(&self.closed(), "a completed promotion is not closed");
    }

    /// What completion promises beyond [`Self::exactly_once`], and what of it is broken.
    pub fn closed(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        for row in &self.rows {
            if !matches!(row.status.as_deref(), Some("SUCCESS" | "FAILED")) {
                breaches.push(format!("target {} is {:?} in a completed promotion", row.id, row.status));
            }
            if row.waits_for.is_some() {
                breaches.push(format!("target {} waits for {:?}", row.id, row.waits_for));
            }
        }
        let paid: Decimal = self.ledger.payments().map(|payment| payment.amount).sum();
        let success = self.rows.iter().filter(|row| row.status.as_deref() == Some("SUCCESS"));
        let due: Decimal = success.filter_map(|row| row.amount).sum();
        if paid != due {
            breaches.push(format!("the ledger adds up to {paid}, successful rows to {due}"));
        }
        self.compare_summary(&mut breaches);
        self.compare_redis(&mut breaches);
        breaches
    }

    /// At rest in the middle: per partition, what was published and not settled is what the stream holds, and that is
    /// what the rows call open; and the targets above the stream's last id are exactly those that were not published.
    ///
    /// # Panics
    /// Naming each breach.
    pub fn assert_streams_agree(&self) {
        let (cache, campaign) = (self.cache, &self.campaign);
        let mut breaches = Vec::new();
        for partition in 0..campaign.partitions {
            let counts = counts_of(&cache.hash(&Cache::counts_key(campaign, partition)));
            let (last, length) = cache.position(campaign, partition);
            let mine = self.rows.iter().filter(|row| row.partition == i64::from(partition));
            let published = mine.filter(|row| row.id <= last).collect::<Vec<_>>();
            let open = |row: &&&Row| !matches!(row.status.as_deref(), Some("SUCCESS" | "FAILED"));
            let open = published.iter().filter(open).count() as i64;
            let figures = [published.len() as i64, counts.published, open, length, counts.published - counts.settled()];
            if figures[0] != figures[1] || figures[2] != figures[3] || figures[3] != figures[4] {
                breaches.push(format!(
                    "partition {partition}: targets up to its last id, published, open rows, entries, outstanding: {figures:?}"
                ));
            }
            let proved = counted(published.iter().copied());
            if counts != proved {
                breaches.push(format!("partition {partition}: its counts are {counts:?}, its rows {proved:?}"));
            }
        }
        none(&breaches, "streams and rows disagree");
    }

    /// Closed, and everybody was paid.
    ///
    /// # Panics
    /// Naming each breach.
    pub fn assert_paid_and_closed(&self) {
        self.assert_closed();
        let failed = self.with(Some("FAILED"));
        assert!(failed.is_empty(), "{} targets are FAILED, for example {:?}", failed.len(), failed[0]);
        assert_eq!(self.ledger.payments().count(), self.rows.len());
    }

    /// What the rows add up to.
    pub fn counts(&self) -> Counts {
        counted(&self.rows)
    }

    /// How many rows have each status and error code, for messages.
    pub fn overview(&self) -> BTreeMap<String, usize> {
        let mut groups = BTreeMap::new();
        for row in &self.rows {
            let name = format!("{:?}/{:?}/{:?}", row.status, row.error_code, row.waits_for);
            *groups.entry(name).or_insert(0) += 1;
        }
        groups
    }

    fn compare_summary(&self, breaches: &mut Vec<String>) {
        let (published, success, retry_success, fail, closed): (i32, i32, i32, i32, i64) = self.sql.row(&format!(
            "SELECT published_count, success_count, retry_success_count, fail_count, \
             CAST(completed_at IS NOT NULL AND started_at IS NOT NULL AS SIGNED) \
             FROM campaign_promotion_summary WHERE promotion_id = {}",
            self.campaign.id
        ));
        let summary = Counts {
            published: published.into(),
            success: success.into(),
            retry_success: retry_success.into(),
            fail: fail.into(),
        };
        if summary != self.counts() {
            breaches.push(format!("the summary says {summary:?}, the rows {:?}", self.counts()));
        }
        if closed != 1 {
            breaches.push("the summary has no start or no end".to_owned());
        }
        let unpublished = self.rows.iter().filter(|row| row.publish_status == "PENDING").count();
        if unpublished > 0 {
            breaches.push(format!("{unpublished} targets of a completed promotion are not marked as published"));
        }
    }

    fn compare_redis(&self, breaches: &mut Vec<String>) {
        let (cache, campaign) = (self.cache, &self.campaign);
        let summary = self.sql.number(&format!(
            "SELECT promotion_summary_id FROM campaign_promotion_summary WHERE promotion_id = {}",
            campaign.id
        ));
        let hash = cache.public(summary);
        if counts_of(&hash) != self.counts() || hash.get("total_count") != Some(&self.rows.len().to_string()) {
            breaches.push(format!("the public hash says {hash:?}, the rows {:?}", self.counts()));
        }
        if hash.get("last_completed_at").is_none_or(|at| at.len() != 14) {
            breaches.push(format!("the public hash has no time of the last payout: {hash:?}"));
        }
        let ttl: i64 = cache.run(&["TTL", &format!("campaign_promotion_summary:{summary}")]);
        if ttl <= 0 {
            breaches.push(format!("the public hash has the lifetime {ttl}"));
        }
        for partition in 0..campaign.partitions {
            for key in [Cache::stream(campaign, partition), Cache::counts_key(campaign, partition)] {
                if cache.run::<i64>(&["EXISTS", &key]) != 0 {
                    breaches.push(format!("{key} is still there"));
                }
            }
            let ttl: i64 = cache.run(&["TTL", &Cache::dead(campaign, partition)]);
            if ttl == -1 {
                breaches.push(format!("the dead letters of partition {partition} stay for ever"));
            }
        }
    }
}

/// What rows add up to.
fn counted<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Counts {
    let mut counts = Counts::default();
    for row in rows {
        counts.published += 1;
        let retried = row.retry_count.unwrap_or(0) > 0 || row.requeues.unwrap_or(0) > 0;
        match (row.status.as_deref(), retried) {
            (Some("SUCCESS"), false) => counts.success += 1,
            (Some("SUCCESS"), true) => counts.retry_success += 1,
            (Some("FAILED"), _) => counts.fail += 1,
            _ => {}
        }
    }
    counts
}

fn none(breaches: &[String], what: &str) {
    let shown: Vec<&str> = breaches.iter().take(SHOWN).map(String::as_str).collect();
    assert!(breaches.is_empty(), "{what}, {} times:\n{}", breaches.len(), shown.join("\n"));
}

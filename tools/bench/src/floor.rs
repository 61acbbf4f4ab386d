//! The bare loop: page targets, ask `money`, insert results. No Redis, no intent, no retry, no guarantee; what it
//! does is what nobody can leave out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use pipeline::domain::outcome::Verdict;
use pipeline::domain::promotion::Defaults;
use pipeline::domain::{
    Amount, CustomerUid, PayoutType, Promotion, PromotionId, PromotionStatus, SummaryId, Target, TargetId,
};
use pipeline::keys::IdempotencyKey;
use pipeline::money::{BODY_LIMIT, Connection, Money, Settings, charge_body};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::{MySqlConnection, Row};
use tokio::sync::mpsc;

use crate::{account, counters};

/// Targets of a page, as the dispatcher reads them.
const PAGE: u64 = 5_000;
/// Results of a statement.
const BATCH: usize = 500;

/// What it works on.
#[derive(Debug, Args)]
pub struct Options {
    /// The database
    #[arg(long)]
    pub database_url: String,
    /// The money service
    #[arg(long)]
    pub money_url: String,
    /// Its bearer token
    #[arg(long)]
    pub money_token: String,
    /// The promotion
    #[arg(long)]
    pub promotion: i64,
    /// Its campaign
    #[arg(long)]
    pub campaign: String,
    /// Its highest target id
    #[arg(long)]
    pub last: i64,
    /// Connections to money
    #[arg(long, default_value_t = 128)]
    pub concurrency: usize,
    /// Connections that insert results
    #[arg(long, default_value_t = 2)]
    pub writers: usize,
}

/// What a program of the benchmark says of itself at its end, as JSON on standard output.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Told {
    /// Targets done.
    pub targets: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// Its CPU time in seconds.
    pub cpu_s: f64,
    /// Its highest resident memory, in bytes.
    pub peak_memory: u64,
    /// CPU time of Redis meanwhile in seconds, where the program measures that.
    pub redis_cpu_s: f64,
}

impl Told {
    /// Of this process, which began at `begun`.
    pub fn of_this_process(targets: u64, begun: Instant) -> Result<Self> {
        let me = std::process::id();
        let seconds = begun.elapsed().as_secs_f64();
        let (cpu_s, peak_memory) = (account::cpu(me)?.as_secs_f64(), account::peak_memory(me)?);
        Ok(Self { targets, seconds, cpu_s, peak_memory, redis_cpu_s: 0.0 })
    }
}

/// A result to be inserted.
type Paid = (i64, String);

/// Pays every target of the promotion.
pub async fn run(options: Options) -> Result<Told> {
    let begun = Instant::now();
    let money = Money::new(Settings {
        url: options.money_url.clone(),
        token: Some(options.money_token.clone()),
        timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(1),
        final_error_codes: Vec::new(),
        body_limit: BODY_LIMIT,
        time_zone: chrono_tz::Asia::Seoul,
        ca_file: None,
    })?;
    let promotion = Arc::new(promotion(&options));
    let (to_pay, targets) = async_channel::bounded(PAGE as usize);
    let (to_write, paid) = mpsc::channel(2 * BATCH);
    let pages =
        tokio::spawn(page(counters::connect(&options.database_url).await?, options.promotion, options.last, to_pay));
    let mut workers = Vec::new();
    for _ in 0..options.concurrency {
        let (connection, promotion) = (money.connection(), Arc::clone(&promotion));
        workers.push(tokio::spawn(pay(connection, promotion, targets.clone(), to_write.clone())));
    }
    drop(to_write);
    let written = write(&options, paid).await?;
    pages.await??;
    for worker in workers {
        worker.await??;
    }
    Told::of_this_process(written, begun)
}

fn promotion(options: &Options) -> Promotion {
    Promotion {
        id: PromotionId(options.promotion),
        summary: SummaryId(0),
        campaign_code: options.campaign.as_str().into(),
        kind: Arc::new(PayoutType::point()),
        status: PromotionStatus::InProgress,
        total_count: 0,
        total_amount: Amount::ZERO,
        partition_count: 1,
        reservation_at: None,
        reservation_priority: None,
        defaults: Defaults::default(),
    }
}

async fn page(
    mut mysql: MySqlConnection,
    promotion: i64,
    last: i64,
    to_pay: async_channel::Sender<Target>,
) -> Result<()> {
    let mut after = 0;
    loop {
        let rows = sqlx::query(
            "SELECT point_target_id, customer_uid, amount, reason, expired_at, merchant_code \
             FROM campaign_promotion_point_targets FORCE INDEX (PRIMARY) \
             WHERE promotion_id = ? AND point_target_id > ? AND point_target_id <= ? ORDER BY point_target_id LIMIT ?",
        )
        .bind(promotion)
        .bind(after)
        .bind(last)
        .bind(PAGE)
        .fetch_all(&mut mysql)
        .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            let target = Target {
                id: TargetId(row.try_get(0)?),
                customer: CustomerUid(row.try_get(1)?),
                amount: row.try_get::<Option<Decimal>, _>(2)?.map(Amount::from_row),
                reason: row.try_get_unchecked(3)?,
                expired_at: row.try_get_unchecked(4)?,
                merchant_code: row.try_get_unchecked(5)?,
                voucher_number: None,
                is_withdrawal: false,
            };
            after = target.id.0;
            if to_pay.send(target).await.is_err() {
                bail!("the workers have ended");
            }
        }
    }
}

async fn pay(
    mut money: Connection,
    promotion: Arc<Promotion>,
    targets: async_channel::Receiver<Target>,
    to_write: mpsc::Sender<Paid>,
) -> Result<()> {
    while let Ok(target) = targets.recv().await {
        let key = IdempotencyKey::new(&promotion.campaign_code, target.customer, 1);
        let body = charge_body(&promotion.kind, &promotion, &target);
        let answer = money.charge(&promotion.kind.charge_path, &key, body).await;
        let receipt = answer.receipt.filter(|_| answer.verdict == Verdict::Paid);
        let receipt = receipt.with_context(|| format!("money did not pay: {} {:?}", answer.code, answer.message))?;
        if to_write.send((target.id.0, receipt.money_key)).await.is_err() {
            bail!("the writer has ended");
        }
    }
    Ok(())
}

/// Fills batches, and inserts on as many connections as there are writers.
async fn write(options: &Options, mut paid: mpsc::Receiver<Paid>) -> Result<u64> {
    let (give_back, free) = async_channel::bounded(options.writers);
    for _ in 0..options.writers {
        give_back.send(counters::connect(&options.database_url).await?).await?;
    }
    let (mut written, mut under_way) = (0, tokio::task::JoinSet::new());
    loop {
        let mut batch: Vec<Paid> = Vec::with_capacity(BATCH);
        loop {
            let room = BATCH - batch.len();
            if room == 0 || paid.recv_many(&mut batch, room).await == 0 {
                break;
            }
        }
        if batch.is_empty() {
            break;
        }
        written += batch.len() as u64;
        let (mut mysql, give_back) = (free.recv().await?, give_back.clone());
        let promotion = options.promotion;
        under_way.spawn(async move {
            insert(&mut mysql, promotion, &batch).await?;
            give_back.send(mysql).await.context("the writers have ended")
        });
        while let Some(done) = under_way.try_join_next() {
            done??;
        }
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(written)
}

async fn insert(mysql: &mut MySqlConnection, promotion: i64, batch: &[Paid]) -> Result<()> {
    let row = format!("(?, {promotion}, 'SUCCESS', ?, NOW(), NOW())");
    let rows = vec![row.as_str(); batch.len()].join(", ");
    let sql = format!(
        "INSERT INTO campaign_promotion_point_results \
         (point_target_id, promotion_id, process_status, transaction_key, created_at, updated_at) VALUES {rows}"
    );
    let mut query = sqlx::query(&sql);
    for (target, money_key) in batch {
        query = query.bind(target).bind(money_key);
    }
    query.execute(mysql).await?;
    Ok(())
}

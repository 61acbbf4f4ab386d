//! The loader against a bare multi-row insert of the same rows into the same table:
//! `cargo test --release -p loader --test rules speed -- --ignored --nocapture`.
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, MySqlConnection};

use crate::world::{World, json};

const ROWS: u64 = 500_000;
const STATEMENT_ROWS: u64 = 1_000;
/// Statements a transaction: as many rows as a batch of the loader.
const STATEMENTS: u64 = 8;

/// Customers in no order, as in a file that was not sorted.
fn customer(n: u64) -> i64 {
    (1_000_000 + n * 7_919 % 1_000_003).cast_signed()
}

fn reason(n: u64) -> String {
    format!("Spring event, week {}", n % 50)
}

fn file() -> String {
    let mut text = String::from("customer_uid,amount,reason,merchant_code,merchant_brand_code,expired_at\n");
    for n in 0..ROWS {
        text.push_str(&format!("{},{}.25,\"{}\",M0001,B001,2027-12-31\n", customer(n), 1 + n % 500, reason(n)));
    }
    text
}

async fn bare(url: &str) -> Duration {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    connection
        .execute("INSERT INTO campaign_promotions (campaign_code, external_id, promotion_type, promotion_status) VALUES ('BARE', 'bare', 'POINT', 'LOADING')")
        .await
        .unwrap();
    let promotion: i64 = sqlx::query_scalar("SELECT MAX(promotion_id) FROM campaign_promotions")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; STATEMENT_ROWS as usize].join(", ");
    let sql = format!(
        "INSERT INTO campaign_promotion_point_targets (promotion_id, customer_uid, partition_key, amount, reason, expired_at, \
         merchant_code, merchant_brand_code, created_at, updated_at) VALUES {rows}"
    );
    let now = chrono::Local::now().naive_local();
    let reasons: Vec<String> = (0..ROWS).map(reason).collect();
    let begun = Instant::now();
    for transaction in (0..ROWS).step_by((STATEMENT_ROWS * STATEMENTS) as usize) {
        let mut open = connection.begin().await.unwrap();
        for statement in
            (transaction..ROWS.min(transaction + STATEMENT_ROWS * STATEMENTS)).step_by(STATEMENT_ROWS as usize)
        {
            let mut query = sqlx::query(&sql);
            for n in statement..statement + STATEMENT_ROWS {
                query = query
                    .bind(promotion)
                    .bind(customer(n))
                    .bind((n % 4).cast_signed())
                    .bind(rust_decimal::Decimal::new(((1 + n % 500) * 100 + 25).cast_signed(), 2))
                    .bind(&reasons[n as usize])
                    .bind("2027-12-31")
                    .bind("M0001")
                    .bind("B001")
                    .bind(now)
                    .bind(now);
            }
            query.execute(&mut *open).await.unwrap();
        }
        open.commit().await.unwrap();
    }
    begun.elapsed()
}

#[test]
#[ignore = "a measurement, for a release build on a quiet machine"]
fn the_loader_is_at_least_four_fifths_as_fast_as_a_bare_insert() {
    let mut ratios = Vec::new();
    for round in 1..=3 {
        let world = World::new();
        world.file("a.csv", file());
        let check = Instant::now();
        json(&world.points("a.csv", &["--dry-run"]));
        let check = check.elapsed();
        let begun = Instant::now();
        json(&world.points("a.csv", &[]));
        let loader = begun.elapsed();

        let world = World::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bare = runtime.block_on(bare(&world.url));
        let ratio = bare.as_secs_f64() / loader.as_secs_f64();
        let rate = |took: Duration| ROWS as f64 / took.as_secs_f64();
        println!(
            "round {round}: loader {loader:?} ({:.0} rows/s, of which the first pass {check:?}), bare insert {bare:?} ({:.0} rows/s), ratio {ratio:.2}",
            rate(loader),
            rate(bare)
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[1] >= 0.8, "{ratios:?}");
}

//! A fresh database with the schema, a folder for files, and the loader.

use std::path::PathBuf;
use std::time::Duration;

use pipeline::store::{Store, StoreSettings};
use servers::{Finished, Fixture, Launch};
use sqlx::{Connection, MySqlConnection};

/// No load of a test takes longer.
pub const BOUND: Duration = Duration::from_secs(120);

pub struct World {
    pub url: String,
    pub dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl World {
    pub fn new() -> Self {
        Self::on(Fixture::shared().fresh_database().unwrap())
    }

    /// With the schema in an empty database.
    pub fn on(url: String) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::new(StoreSettings {
                url: &url,
                zone: chrono_tz::Asia::Seoul,
                connections: 2,
                acquire_timeout: Duration::from_secs(30),
                lock_wait: Duration::from_secs(5),
                statement_timeout: Duration::from_secs(60),
                pins: None,
            });
            store.unwrap().migrate().await.unwrap();
        });
        Self { url, dir: tempfile::tempdir().unwrap(), runtime }
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// The loader for points, to be given more arguments.
    pub fn loader(&self, args: &[&str]) -> Launch {
        Launch::program(PathBuf::from(env!("CARGO_BIN_EXE_loader")), "loader", self.dir.path())
            .unwrap()
            .env("DATABASE_URL", &self.url)
            .args(args)
    }

    pub fn run(&self, args: &[&str]) -> Finished {
        self.loader(args).run(BOUND).unwrap()
    }

    /// Loads a file of points as campaign C, without asking.
    pub fn points(&self, file: &str, more: &[&str]) -> Finished {
        let args = ["--type", "POINT", "--campaign-code", "C", "--yes", "-o", "json", file];
        self.run(&[&args[..], more].concat())
    }

    /// One value, as text; `NULL` where there is none.
    pub fn value(&self, sql: &str) -> String {
        self.rows(sql).into_iter().next().unwrap_or_default()
    }

    /// The first column of each row, as text.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        // Whatever its type, a column of a derived table can be read as text.
        let sql = format!("SELECT COALESCE(CONVERT(q.v USING utf8mb4), 'NULL') FROM ({sql}) q");
        self.runtime.block_on(async {
            let mut connection = MySqlConnection::connect(&self.url).await.unwrap();
            let rows: Vec<String> = sqlx::query_scalar(&sql).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows
        })
    }

    pub fn execute(&self, sql: &str) {
        self.runtime.block_on(async {
            let mut connection = MySqlConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    pub fn promotions(&self) -> String {
        self.value("SELECT COUNT(*) v FROM campaign_promotions")
    }

    pub fn status(&self) -> String {
        self.value("SELECT promotion_status v FROM campaign_promotions")
    }

    /// Count, sum and lowest and highest customer of the points.
    pub fn points_loaded(&self) -> String {
        self.value(
            "SELECT CONCAT_WS(' ', COUNT(*), SUM(amount), MIN(customer_uid), MAX(customer_uid)) v \
             FROM campaign_promotion_point_targets",
        )
    }
}

/// A file of so many points: customers in no order, amounts with hundredths.
pub fn points(count: u64) -> String {
    let mut text = String::from("customer_uid,amount,reason\n");
    for n in 0..count {
        // A step that shares no factor with the modulus visits every customer once.
        let customer = 1 + n * 7_919 % 1_000_003;
        text.push_str(&format!("{customer},{}.25,reason {n}\n", 1 + n % 500));
    }
    text
}

/// The one JSON object on standard output.
pub fn json(finished: &Finished) -> serde_json::Value {
    assert!(finished.status.success(), "{}\n{}", finished.stdout, finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

/// Its standard error, after asserting that it ended with 2 and nothing on standard output.
pub fn refusal(finished: &Finished) -> String {
    assert_eq!(finished.status.code(), Some(2), "{}\n{}", finished.stdout, finished.stderr);
    assert_eq!(finished.stdout, "");
    finished.stderr.clone()
}

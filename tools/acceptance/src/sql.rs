//! Plain SQL, blocking: the eyes of the judge, and the hands of "another system".

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions, MySqlRow};
use sqlx::{Executor, FromRow};
use tokio::runtime::Runtime;

/// The zone that admin tools write in.
const ZONE: &str = "SET time_zone = '+09:00'";
const BOUND: Duration = Duration::from_secs(10);

/// A database. Text columns must be read as `CAST(… AS CHAR)`.
#[derive(Debug)]
pub struct Sql {
    runtime: Runtime,
    pool: MySqlPool,
}

impl Sql {
    /// Connects when first asked.
    ///
    /// # Panics
    /// On a URL that is none.
    pub fn open(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime starts");
        let options: MySqlConnectOptions = url.parse().expect("a URL");
        let _guard = runtime.enter();
        let pool = MySqlPoolOptions::new()
            .max_connections(3)
            .acquire_timeout(BOUND)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(ZONE).await.map(drop) }))
            .connect_lazy_with(options);
        Self { runtime, pool }
    }

    /// Rows; an error while the server is away.
    ///
    /// # Errors
    /// Any of the server's.
    pub fn try_rows<T>(&self, sql: &str) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> FromRow<'r, MySqlRow> + Send + Unpin,
    {
        self.runtime.block_on(sqlx::query_as::<_, T>(sql).fetch_all(&self.pool))
    }

    /// Rows.
    ///
    /// # Panics
    /// On an error.
    pub fn rows<T>(&self, sql: &str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, MySqlRow> + Send + Unpin,
    {
        self.try_rows(sql).unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// The one row that there is.
    ///
    /// # Panics
    /// On an error, or when there is none.
    pub fn row<T>(&self, sql: &str) -> T
    where
        T: for<'r> FromRow<'r, MySqlRow> + Send + Unpin,
    {
        self.rows(sql).into_iter().next().unwrap_or_else(|| panic!("no row: {sql}"))
    }

    /// One number.
    ///
    /// # Panics
    /// On an error.
    pub fn number(&self, sql: &str) -> i64 {
        self.row::<(i64,)>(sql).0
    }

    /// Changes something; gives how many rows.
    ///
    /// # Panics
    /// On an error.
    pub fn execute(&self, sql: &str) -> u64 {
        self.runtime
            .block_on(sqlx::query(sql).execute(&self.pool))
            .unwrap_or_else(|error| panic!("{error}: {sql}"))
            .rows_affected()
    }

    /// Several statements in one transaction; gives the id that the first one made.
    ///
    /// # Panics
    /// On an error.
    pub fn transaction(&self, statements: impl IntoIterator<Item = String>) {
        self.runtime.block_on(async {
            let mut transaction = self.pool.begin().await.expect("a transaction begins");
            for sql in statements {
                sqlx::raw_sql(&sql).execute(&mut *transaction).await.unwrap_or_else(|error| {
                    panic!("{error}: {}", sql.chars().take(300).collect::<String>());
                });
            }
            transaction.commit().await.expect("a transaction commits");
        });
    }
}

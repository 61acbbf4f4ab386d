//! The schema: changed by one command only, and checked by everybody else.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{Connection, Executor, Row};

use super::{Store, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// What `migrate` found and did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Migrated {
    /// Version before.
    pub from: i64,
    /// Version now.
    pub to: i64,
}

/// Settings of the server that decide whether a commit survives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Durability {
    /// `@@version`.
    pub version: String,
    /// `innodb_flush_log_at_trx_commit`: only 1 keeps every commit over a crash of the machine.
    pub flush_log_at_commit: i64,
}

/// How long a second `migrate` waits for the first.
const LOCK_SECONDS: i64 = 60;
const LOCK: &str = "payout_migrate";

impl Store {
    /// Brings the schema to this binary's version. Two at once are safe: the second waits for the first, and
    /// finds nothing to do. sqlx's own lock is `GET_LOCK(…, -1)`, which MariaDB answers with NULL and no
    /// lock, so this takes its own.
    ///
    /// # Errors
    /// [`StoreError`], also when the lock cannot be had, or the schema is newer than this binary.
    pub async fn migrate(&self) -> Result<Migrated, StoreError> {
        let mut connection = self.pool.acquire().await?.detach();
        let locked: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(?, ?)")
            .bind(LOCK)
            .bind(LOCK_SECONDS)
            .fetch_one(&mut connection)
            .await?;
        if locked != Some(1) {
            return Err(StoreError::Data(format!(
                "another migrate has been running for {LOCK_SECONDS} s; try again when it is done"
            )));
        }
        let from = self.schema_version().await?;
        let mut migrator = Migrator { ..Migrator::DEFAULT };
        migrator.migrations = MIGRATIONS.migrations.clone();
        migrator.set_locking(false);
        let done = migrator.run_direct(&mut connection).await;
        if done.is_ok() {
            self.complete_types(&mut connection).await?;
        }
        connection.execute("DO RELEASE_LOCK('payout_migrate')").await?;
        connection.close().await?;
        match done {
            Ok(()) => Ok(Migrated { from, to: self.schema_version().await? }),
            Err(
                sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _),
            ) => Err(error.into()),
            Err(error) => Err(StoreError::Data(error.to_string())),
        }
    }

    /// Version of the schema; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        let version: Result<Option<i64>, _> =
            sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations WHERE success").fetch_one(&self.pool).await;
        match version.map_err(StoreError::from) {
            Ok(version) => Ok(version.unwrap_or(0)),
            Err(error) if error.is_missing_schema() => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The version that this binary needs.
    pub fn expected_schema_version() -> i64 {
        MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
    }

    /// Waits until `promoctl migrate` has brought the schema to this binary's version.
    ///
    /// # Errors
    /// [`StoreError::Data`] when it is older or newer, with what to do.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let (found, expected) = (self.schema_version().await?, Self::expected_schema_version());
        if found < expected {
            return Err(StoreError::Data(format!(
                "the schema is at version {found}, this binary needs {expected}: run `promoctl migrate`"
            )));
        }
        Ok(())
    }

    /// How durable the server's commits are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        let row = tokio::time::timeout(
            Duration::from_secs(5),
            sqlx::query("SELECT @@version, CAST(@@innodb_flush_log_at_trx_commit AS SIGNED)").fetch_one(&self.pool),
        )
        .await
        .map_err(|_| StoreError::Unavailable(sqlx::Error::PoolTimedOut))??;
        Ok(Durability { version: row.try_get(0)?, flush_log_at_commit: row.try_get(1)? })
    }
}

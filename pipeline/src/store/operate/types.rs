//! Payout types of the shape of POINT, added without a rebuild.

use chrono::NaiveDateTime;
use sqlx::{Connection, Executor, MySqlConnection, Row};

use super::{OperatorAct, cut, write_act};
use crate::domain::PayoutType;
use crate::store::sql::{fill, maybe_text, text};
use crate::store::{Store, StoreError};

/// A row of `payout_types`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypeLine {
    /// Its code.
    pub code: String,
    /// Path of the charge at `money`.
    pub charge_path: String,
    /// Who added it.
    pub created_by: Option<String>,
    /// When.
    pub created_at: NaiveDateTime,
}

/// What became of adding a type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AddedType {
    /// It is there now.
    Yes,
    /// It was there, with this path.
    Exists(String),
}

/// Columns of results that are younger than the first added type may be.
const ADDED_TO_RESULTS: [(&str, &str); 1] = [("attempts", "VARCHAR(2000) NULL")];
const LOCK: &str = "payout_type_add";
const LOCK_SECONDS: i64 = 60;

impl Store {
    /// The added types.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn added_types(&self) -> Result<Vec<TypeLine>, StoreError> {
        let rows = sqlx::query("SELECT code, charge_path, created_by, created_at FROM payout_types ORDER BY code")
            .fetch_all(&self.pool)
            .await?;
        let line = |row: &sqlx::mysql::MySqlRow| {
            Ok(TypeLine {
                code: text(row, 0)?.to_owned(),
                charge_path: text(row, 1)?.to_owned(),
                created_by: maybe_text(row, 2)?,
                created_at: row.try_get(3)?,
            })
        };
        rows.iter().map(line).collect()
    }

    /// Adds a type of the shape of POINT: its two tables, then its row, which is what the stages look for. Tables
    /// cannot be made in a transaction; each step finds what an earlier try has done, so the same command after a
    /// crash finishes it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_type(&self, kind: &PayoutType, act: &OperatorAct) -> Result<AddedType, StoreError> {
        let mut connection = self.pool.acquire().await?.detach();
        let locked: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(?, ?)")
            .bind(LOCK)
            .bind(LOCK_SECONDS)
            .fetch_one(&mut connection)
            .await?;
        if locked != Some(1) {
            return Err(StoreError::Data(format!(
                "somebody else has been adding a type for {LOCK_SECONDS} s; try again"
            )));
        }
        let done = self.add_type_locked(&mut connection, kind, act).await;
        // Ends the session, and with it the lock.
        connection.close().await?;
        done
    }

    /// Gives the tables of added types what migrations have added to those of POINT since. Repeating it changes nothing.
    pub(in crate::store) async fn complete_types(&self, connection: &mut MySqlConnection) -> Result<(), StoreError> {
        for line in self.added_types().await? {
            let kind = PayoutType::like_point(&line.code, &line.charge_path);
            let kind = kind.map_err(|error| StoreError::Data(error.to_string()))?;
            add_columns(connection, &kind.results).await?;
        }
        Ok(())
    }

    async fn add_type_locked(
        &self,
        connection: &mut MySqlConnection,
        kind: &PayoutType,
        act: &OperatorAct,
    ) -> Result<AddedType, StoreError> {
        let row = sqlx::query("SELECT charge_path FROM payout_types WHERE code = ?")
            .bind(&kind.code)
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(row) = row {
            return Ok(AddedType::Exists(text(&row, 0)?.to_owned()));
        }
        make_table(connection, kind, &PayoutType::point().targets, &kind.targets).await?;
        make_table(connection, kind, &PayoutType::point().results, &kind.results).await?;
        // An earlier try may have made it like an older one.
        add_columns(connection, &kind.results).await?;
        add_foreign_key(connection, kind).await?;
        let now = self.now();
        let mut transaction = connection.begin().await?;
        sqlx::query("INSERT INTO payout_types (code, charge_path, created_by, created_at) VALUES (?, ?, ?, ?)")
            .bind(&kind.code)
            .bind(&kind.charge_path)
            .bind(cut(&act.actor, 100))
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        write_act(&mut transaction, act, now).await?;
        transaction.commit().await?;
        Ok(AddedType::Yes)
    }
}

/// A table like POINT's, with its key under the type's name.
async fn make_table(
    connection: &mut MySqlConnection,
    kind: &PayoutType,
    like: &str,
    table: &str,
) -> Result<(), StoreError> {
    connection.execute(format!("CREATE TABLE IF NOT EXISTS {table} LIKE {like}").as_str()).await?;
    let old = PayoutType::point().key;
    if has_column(connection, table, &old).await? {
        connection.execute(format!("ALTER TABLE {table} RENAME COLUMN {old} TO {}", kind.key).as_str()).await?;
    }
    Ok(())
}

async fn add_columns(connection: &mut MySqlConnection, results: &str) -> Result<(), StoreError> {
    for (column, definition) in ADDED_TO_RESULTS {
        if !has_column(connection, results, column).await? {
            connection.execute(format!("ALTER TABLE {results} ADD COLUMN {column} {definition}").as_str()).await?;
        }
    }
    Ok(())
}

async fn has_column(connection: &mut MySqlConnection, table: &str, column: &str) -> Result<bool, StoreError> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT CAST(1 AS SIGNED) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? AND column_name = ?",
    )
    .bind(table)
    .bind(column)
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// LIKE leaves foreign keys out.
async fn add_foreign_key(connection: &mut MySqlConnection, kind: &PayoutType) -> Result<(), StoreError> {
    let there: Option<i64> = sqlx::query_scalar(
        "SELECT CAST(1 AS SIGNED) FROM information_schema.table_constraints WHERE table_schema = DATABASE() AND table_name = ? \
         AND constraint_type = 'FOREIGN KEY'",
    )
    .bind(&kind.targets)
    .fetch_optional(&mut *connection)
    .await?;
    if there.is_none() {
        let sql = fill(
            "ALTER TABLE {targets} ADD CONSTRAINT fk_{targets} FOREIGN KEY (promotion_id) REFERENCES campaign_promotions (promotion_id)",
            kind,
        );
        connection.execute(sql.as_str()).await?;
    }
    Ok(())
}

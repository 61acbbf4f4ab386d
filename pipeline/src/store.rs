//! MySQL or MariaDB: the truth about who is to be paid and who was.
//!
//! A statement of the hot path takes a range of ids, or one JSON array for a whole batch, read with JSON_TABLE: one
//! prepared statement serves every batch size, and costs the server no more than 500 placeholders do
//! (intent 2.3 µs a row either way, and a third of the client's time). The statements stand in `sql/`,
//! with the names of a payout type's tables left open; `sql::TypeSql` fills them in.

mod begin;
mod census;
mod error;
mod json;
mod loading;
mod notifications;
mod operate;
mod paid;
mod pin;
mod promotions;
mod proof;
mod results;
mod schema;
mod sql;
mod targets;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use chrono::{NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{Connection, Executor, MySqlPool};

pub use begin::{Claim, Payout};
pub use census::Census;
pub use error::StoreError;
pub use loading::{Created, Load, LoadBatch, LoadFile, LoadProgress, LoadSettings, NewLoad, NewTarget, Sealed, Stored};
pub use notifications::{Attempted, Due, NotificationBacklog};
pub use operate::{
    AddedType, Attempt, Became, Changed, Evidence, Export, ExportResult, ExportRow, ExportVoucher, Extent, IssueGroup,
    Listed, LoadedFrom, Moved, Notification, Open, OperatorAct, Overview, PlanGroup, PlanStatus, Planned, PlannedNow,
    RecordedAct, Refusal, RequeueSlice, Reservation, Resolution, ResultHistory, RetryPlan, Selection, ServerSettings,
    SliceRefused, Standing, Stray, Stretch, TargetFilter, TargetHistory, TargetLine, TypeLine, Unresolved, Waiting,
    Wanted, may_be_rescheduled, resumes_to,
};
pub use pin::{PinCipher, PinKeyError};
pub use promotions::{Foreign, PollScope, Started, SummaryRow};
pub use proof::{HeldCompleted, PartitionProof, Proof, StatusCount};
pub use results::Outcome;
pub use schema::{Durability, Migrated};
pub use targets::{Bounds, PageRow};

use crate::domain::PayoutType;
use error::{FEW_ROWS, RELEASE, within};
use sql::TypeSql;

/// Access to the tables, shared by everything in a process.
#[derive(Clone)]
pub struct Store {
    pool: MySqlPool,
    zone: Tz,
    types: Arc<RwLock<HashMap<String, Arc<TypeSql>>>>,
    pins: Option<Arc<PinCipher>>,
    /// Longest wait for the answer to a statement that reads every target of a promotion.
    slowest: Duration,
    /// Bytes that the last receipt took in its row: the room that an intent leaves for the next.
    room: Arc<AtomicU32>,
}

/// How to reach the tables.
pub struct StoreSettings<'a> {
    /// `mysql://user:password@host:port/database`.
    pub url: &'a str,
    /// Zone of all DATETIME columns.
    pub zone: Tz,
    /// Connections at most.
    pub connections: u32,
    /// How long a statement may wait for a free connection.
    pub acquire_timeout: Duration,
    /// Longest wait for a row lock, whole seconds.
    pub lock_wait: Duration,
    /// Longest run of a statement.
    pub statement_timeout: Duration,
    /// Encrypts voucher PINs; without it vouchers with a PIN cannot be recorded.
    pub pins: Option<PinCipher>,
}

impl Store {
    /// Opens no connection yet: a database that is away is waited for, not a reason to end.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn new(settings: StoreSettings<'_>) -> Result<Self, StoreError> {
        let (zone, statement_timeout) = (settings.zone, settings.statement_timeout);
        let lock_wait = settings.lock_wait.as_secs().max(1);
        // Zone names need tables that a fresh server lacks (error 1298), so the offset of now is set; a
        // connection lives half an hour at most, which bounds how long it can be wrong after a change.
        let offset = zone.offset_from_utc_datetime(&Utc::now().naive_utc()).fix().to_string();
        let options = MySqlConnectOptions::from_str(settings.url)
            .map_err(StoreError::from)?
            .timezone(Some(offset))
            .statement_cache_capacity(256);
        let pool = MySqlPoolOptions::new()
            .max_connections(settings.connections)
            .min_connections(0)
            .acquire_timeout(settings.acquire_timeout)
            .max_lifetime(Duration::from_secs(30 * 60))
            .idle_timeout(Duration::from_secs(10 * 60))
            // Each test would be a round trip before every statement; a dead connection shows itself.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
                    connection.execute(&*format!("SET SESSION innodb_lock_wait_timeout = {lock_wait}")).await?;
                    // MariaDB bounds every statement, in seconds; MySQL only reads, in milliseconds.
                    let mariadb = format!("SET SESSION max_statement_time = {:.3}", statement_timeout.as_secs_f64());
                    if connection.execute(&*mariadb).await.is_err() {
                        let mysql = format!("SET SESSION max_execution_time = {}", statement_timeout.as_millis());
                        connection.execute(&*mysql).await?;
                    }
                    Ok(())
                })
            })
            // A connection whose answer was given up comes back through here. The pool's own test of it has no bound: to a
            // server that vanished without a word it would keep the connection's place in the pool for ever.
            .after_release(|connection, _| {
                Box::pin(async move { within(RELEASE, connection.ping()).await.map(|()| true) })
            })
            .connect_lazy_with(options);
        let types = PayoutType::built_in().into_iter().map(|kind| (kind.code.clone(), Arc::new(TypeSql::new(kind))));
        let types = Arc::new(RwLock::new(types.collect()));
        // The server ends it before; this is for one that vanished without a word.
        let slowest = statement_timeout + FEW_ROWS;
        Ok(Self { pool, zone, types, pins: settings.pins.map(Arc::new), slowest, room: Arc::default() })
    }

    /// Local time of the configured zone, as it stands in every DATETIME column.
    pub fn now(&self) -> NaiveDateTime {
        Utc::now().with_timezone(&self.zone).naive_local()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The type with this code, if the product knows it.
    pub fn payout_type(&self, code: &str) -> Option<Arc<PayoutType>> {
        self.type_sql(code).map(|sql| Arc::clone(&sql.kind))
    }

    /// The codes of all types it knows.
    pub fn type_codes(&self) -> Vec<String> {
        let mut codes: Vec<_> = self.read_types().keys().cloned().collect();
        codes.sort();
        codes
    }

    /// Learns the payout types that were added to `payout_types` since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refresh_types(&self) -> Result<(), StoreError> {
        let query = sqlx::query("SELECT code, charge_path FROM payout_types");
        let rows = within(FEW_ROWS, query.fetch_all(&self.pool)).await?;
        for row in &rows {
            let (code, path) = (sql::text(row, 0)?, sql::text(row, 1)?);
            if self.type_sql(code).is_none() {
                let kind = PayoutType::like_point(code, path).map_err(|error| StoreError::Data(error.to_string()))?;
                self.types
                    .write()
                    .unwrap_or_else(|poison| poison.into_inner())
                    .insert(code.to_owned(), Arc::new(TypeSql::new(kind)));
            }
        }
        Ok(())
    }

    fn type_sql(&self, code: &str) -> Option<Arc<TypeSql>> {
        self.read_types().get(code).cloned()
    }

    fn sql_of(&self, kind: &PayoutType) -> Result<Arc<TypeSql>, StoreError> {
        self.type_sql(&kind.code).ok_or_else(|| StoreError::Data(format!("no payout type {:?}", kind.code)))
    }

    fn read_types(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Arc<TypeSql>>> {
        self.types.read().unwrap_or_else(|poison| poison.into_inner())
    }
}

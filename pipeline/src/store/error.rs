//! Why a statement did not do what it should.

use std::time::Duration;

use sqlx::mysql::MySqlDatabaseError;

/// An error of the store. The caller branches on whether waiting helps.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, full, read-only or overloaded: the same may succeed later. Whether the
    /// statement was executed is not known.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database refused the statement; repeating it does not help.
    #[error("the database refused a statement: {0}")]
    Refused(#[source] sqlx::Error),
    /// What stands in the database is not what the product can work with.
    #[error("{0}")]
    Data(String),
}

/// Server errors that pass: deadlock, lock wait, snapshot conflict, too many connections or prepared
/// statements, read-only, disk full, shutdown, killed (the statement or its connection), statement timeout, host blocked,
/// disconnected for inactivity.
const PASSING: [u16; 24] = [
    1020, 1021, 1028, 1040, 1041, 1053, 1114, 1129, 1158, 1161, 1180, 1203, 1205, 1213, 1226, 1290, 1317, 1461, 1792,
    1836, 1927, 1969, 3024, 4031,
];

/// The transaction was rolled back, or the statement did nothing: repeating it at once is right.
const CONFLICT: [u16; 3] = [1020, 1205, 1213];

impl StoreError {
    /// Whether the statement lost against another one and did nothing.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Unavailable(error) if number(error).is_some_and(|number| CONFLICT.contains(&number)))
    }

    /// Whether waiting may help.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Refused(_) | Self::Data(_) => false,
        }
    }

    /// Whether a statement may have been executed although its answer says nothing of it: the connection was lost, or
    /// nothing came in time. A server that answers, and one that refuses the connection, have not executed it.
    pub fn lost_its_answer(&self) -> bool {
        match self {
            Self::Unavailable(sqlx::Error::Io(error)) => error.kind() != std::io::ErrorKind::ConnectionRefused,
            Self::Unavailable(error) => matches!(error, sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed),
            Self::Refused(_) | Self::Data(_) => false,
        }
    }

    /// Whether a unique key was violated.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Refused(error) if number(error) == Some(1062))
    }

    /// Whether a table or column is missing: the schema is older than this binary.
    pub fn is_missing_schema(&self) -> bool {
        matches!(self, Self::Refused(error) if matches!(number(error), Some(1054 | 1146)))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(_) if number(&error).is_some_and(|number| PASSING.contains(&number)) => {
                Self::Unavailable(error)
            }
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(error)
            }
            // A server that dies in the middle of an answer shows as a protocol error.
            sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => Self::Unavailable(error),
            _ => Self::Refused(error),
        }
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Longest wait for an answer about a few rows, and for one about a batch. A server that vanished without a word never
/// answers, and nothing else would notice. The connection is used again only after it has answered a ping.
pub(super) const FEW_ROWS: Duration = Duration::from_secs(10);
pub(super) const BATCH: Duration = Duration::from_secs(30);
/// Longest wait for that ping. Behind it, the connection is given up.
pub(super) const RELEASE: Duration = Duration::from_secs(10);

/// Waits for an answer of the database, so long at most. A transaction that is given up is rolled back when its connection
/// is put back, or with its connection.
pub(super) async fn within<T, E: From<sqlx::Error>>(
    bound: Duration,
    statement: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let silent = || sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer"));
    tokio::time::timeout(bound, statement).await.unwrap_or_else(|_| Err(silent().into()))
}

/// Repeats a statement that lost against another one, at most this often.
const MAX_CONFLICTS: u32 = 8;

/// Runs a statement, and again after a conflict, with a little jitter.
pub(super) async fn repeated<T, F>(mut statement: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    for conflicts in 0.. {
        match within(BATCH, statement()).await.map_err(StoreError::from) {
            Err(error) if error.is_conflict() && conflicts < MAX_CONFLICTS => {
                let jitter_ms = rand::random_range(1..=5 << conflicts);
                tracing::debug!(%error, "statement lost a conflict, repeating it");
                tokio::time::sleep(Duration::from_millis(jitter_ms)).await;
            }
            done => return done,
        }
    }
    unreachable!("the loop returns at the latest after {MAX_CONFLICTS} conflicts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_lost_with_its_connection_and_not_where_there_was_none() {
        let io = |kind| StoreError::from(sqlx::Error::Io(std::io::Error::from(kind)));
        for kind in [std::io::ErrorKind::TimedOut, std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::UnexpectedEof] {
            assert!(io(kind).lost_its_answer(), "{kind}");
        }
        let away = [io(std::io::ErrorKind::ConnectionRefused), sqlx::Error::PoolTimedOut.into()];
        assert!(away.iter().all(|error| error.is_unavailable() && !error.lost_its_answer()));
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_away() {
        let answer = within(Duration::from_millis(1), std::future::pending::<Result<(), sqlx::Error>>()).await;
        assert!(answer.map_err(StoreError::from).is_err_and(|error| error.is_unavailable() && !error.is_conflict()));
        assert!(within(BATCH, async { Ok::<_, sqlx::Error>(()) }).await.is_ok());
    }
}

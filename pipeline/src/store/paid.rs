//! The usual outcome: paid, by an attempt that nobody else has touched.

use super::begin::are_close;
use super::error::repeated;
use super::json::Rows;
use super::results::Outcome;
use super::sql::TypeSql;
use super::{Store, StoreError};
use crate::domain::{Shape, TargetId};

/// Attempts whose outcomes one pass may hold: as many places for tokens stand in `paid_range.sql`. A batch has the
/// outcomes of two or three.
const TOKENS: usize = 8;

impl Store {
    /// Writes payments; gives how many rows were as their outcomes say, and are SUCCESS now.
    pub(super) async fn record_paid(&self, sql: &TypeSql, outcomes: &[&Outcome]) -> Result<u64, StoreError> {
        let now = self.now();
        if let Some(packed) = Packed::of(sql.kind.shape, outcomes) {
            let Packed { first, last, width, keys, mask, tokens, generation, retry_count } = &packed;
            let done = repeated(|| {
                let query = sqlx::query(&sql.paid_range).bind(keys).bind(first.0).bind(*width).bind(*width).bind(now);
                let query = query.bind(first.0).bind(last.0).bind(mask).bind(first.0);
                let query = tokens.iter().fold(query, |query, token| query.bind(*token));
                query.bind(*generation).bind(*retry_count).execute(&self.pool)
            });
            return Ok(done.await?.rows_affected());
        }
        let mut rows = Rows::new();
        for outcome in outcomes {
            let row = &outcome.row;
            rows.row(outcome.target.0).number(outcome.token.0).number(row.generation).number(row.retry_count);
            rows.text(outcome.receipt.as_ref().map(|receipt| receipt.money_key.as_str()));
            self.voucher_fields(&mut rows, sql, outcome);
            rows.end();
        }
        let json = rows.finish();
        let done = repeated(|| sqlx::query(&sql.paid).bind(&json).bind(now).execute(&self.pool)).await?;
        Ok(done.rows_affected())
    }
}

/// Payments of ids that lie close together, as `paid_range.sql` takes them.
#[derive(PartialEq, Eq, Debug)]
struct Packed {
    first: TargetId,
    last: TargetId,
    /// Bytes of a slot.
    width: u32,
    /// A slot for every id between the two, filled up with NUL, which no key holds.
    keys: Vec<u8>,
    /// A `1` for every id that is paid.
    mask: Vec<u8>,
    /// Of all attempts, the last one repeated.
    tokens: [i64; TOKENS],
    generation: u32,
    retry_count: u32,
}

impl Packed {
    /// Nothing for payments that have more to them than a plain key, that lie too far apart, or that differ in what
    /// guards them.
    fn of(shape: Shape, outcomes: &[&Outcome]) -> Option<Self> {
        match shape {
            Shape::Point => {}
            Shape::Voucher => return None,
        }
        let (first, last) = outcomes.first().zip(outcomes.last())?;
        let (generation, retry_count) = (first.row.generation, first.row.retry_count);
        let (first, last) = (first.target, last.target);
        if !are_close(first, last, outcomes.len()) {
            return None;
        }
        let mut tokens: Vec<i64> = Vec::with_capacity(TOKENS);
        let mut width = 0;
        for outcome in outcomes {
            let key = &outcome.receipt.as_ref()?.money_key;
            let alike = outcome.row.generation == generation && outcome.row.retry_count == retry_count;
            if !alike || !key.is_ascii() || key.contains('\0') {
                return None;
            }
            width = width.max(key.len());
            let token = outcome.token.0.cast_signed();
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        let repeated = *tokens.last()?;
        tokens.resize(TOKENS.max(tokens.len()), repeated);
        let tokens = tokens.try_into().ok()?;
        let ids = usize::try_from(last.0.abs_diff(first.0)).ok()? + 1;
        let (mut keys, mut mask) = (vec![0; ids * width], vec![b'0'; ids]);
        for outcome in outcomes {
            let place = usize::try_from(outcome.target.0.abs_diff(first.0)).ok()?;
            let key = outcome.receipt.as_ref()?.money_key.as_bytes();
            keys[place * width..][..key.len()].copy_from_slice(key);
            mask[place] = b'1';
        }
        let width = u32::try_from(width).ok()?;
        Some(Self { first, last, width, keys, mask, tokens, generation, retry_count })
    }
}

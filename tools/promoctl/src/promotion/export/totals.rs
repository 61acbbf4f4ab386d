//! Control totals: what stands in the file, added up from the rows as they were written.

use std::io::{self, Write};

use chrono::NaiveDateTime;
use pipeline::domain::{Amount, ProcessStatus};
use pipeline::store::ExportRow;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::output;

/// What a file holds. Amounts are strings.
#[derive(Serialize, Debug)]
pub(super) struct Totals {
    pub(super) promotion_id: i64,
    pub(super) campaign_code: String,
    pub(super) promotion_type: String,
    /// At the moment of the snapshot.
    pub(super) promotion_status: &'static str,
    /// `final` when the promotion was COMPLETED at that moment, else `interim`: then it changes yet.
    pub(super) kind: &'static str,
    #[serde(serialize_with = "output::iso")]
    pub(super) snapshot_at: Option<NaiveDateTime>,
    /// Which targets were asked for; nothing for all.
    pub(super) only: Option<&'static str>,
    /// Whether customer ids, reasons, voucher numbers and codes are in full.
    pub(super) personal_data: bool,
    /// Whether PINs are in it.
    pub(super) pins: bool,
    /// Name of the file, without its folder; nothing on the standard output.
    pub(super) file: Option<String>,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    /// Data rows, the header aside.
    pub(super) rows: u64,
    pub(super) amount: Amount,
    pub(super) by_status: Vec<StatusTotal>,
    /// Targets and money that were sealed, to compare with.
    pub(super) sealed_count: u64,
    pub(super) sealed_amount: Amount,
}

/// Rows with the same status.
#[derive(Serialize, Debug)]
pub(super) struct StatusTotal {
    pub(super) status: &'static str,
    pub(super) rows: u64,
    pub(super) amount: Amount,
}

/// Adds up rows.
pub(super) struct Sums(Vec<StatusTotal>);

impl Sums {
    /// Every status with nothing, so that one that does not occur is told too.
    pub(super) fn new() -> Self {
        let statuses = [ProcessStatus::Success, ProcessStatus::Failed, ProcessStatus::Pending, ProcessStatus::Retrying];
        let names = statuses.into_iter().map(ProcessStatus::code).chain([super::NOT_BEGUN]);
        Self(names.map(|status| StatusTotal { status, rows: 0, amount: Amount::ZERO }).collect())
    }

    pub(super) fn add(&mut self, row: &ExportRow) {
        let status = row.result.as_ref().map_or(super::NOT_BEGUN, |result| result.status.code());
        if let Some(total) = self.0.iter_mut().find(|total| total.status == status) {
            total.rows += 1;
            total.amount = total.amount + row.amount.unwrap_or(Amount::ZERO);
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.0.iter().map(|total| total.rows).sum()
    }

    pub(super) fn amount(&self) -> Amount {
        self.0.iter().map(|total| total.amount).sum()
    }

    pub(super) fn into_parts(self) -> Vec<StatusTotal> {
        self.0
    }
}

/// Passes bytes on, and knows their number and digest.
pub(super) struct Measured<W> {
    inner: W,
    bytes: u64,
    digest: Sha256,
}

impl<W: Write> Measured<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, bytes: 0, digest: Sha256::new() }
    }

    /// What was written: bytes and their SHA-256 in hexadecimal digits.
    pub(super) fn finish(self) -> (W, u64, String) {
        (self.inner, self.bytes, hex::encode(self.digest.finalize()))
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

//! The two CSV files: the same for the same number of targets.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use rust_decimal::Decimal;

/// What is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Points.
    Point,
    /// Vouchers.
    Voucher,
}

impl Kind {
    /// Both, in the order in which they are loaded.
    pub(crate) const ALL: [Self; 2] = [Self::Point, Self::Voucher];

    /// The promotion type's code.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Point => "POINT",
            Self::Voucher => "VOUCHER",
        }
    }

    /// The name in table names and in the ledger.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Voucher => "voucher",
        }
    }

    /// The campaign that pays them in the demo.
    pub(crate) fn campaign(self) -> &'static str {
        match self {
            Self::Point => "DEMO-POINT",
            Self::Voucher => "DEMO-VOUCHER",
        }
    }

    /// The file's name in `.run/demo/`.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Point => "points.csv",
            Self::Voucher => "vouchers.csv",
        }
    }
}

/// Texts that a CSV reader has to get right.
const REASONS: [&str; 4] = ["Welcome back", "\"Spring event, second week\"", "봄 이벤트", "\"a \"\"thank you\"\"\""];

/// What was written into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Targets.
    pub(crate) count: u64,
    /// The sum of their amounts.
    pub(crate) total: Decimal,
}

/// Writes `count` targets.
pub(crate) fn write(kind: Kind, count: u32, path: &Path) -> Result<Written> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut out = BufWriter::new(file);
    let more = if kind == Kind::Voucher { ",voucher_number,is_withdrawal" } else { "" };
    writeln!(out, "customer_uid,amount,reason,merchant_code,merchant_brand_code,expired_at{more}")?;
    let mut hundredths = 0;
    let count = u64::from(count);
    for n in 0..count {
        let random = mix(n ^ (kind as u64) << 40);
        // Strictly rising, so unique; the steps vary.
        let customer = 1_000_000_000 + n * 11 + random % 11;
        // 1.00 to 50,000.99: a tenth of them with hundredths.
        let whole = 1 + (random >> 8) % 50_000;
        let fraction = if random.is_multiple_of(10) { (random >> 40) % 100 } else { 0 };
        hundredths += whole * 100 + fraction;
        let amount = if fraction == 0 { whole.to_string() } else { format!("{whole}.{fraction:02}") };
        let reason = REASONS[(random >> 20) as usize % REASONS.len()];
        let merchant = (random >> 24) % 20;
        write!(out, "{customer},{amount},{reason},M{merchant:04},B{:03},2027-12-31", merchant % 5)?;
        match kind {
            Kind::Point => writeln!(out)?,
            Kind::Voucher => writeln!(out, ",V{n:010},{}", random.is_multiple_of(4))?,
        }
    }
    out.flush()?;
    Ok(Written { count, total: Decimal::new(hundredths.cast_signed(), 2) })
}

/// A fixed shuffle of 64 bits (the finalizer of splitmix64): no generator to seed, no state.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::HashSet;

    #[test]
    fn the_files_are_the_same_each_time_and_customers_are_unique() {
        let dir = tempfile::tempdir().unwrap();
        for kind in Kind::ALL {
            let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
            let written = write(kind, 5_000, &one).unwrap();
            assert_eq!(write(kind, 5_000, &two).unwrap(), written);
            let text = std::fs::read_to_string(&one).unwrap();
            assert_eq!(text, std::fs::read_to_string(&two).unwrap());
            let customers: HashSet<&str> = text.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
            assert_eq!(customers.len(), 5_000);
            let amount = |line: &str| line.split(',').nth(1).unwrap().parse::<Decimal>().unwrap();
            assert_eq!(text.lines().skip(1).map(amount).sum::<Decimal>(), written.total);
            assert!(written.total.fract() != Decimal::ZERO, "some amounts have hundredths");
        }
    }
}

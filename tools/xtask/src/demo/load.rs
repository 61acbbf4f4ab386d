//! Loading the two files, one after the other, while the stages already pay.

use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rust_decimal::Decimal;
use serde::Deserialize;
use servers::Launch;

use super::stack::Stack;
use super::targets::{Kind, Written};

/// 200,000 rows take seconds; this is for the largest demo on the slowest disk.
const LOAD_BOUND: Duration = Duration::from_secs(1_800);

/// What a loader prints with `-o json`.
#[derive(Debug, Deserialize)]
struct Loaded {
    promotion_id: i64,
    loaded: u64,
    rejected: u64,
    /// Text or a number, but exact.
    total_amount: serde_json::Value,
}

/// One file, loaded.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) kind: Kind,
    pub(crate) promotion_id: i64,
    /// What the file says, counted while it was written.
    pub(crate) total: Decimal,
}

/// The loads under way.
pub(crate) struct Loads(JoinHandle<Result<Vec<Load>>>);

impl Loads {
    /// Whether all are loaded, or one failed.
    pub(crate) fn are_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the rest.
    pub(crate) fn finish(self) -> Result<Vec<Load>> {
        self.0.join().map_err(|_| anyhow!("the loading thread panicked"))?
    }
}

/// Starts the loader for each file in turn.
pub(crate) fn in_background(stack: &Stack, files: Vec<(Kind, PathBuf, Written)>) -> Result<Loads> {
    let mut loaders: Vec<(Kind, Written, Launch)> = Vec::new();
    for (kind, path, written) in files {
        let loader = stack
            .tool("loader")?
            .args(["--type", kind.code(), "--campaign-code", kind.campaign()])
            .args(["--created-by", "demo", "--yes", "-o", "json"])
            .arg(path);
        loaders.push((kind, written, loader));
    }
    let run = move || {
        let mut loads = Vec::new();
        for (kind, written, loader) in loaders {
            let output = loader.run(LOAD_BOUND)?.ok()?;
            let loaded: Loaded = serde_json::from_str(output.trim())
                .with_context(|| format!("the loader's answer is not understood: {output}"))?;
            loads.push(check(kind, written, &loaded)?);
        }
        Ok(loads)
    };
    Ok(Loads(thread::Builder::new().name("loads".to_owned()).spawn(run)?))
}

/// The loader must have seen what was written.
fn check(kind: Kind, written: Written, loaded: &Loaded) -> Result<Load> {
    let amount = loaded.total_amount.as_str().map_or_else(|| loaded.total_amount.to_string(), str::to_owned);
    let amount: Decimal = amount.parse().with_context(|| format!("not an amount: {amount}"))?;
    let Written { count, total } = written;
    if loaded.loaded != count || loaded.rejected != 0 || amount != total {
        bail!("of {count} targets with {total} altogether the loader took this: {loaded:?}");
    }
    Ok(Load { kind, promotion_id: loaded.promotion_id, total })
}

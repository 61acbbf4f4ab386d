//! `dead export`: FAILED targets as NDJSON or CSV, a page at a time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use pipeline::domain::{Amount, ProcessStatus, TargetId};

use super::{Line, line};
use crate::ended::{Ended, refuse};
use crate::output;
use crate::retry::selection::Selection;
use crate::session::Session;

/// Targets of a page: some 2 MB.
const PAGE: u32 = 5_000;

#[derive(Args, Debug)]
pub(crate) struct DeadExportArgs {
    /// Where to; `-` is standard output. A file that is there is not overwritten
    file: PathBuf,
    #[command(flatten)]
    selection: Selection,
    /// As what; by default by the name of the file
    #[arg(long, value_enum)]
    format: Option<ExportFormat>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum ExportFormat {
    /// One JSON object a line, amounts as strings
    Ndjson,
    /// With a header; UTF-8 with a byte order mark and CRLF, for spreadsheets
    Csv,
}

const HEADER: [&str; 10] = [
    "target_id",
    "customer_uid",
    "partition",
    "amount",
    "error_code",
    "error_message",
    "retry_count",
    "requeues",
    "key_generation",
    "failed_at",
];

enum Sink {
    Ndjson(BufWriter<Box<dyn Write>>),
    Csv(Box<csv::Writer<BufWriter<Box<dyn Write>>>>),
}

/// Writes them; a file appears whole or not at all.
pub(crate) async fn run(session: &Session, args: &DeadExportArgs) -> Result<Ended> {
    let promotion = session.promotion(args.selection.promotion).await?;
    let filter = args.selection.filter(session, Some(ProcessStatus::Failed))?;
    let to_stdout = args.file == Path::new("-");
    if !to_stdout && args.file.exists() {
        return refuse(format!("{} is there already; name another file", args.file.display()));
    }
    let part = args.file.with_added_extension("part");
    let out: Box<dyn Write> = match to_stdout {
        true => Box::new(io::stdout().lock()),
        false => Box::new(File::create(&part).with_context(|| format!("cannot write {}", part.display()))?),
    };
    let mut sink = Sink::new(format(args), out)?;
    let (mut targets, mut amount, mut after) = (0_u64, Amount::ZERO, TargetId(0));
    loop {
        let page = session.store.listed(&promotion, &filter, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.target;
        for row in &page {
            sink.add(&line(session, row))?;
            targets += 1;
            amount = amount + row.amount.unwrap_or(Amount::ZERO);
        }
        if page.len() < PAGE as usize {
            break;
        }
    }
    sink.finish()?;
    if !to_stdout {
        std::fs::rename(&part, &args.file).with_context(|| format!("cannot write {}", args.file.display()))?;
    }
    eprintln!("{} targets, {}", output::count(targets), output::money(amount));
    Ok(Ended::Done)
}

fn format(args: &DeadExportArgs) -> ExportFormat {
    let csv = args.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    args.format.unwrap_or(if csv { ExportFormat::Csv } else { ExportFormat::Ndjson })
}

impl Sink {
    fn new(format: ExportFormat, out: Box<dyn Write>) -> Result<Self> {
        let mut out = BufWriter::new(out);
        match format {
            ExportFormat::Ndjson => Ok(Self::Ndjson(out)),
            ExportFormat::Csv => {
                out.write_all("\u{feff}".as_bytes())?;
                let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
                writer.write_record(HEADER)?;
                Ok(Self::Csv(Box::new(writer)))
            }
        }
    }

    fn add(&mut self, line: &Line) -> Result<()> {
        match self {
            Self::Ndjson(out) => {
                serde_json::to_writer(&mut *out, line)?;
                out.write_all(b"\n")?;
            }
            Self::Csv(writer) => writer.write_record(cells(line))?,
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Ndjson(mut out) => out.flush()?,
            Self::Csv(mut writer) => writer.flush()?,
        }
        Ok(())
    }
}

fn cells(line: &Line) -> [String; 10] {
    [
        line.target_id.to_string(),
        line.customer_uid.clone(),
        line.partition.to_string(),
        line.amount.map(|amount| amount.to_string()).unwrap_or_default(),
        guarded(line.error_code.as_deref()),
        guarded(line.error_message.as_deref()),
        line.retry_count.to_string(),
        line.requeues.to_string(),
        line.key_generation.to_string(),
        line.failed_at.map(|at| at.format("%Y-%m-%dT%H:%M:%S").to_string()).unwrap_or_default(),
    ]
}

/// A text that a spreadsheet would take for a formula gets an apostrophe before it.
fn guarded(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_looks_like_a_formula_is_guarded() {
        for (text, cell) in [("=1+1", "'=1+1"), ("-x", "'-x"), ("@a", "'@a"), ("plain", "plain"), ("", "")] {
            assert_eq!(guarded(Some(text)), cell);
        }
    }
}

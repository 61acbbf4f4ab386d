//! `dead export`: FAILED targets as NDJSON or CSV, a page at a time.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use pipeline::domain::{Amount, ProcessStatus, Promotion, TargetId};
use pipeline::store::TargetFilter;

use super::{Line, line};
use crate::ended::Ended;
use crate::output;
use crate::promotion::export::BOM;
use crate::promotion::export::cell::Cell;
use crate::promotion::export::target::{Draft, unless_ended};
use crate::retry::selection::Selection;
use crate::session::Session;

/// Targets of a page: some 2 MB.
const PAGE: u32 = 5_000;

#[derive(Args, Debug)]
pub(crate) struct DeadExportArgs {
    /// Where to; - is the standard output
    file: PathBuf,
    #[command(flatten)]
    selection: Selection,
    /// As what; by default by the name of the file
    #[arg(long, value_enum)]
    format: Option<ExportFormat>,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
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

enum Sink<'a> {
    Ndjson(BufWriter<Box<dyn Write + 'a>>),
    Csv(Box<csv::Writer<BufWriter<Box<dyn Write + 'a>>>>),
}

/// Writes them; a file appears whole or not at all.
pub(crate) async fn run(session: &Session, args: &DeadExportArgs) -> Result<Ended> {
    let promotion = session.promotion(args.selection.promotion).await?;
    let filter = args.selection.filter(session, Some(ProcessStatus::Failed))?;
    let draft = match args.file == Path::new("-") {
        true => None,
        false => Some(Draft::new(&args.file, args.force)?),
    };
    let written = write(session, &promotion, &filter, format(args), draft.as_ref());
    let (targets, amount) = unless_ended(written).await?;
    if let Some(draft) = draft {
        draft.publish()?;
    }
    eprintln!("{} targets, {}", output::count(targets), output::money(amount));
    Ok(Ended::Done)
}

/// A page at a time; how many they were, and their money.
async fn write(
    session: &Session,
    promotion: &Promotion,
    filter: &TargetFilter,
    format: ExportFormat,
    draft: Option<&Draft>,
) -> Result<(u64, Amount)> {
    let out: Box<dyn Write> = match draft {
        Some(draft) => Box::new(draft.writer()),
        None => Box::new(io::stdout().lock()),
    };
    let mut sink = Sink::new(format, out)?;
    let (mut targets, mut amount, mut after) = (0_u64, Amount::ZERO, TargetId(0));
    loop {
        let page = session.store.listed(promotion, filter, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.target;
        for row in &page {
            sink.add(line(session, row)).context("cannot write the file")?;
            targets += 1;
            amount = amount + row.amount.unwrap_or(Amount::ZERO);
        }
        if page.len() < PAGE as usize {
            break;
        }
    }
    sink.finish().context("cannot write the file")?;
    Ok((targets, amount))
}

fn format(args: &DeadExportArgs) -> ExportFormat {
    let csv = args.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    args.format.unwrap_or(if csv { ExportFormat::Csv } else { ExportFormat::Ndjson })
}

impl<'a> Sink<'a> {
    fn new(format: ExportFormat, out: Box<dyn Write + 'a>) -> Result<Self> {
        let mut out = BufWriter::new(out);
        match format {
            ExportFormat::Ndjson => Ok(Self::Ndjson(out)),
            ExportFormat::Csv => {
                out.write_all(BOM)?;
                let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
                writer.write_record(HEADER)?;
                Ok(Self::Csv(Box::new(writer)))
            }
        }
    }

    fn add(&mut self, line: Line) -> Result<()> {
        match self {
            Self::Ndjson(out) => {
                serde_json::to_writer(&mut *out, &line)?;
                out.write_all(b"\n")?;
            }
            Self::Csv(writer) => writer.write_record(cells(line).map(Cell::written))?,
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

fn cells(line: Line) -> [Cell; 10] {
    let plain = |number: i64| Cell::Plain(number.to_string());
    [
        plain(line.target_id),
        Cell::Text(line.customer_uid),
        plain(line.partition.into()),
        line.amount.map_or(Cell::Empty, |amount| Cell::Plain(amount.to_string())),
        Cell::text(line.error_code),
        Cell::text(line.error_message),
        plain(line.retry_count.into()),
        plain(line.requeues.into()),
        plain(line.key_generation.into()),
        line.failed_at.map_or(Cell::Empty, |at| Cell::Plain(at.format("%Y-%m-%dT%H:%M:%S").to_string())),
    ]
}

//! `promotion export`: the result file and its control totals.
//!
//! UTF-8 with a BOM, which spreadsheets need to know it; lines end with CR LF and cells are quoted as RFC 4180 says. All
//! rows are of one moment, so the totals of a running promotion agree with its file too.

pub(crate) mod cell;
mod columns;
pub(crate) mod target;
mod totals;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use pipeline::domain::{Promotion, PromotionStatus, Shape};
use pipeline::store::{Export, Overview, PinCipher, Selection};

use crate::cli::Consent;
use crate::consent::Plan;
use crate::ended::{Ended, refuse};
use crate::output::{count, money};
use crate::session::Session;
use columns::Columns;
use target::{Draft, unless_ended};
use totals::{Measured, Sums, Totals};

/// The status of a target without a result row.
const NOT_BEGUN: &str = "NOT_BEGUN";
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";
/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 * 1024;

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Promotion
    pub(crate) id: i64,
    /// Where to; - is the standard output
    pub(crate) file: PathBuf,
    /// Only targets that stand so
    #[arg(long, value_parser = selections())]
    pub(crate) only: Option<Selection>,
    /// Without the byte order mark that spreadsheets know UTF-8 by
    #[arg(long)]
    pub(crate) no_bom: bool,
    /// Overwrite the file and its totals
    #[arg(long)]
    pub(crate) force: bool,
    /// Control totals go here instead of FILE.totals.json
    #[arg(long, value_name = "FILE")]
    pub(crate) totals: Option<PathBuf>,
    /// With the vouchers' PINs, decrypted: needs PAYOUT_PIN_KEY_FILE, and stands in the audit trail
    #[arg(long, requires = "reason")]
    pub(crate) reveal_pins: bool,
    /// Why the PINs are needed, for the audit trail
    #[arg(long)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

fn selections() -> impl TypedValueParser<Value = Selection> {
    PossibleValuesParser::new(Selection::ALL.map(Selection::name))
        .try_map(|name| Selection::from_name(&name).ok_or("no such selection"))
}

/// Where the file and its totals go.
struct Places {
    csv: Option<Draft>,
    totals: Option<Draft>,
}

impl Places {
    fn of(args: &ExportArgs) -> Result<Self> {
        let to_stdout = args.file.as_os_str() == "-";
        if to_stdout && args.reveal_pins && std::io::stdout().is_terminal() {
            return refuse("PINs are not written to a terminal: name a file");
        }
        let totals = match (&args.totals, to_stdout) {
            (Some(path), _) => Some(path.clone()),
            (None, true) => None,
            (None, false) => Some(beside(&args.file)),
        };
        if totals.as_ref() == Some(&args.file) {
            return refuse("the totals need another file than the rows");
        }
        let csv = if to_stdout { None } else { Some(Draft::new(&args.file, args.force)?) };
        Ok(Self { csv, totals: totals.map(|path| Draft::new(&path, args.force)).transpose()? })
    }
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".totals.json");
    PathBuf::from(name)
}

/// Writes the file, then its totals. An end by Ctrl-C or SIGTERM leaves neither.
pub(crate) async fn run(session: &Session, args: &ExportArgs) -> Result<Ended> {
    let overview = session.overview(args.id).await?;
    if overview.status == PromotionStatus::Loading {
        return refuse("it is LOADING: its load is not sealed, so there is nothing whole to export");
    }
    let promotion = session.promotion(args.id).await?;
    let pins = ciphers(session, args, &promotion)?;
    if (pins.is_some() || args.consent.dry_run) && !consented(session, args, &overview)? {
        return Ok(Ended::Done);
    }
    let places = Places::of(args)?;
    if pins.is_some() {
        audit(session, args, &overview).await?;
    }
    let totals = unless_ended(write(session, args, &promotion, pins, places)).await?;
    report(session, args, &totals)
}

/// What decrypts PINs, where they are wanted and may be had.
fn ciphers(session: &Session, args: &ExportArgs, promotion: &Promotion) -> Result<Option<PinCipher>> {
    if !args.reveal_pins {
        return Ok(None);
    }
    match promotion.kind.shape {
        Shape::Point => refuse(format!("targets of type {} have no PINs", promotion.kind.code)),
        Shape::Voucher => match pipeline::startup::pins(&session.config)? {
            Some(cipher) => Ok(Some(cipher)),
            None => refuse(
                "PINs are encrypted: set PAYOUT_PIN_KEY_FILE to the file with the key, or leave --reveal-pins out",
            ),
        },
    }
}

/// An export only reads. One with PINs is asked about all the same, because it takes them out of their protection.
fn consented(session: &Session, args: &ExportArgs, overview: &Overview) -> Result<bool> {
    let with = if args.reveal_pins { " with PINs" } else { "" };
    let mut plan = Plan {
        action: "promotion export",
        what: format!("export promotion {} ({}){with}", overview.id, overview.campaign_code),
        promotion_id: Some(overview.id.0),
        target_id: None,
        targets: overview.total_count,
        amount: overview.total_amount,
        from: None,
        to: None,
        dry_run: false,
    };
    plan.consented(session, &args.consent)
}

/// Before the first PIN is read: one that was shown always stands there.
async fn audit(session: &Session, args: &ExportArgs, overview: &Overview) -> Result<()> {
    let mut act = session.act("promotion export --reveal-pins", args.reason.as_deref().unwrap_or_default())?;
    (act.promotion, act.items, act.amount) = (Some(overview.id), overview.total_count, overview.total_amount);
    act.filter = args.only.map(|only| format!("--only {}", only.name()));
    Ok(session.store.record_act(&act).await?)
}

async fn write(
    session: &Session,
    args: &ExportArgs,
    promotion: &Promotion,
    pins: Option<PinCipher>,
    places: Places,
) -> Result<Totals> {
    let columns = Columns { shape: promotion.kind.shape, pins: pins.is_some() };
    let mut export = session.store.export(promotion, args.only, pins).await?;
    let (sums, bytes, sha256) = match &places.csv {
        Some(draft) => rows(session, args, columns, &mut export, draft.writer()).await?,
        None => rows(session, args, columns, &mut export, std::io::stdout().lock()).await?,
    };
    let complete = export.status == PromotionStatus::Completed;
    let totals = Totals {
        promotion_id: promotion.id.0,
        campaign_code: promotion.campaign_code.to_string(),
        promotion_type: promotion.kind.code.clone(),
        promotion_status: export.status.code(),
        kind: if complete { "final" } else { "interim" },
        snapshot_at: Some(export.taken_at),
        only: args.only.map(Selection::name),
        personal_data: session.show_pii,
        pins: columns.pins,
        file: places.csv.is_some().then(|| args.file.file_name().unwrap_or_default().to_string_lossy().into_owned()),
        bytes,
        sha256,
        rows: sums.rows(),
        amount: sums.amount(),
        by_status: sums.into_parts(),
        sealed_count: promotion.total_count,
        sealed_amount: promotion.total_amount,
    };
    export.end().await?;
    if let Some(draft) = places.csv {
        draft.publish()?;
    }
    if let Some(draft) = places.totals {
        let text = serde_json::to_string_pretty(&totals)? + "\n";
        draft.writer().write_all(text.as_bytes()).context("cannot write the control totals")?;
        draft.publish()?;
    }
    Ok(totals)
}

/// Every row, a page at a time: memory does not depend on their number.
async fn rows(
    session: &Session,
    args: &ExportArgs,
    columns: Columns,
    export: &mut Export,
    to: impl Write,
) -> Result<(Sums, u64, String)> {
    let mut measured = Measured::new(to);
    if !args.no_bom {
        measured.write_all(BOM).context("cannot write the file")?;
    }
    let mut csv =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).buffer_capacity(BUFFER).from_writer(measured);
    csv.write_record(columns.names()).context("cannot write the file")?;
    let mut sums = Sums::new();
    loop {
        let page = export.page().await?;
        if page.is_empty() {
            break;
        }
        for row in page {
            sums.add(&row);
            let cells = columns.cells(session, row);
            csv.write_record(cells.into_iter().map(|cell| cell.written())).context("cannot write the file")?;
        }
    }
    let measured = csv.into_inner().map_err(|error| error.into_error()).context("cannot write the file")?;
    let (mut to, bytes, sha256) = measured.finish();
    to.flush().context("cannot write the file")?;
    Ok((sums, bytes, sha256))
}

/// Where the rows went to the standard output, nothing else may.
fn report(session: &Session, args: &ExportArgs, totals: &Totals) -> Result<Ended> {
    let told = format!(
        "{} rows, {}, {} (promotion {} at {}), sha256 {}",
        count(totals.rows),
        money(totals.amount),
        totals.kind,
        totals.promotion_status,
        crate::output::time(totals.snapshot_at),
        totals.sha256,
    );
    match &totals.file {
        None => {
            eprintln!("{told}");
            Ok(Ended::Done)
        }
        Some(_) => session.print(totals, || println!("{}: {told}", args.file.display())),
    }
}

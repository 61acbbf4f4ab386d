//! What the loader says: what it is about to do, and what it did.

use std::io::{self, BufRead, IsTerminal, Write};

use pipeline::domain::Amount;
use serde::Serialize;

use crate::arguments::Output;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::survey::Survey;

/// The result on standard output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// Id of the promotion; none of a dry run.
    pub promotion_id: Option<i64>,
    /// Its code.
    pub campaign_code: String,
    /// Its type.
    pub promotion_type: String,
    /// Targets of the promotion; of a dry run, those that it would have.
    pub loaded: u64,
    /// Bad rows that were left out.
    pub rejected: u64,
    /// Money of the targets.
    pub total_amount: Amount,
    /// Whether the promotion was there already, and nothing was done.
    pub already_loaded: bool,
    /// Whether nothing was written on request.
    pub dry_run: bool,
    /// SHA-256 of the file.
    pub file_sha256: String,
    /// Where the bad rows are.
    pub rejected_file: Option<String>,
}

impl Report {
    /// Prints it.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn print(&self, output: Output) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        match output {
            Output::Json => writeln!(out, "{}", serde_json::to_string(self)?)?,
            Output::Table => out.write_all(self.table().as_bytes())?,
        }
        Ok(out.flush()?)
    }

    fn table(&self) -> String {
        let said = match (self.dry_run, self.already_loaded) {
            (true, _) => "dry run: nothing was written",
            (false, true) => "already loaded: nothing was done",
            (false, false) => "loaded",
        };
        let promotion = self.promotion_id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        let mut rows = vec![
            ("result", said.to_owned()),
            ("promotion", promotion),
            ("campaign", self.campaign_code.clone()),
            ("type", self.promotion_type.clone()),
            ("targets", self.loaded.to_string()),
            ("money", self.total_amount.to_string()),
            ("bad rows", self.rejected.to_string()),
        ];
        if let Some(file) = &self.rejected_file {
            rows.push(("rejected", file.clone()));
        }
        rows.into_iter().map(|(name, value)| format!("{name:<10} {value}\n")).collect()
    }
}

/// What is about to be loaded, for the person who is asked.
pub fn summary(plan: &Plan, survey: &Survey) -> String {
    let settings = &plan.settings;
    let due = match settings.reservation_at {
        Some(time) => format!("{time} ({})", plan.zone),
        None => "as soon as possible".to_owned(),
    };
    let bom = if survey.has_bom { ", with byte order mark" } else { "" };
    let mut text = format!(
        "{}\n  campaign   {}\n  type       {}\n  targets    {}\n  money      {}\n  due        {due}\n  partitions {}\n  encoding   {}{bom}\n",
        plan.file.display(),
        plan.campaign_code,
        settings.payout_type,
        survey.whole.loaded,
        survey.whole.amount,
        settings.partition_count,
        survey.rules.encoding.name(),
    );
    if survey.whole.rejected > 0 {
        text.push_str(&format!("  bad rows   {}, which are left out\n", survey.whole.rejected));
    }
    text
}

/// Asks on the terminal.
///
/// # Errors
/// [`Refusal`] when there is no terminal, or the answer is not yes.
pub fn confirm() -> Result<(), Refusal> {
    let (input, mut out) = (io::stdin(), io::stderr());
    if !input.is_terminal() {
        return Err(Refusal::NobodyToAsk);
    }
    let mut answer = String::new();
    let asked = write!(out, "Load it? [y/N] ").and_then(|()| out.flush());
    let answered = asked.and_then(|()| input.lock().read_line(&mut answer));
    match answered {
        Ok(_) if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) => Ok(()),
        Ok(_) | Err(_) => Err(Refusal::NotConfirmed),
    }
}

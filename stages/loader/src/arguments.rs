//! The command line.

use std::path::PathBuf;

use chrono::NaiveDateTime;
use clap::{Parser, ValueEnum};
use pipeline::domain::Amount;
use pipeline::domain::promotion::{MAX_PARTITIONS, is_campaign_code};
use rust_decimal::Decimal;

/// Partitions of a promotion where `--partitions` does not say otherwise; the default of the column.
const DEFAULT_PARTITIONS: u32 = 4;

const EXIT_CODES: &str = "Exit codes: 0 done, or already loaded; 1 failed; 2 refused (bad rows, an expectation not met, \
another file or other options for this campaign) or misused; 64 faults in the configuration; 70 panic.\n\
A load that was killed goes on where it stopped: give the same command again.";

/// Loads a CSV file of targets as one promotion.
#[derive(Parser, Debug)]
#[command(name = "loader", version, after_help = EXIT_CODES)]
pub struct Arguments {
    /// The file: header row by name, commas, UTF-8 or CP949
    #[arg(value_name = "TARGETS.CSV", required_unless_present_any = ["check", "dump_config"])]
    pub file: Option<PathBuf>,
    /// What is paid: POINT, VOUCHER, or a type that was added
    #[arg(long = "type", value_name = "TYPE", required_unless_present_any = ["check", "dump_config"])]
    pub payout_type: Option<String>,
    /// Code of the campaign, [A-Za-z0-9_-]{1,50}: one promotion has it, for ever
    #[arg(long, value_name = "CODE", value_parser = campaign_code, required_unless_present_any = ["check", "dump_config"])]
    pub campaign_code: Option<String>,
    /// Partitions: how many streams carry the targets
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PARTITIONS,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PARTITIONS)))]
    pub partitions: u32,
    /// Start no earlier than this: `2026-12-24 09:00:00`, local time of the configured zone
    #[arg(long, value_name = "TIME", value_parser = local_time)]
    pub reservation_at: Option<NaiveDateTime>,
    /// Lower goes first among promotions that are due at the same time
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// Amount of a target that has none of its own
    #[arg(long, value_name = "AMOUNT", value_parser = amount, allow_hyphen_values = true)]
    pub default_amount: Option<Amount>,
    /// Reason of a target that has none of its own
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub default_reason: Option<String>,
    /// Expiry of a target that has none of its own; its date is sent
    #[arg(long, value_name = "TIME", value_parser = local_time)]
    pub default_expiry_at: Option<NaiveDateTime>,
    /// Who loads it
    #[arg(long, value_name = "NAME", default_value = "loader", value_parser = created_by)]
    pub created_by: String,
    /// Load the good rows and write the bad ones to the rejected file
    #[arg(long)]
    pub skip_invalid: bool,
    /// Where bad rows go with --skip-invalid; by default the file's name with `.rejected.csv`
    #[arg(long, value_name = "FILE")]
    pub rejected: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Do everything but write
    #[arg(long)]
    pub dry_run: bool,
    /// Refuse unless exactly so many targets would be loaded
    #[arg(long, value_name = "N")]
    pub expect_count: Option<u64>,
    /// Refuse unless their amounts, defaults included, add up to exactly this
    #[arg(long, value_name = "AMOUNT", value_parser = total)]
    pub expect_total: Option<Amount>,
    /// How the result is printed
    #[arg(long, short = 'o', value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Configuration file in TOML over the defaults; environment variables go before it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check the configuration and end
    #[arg(long, conflicts_with = "dump_config")]
    pub check: bool,
    /// Print the configuration in effect, secrets hidden, and end
    #[arg(long)]
    pub dump_config: bool,
}

/// How the result is printed on standard output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON object.
    Json,
}

fn campaign_code(text: &str) -> Result<String, String> {
    if is_campaign_code(text) { Ok(text.to_owned()) } else { Err("expected [A-Za-z0-9_-]{1,50}".to_owned()) }
}

fn amount(text: &str) -> Result<Amount, String> {
    Amount::parse(text).map_err(|error| error.to_string())
}

/// A total may be larger than any amount, and zero.
fn total(text: &str) -> Result<Amount, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: Option<Decimal> = text.parse().ok().filter(|_| plain);
    value.map(Amount::from_row).ok_or_else(|| "expected a plain decimal number such as 1234567.50".to_owned())
}

fn reason(text: &str) -> Result<String, String> {
    at_most(text, 500)
}

fn created_by(text: &str) -> Result<String, String> {
    at_most(text, 50)
}

fn at_most(text: &str, limit: usize) -> Result<String, String> {
    match text.chars().count() {
        0 => Err("expected a text".to_owned()),
        length if length > limit => Err(format!("expected at most {limit} characters, found {length}")),
        _ if text.chars().any(char::is_control) => Err("expected no control characters".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

fn local_time(text: &str) -> Result<NaiveDateTime, String> {
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .ok_or_else(|| {
            "expected yyyy-MM-dd HH:mm:ss or yyyy-MM-ddTHH:mm:ss, local time of the configured zone, without an offset"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_time_is_local_and_in_one_of_two_forms() {
        let expected = chrono::NaiveDate::from_ymd_opt(2026, 12, 24).unwrap().and_hms_opt(9, 0, 0).unwrap();
        for good in ["2026-12-24 09:00:00", "2026-12-24T09:00:00"] {
            assert_eq!(local_time(good), Ok(expected), "{good}");
        }
        for bad in [
            "",
            "2026-12-24",
            "2026-12-24T09:00:00Z",
            "2026-12-24T09:00:00+09:00",
            "24.12.2026 09:00",
            "2026-02-30 00:00:00",
        ] {
            assert!(local_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_total_is_exact() {
        assert_eq!(total("1234567.50").map(|total| total.to_string()), Ok("1234567.50".to_owned()));
        for bad in ["", "1e3", "-1", "1,000", "."] {
            assert!(total(bad).is_err(), "{bad}");
        }
    }
}

//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::acts::ActsCommand;
use crate::consumers::ConsumersArgs;
use crate::consumers::prune::PruneArgs;
use crate::dead::DeadCommand;
use crate::doctor::DoctorArgs;
use crate::notifications::NotificationsCommand;
use crate::pending::PendingArgs;
use crate::pending::retry_now::RetryNowArgs;
use crate::promotion::export::ExportArgs;
use crate::promotion::reschedule::RescheduleArgs;
use crate::promotion::watch::WatchArgs;
use crate::retry::RetryCommand;
use crate::targets::TargetsCommand;

/// See everything, stop anything, check every invariant.
#[derive(Parser, Debug)]
#[command(
    name = "promoctl",
    version,
    after_help = "Exit codes: 0 done, 1 failed (or an invariant is broken, or doctor found an error), 2 refused or misused, 3 partly, 64 faults in the \
                  configuration.\nDATABASE_URL and REDIS_URL say where the servers are; see the stages' --dump-config for the rest."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// For every command.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// For people or for programs: one JSON object, amounts as strings
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Configuration file in TOML over the defaults; environment variables go before it
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Who acts, in the audit trail; by default $USER
    #[arg(long = "as", global = true, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Show personal data (customer ids) in full; PINs are never shown
    #[arg(long, global = true)]
    pub(crate) show_pii: bool,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Tables.
    Table,
    /// One JSON object.
    Json,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Bring the database schema to this version; safe against two at once
    ///
    /// It asks nothing and wants no reason, as an installation runs it before anything else: it moves no payout and no money,
    /// goes forward only, does nothing where the schema is at this version, and the schema's own table says what was done
    /// when. The audit trail is a part of what it makes.
    Migrate,
    /// Payout types
    Type {
        #[command(subcommand)]
        command: TypeCommand,
    },
    /// Promotions
    Promotion {
        #[command(subcommand)]
        command: PromotionCommand,
    },
    /// Close an outcome that waits for a person
    Resolve(ResolveArgs),
    /// Check every invariant of the protocol against MySQL, Redis and the ledger
    Audit(AuditArgs),
    /// Rebuild a promotion's partitions in Redis from MySQL
    Repair(RepairArgs),
    /// Who reads the streams
    Consumers {
        #[command(subcommand)]
        command: ConsumersCommand,
    },
    /// What is delivered and not settled
    Pending {
        #[command(subcommand)]
        command: PendingCommand,
    },
    /// Give FAILED targets new attempts: first a plan, then exactly that
    Retry {
        #[command(subcommand)]
        command: RetryCommand,
    },
    /// Targets that are FAILED
    Dead {
        #[command(subcommand)]
        command: DeadCommand,
    },
    /// Who is to be paid, and what became of it
    Targets {
        #[command(subcommand)]
        command: TargetsCommand,
    },
    /// Look for what endangers data or keeps payouts from being made; writes nothing
    Doctor(DoctorArgs),
    /// What the outside was told by webhook
    Notifications {
        #[command(subcommand)]
        command: NotificationsCommand,
    },
    /// What operators did: the audit trail
    Acts {
        #[command(subcommand)]
        command: ActsCommand,
    },
    /// Print a completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum TypeCommand {
    /// Add a type of the shape of POINT: its tables and its row; stages find it by themselves
    Add(TypeAddArgs),
    /// The types there are
    List,
}

#[derive(Subcommand, Debug)]
pub(crate) enum PromotionCommand {
    /// Promotions, newest first
    List(ListArgs),
    /// How a promotion is going, what failed and why, what waits for a person
    Show {
        /// Its id
        id: i64,
    },
    /// Watch a promotion until it ends: bars, or a line each time without a terminal
    Watch(WatchArgs),
    /// Write the result file and its control totals
    Export(ExportArgs),
    /// Stop a promotion: nothing new is sent within a second, what is in flight is recorded
    Stop(StopArgs),
    /// Resume a stopped or failed promotion
    Resume(ChangeArgs),
    /// Give a promotion that was never started another time or priority
    Reschedule(RescheduleArgs),
    /// Remove a promotion that was never started, which frees its campaign code
    Discard(ChangeArgs),
}

#[derive(Subcommand, Debug)]
pub(crate) enum ConsumersCommand {
    /// Consumers of every partition, with what they hold
    List(ConsumersArgs),
    /// Remove consumers that hold nothing and are idle; never one that holds an entry
    Prune(PruneArgs),
}

#[derive(Subcommand, Debug)]
pub(crate) enum PendingCommand {
    /// Entries that somebody holds, straight from XPENDING, with their rows
    List(PendingArgs),
    /// Make parked entries due now, whatever their backoff; an unknown outcome is looked up first, as always
    RetryNow(RetryNowArgs),
}

/// Permission to write.
#[derive(Args, Debug, Clone)]
pub(crate) struct Consent {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct TypeAddArgs {
    /// Code: a capital letter, then at most 19 capitals, digits or underscores; becomes part of table names
    pub(crate) code: String,
    /// Path of the charge at money, behind the base URL
    #[arg(long, value_name = "PATH")]
    pub(crate) charge_path: String,
    /// Why, for the audit trail
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Only those with this status
    #[arg(long, value_parser = ["LOADING", "READY", "IN_PROGRESS", "COMPLETED", "STOPPED", "FAILED"], ignore_case = true)]
    pub(crate) status: Option<String>,
    /// Most promotions to show
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Continue below this id (`next_cursor` of the page before)
    #[arg(long)]
    pub(crate) cursor: Option<i64>,
}

#[derive(Args, Debug)]
pub(crate) struct StopArgs {
    /// Promotion
    pub(crate) id: i64,
    /// Why; stands in the promotion's summary and in the audit trail
    #[arg(long, alias = "reason")]
    pub(crate) memo: String,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Args, Debug)]
pub(crate) struct ChangeArgs {
    /// Promotion
    pub(crate) id: i64,
    /// Why, for the audit trail
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("which").required(true).args(["promotion", "kind"])))]
#[command(group(ArgGroup::new("found").required(true).args(["paid", "not_paid"])))]
pub(crate) struct ResolveArgs {
    /// Target
    pub(crate) target: i64,
    /// Its promotion
    #[arg(long)]
    pub(crate) promotion: Option<i64>,
    /// Or its payout type
    #[arg(long = "type", value_name = "CODE")]
    pub(crate) kind: Option<String>,
    /// It was paid: money's key of the payment
    #[arg(long, value_name = "KEY")]
    pub(crate) paid: Option<String>,
    /// It was not paid, and money will never pay it under its present key
    #[arg(long)]
    pub(crate) not_paid: bool,
    /// Why, for the audit trail
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    /// Promotion
    pub(crate) promotion: i64,
    /// Compare with the ledger at this base URL (its /ledger is read as NDJSON); http only
    #[arg(long, value_name = "URL")]
    pub(crate) ledger: Option<String>,
    /// Targets named for each invariant
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) name: usize,
    /// How long what may be in flight is looked at again before it counts as broken
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) patience: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct RepairArgs {
    /// Promotion
    pub(crate) promotion: i64,
    /// Only this partition
    #[arg(long)]
    pub(crate) partition: Option<u32>,
    /// Why, for the audit trail
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_resolution_says_which_target_and_what_was_found_exactly_once() {
        let base = ["promoctl", "resolve", "5", "--reason", "x"];
        let parse = |more: &[&str]| Cli::try_parse_from(base.iter().copied().chain(more.iter().copied())).is_ok();
        assert!(parse(&["--promotion", "1", "--paid", "mk1"]));
        assert!(parse(&["--type", "POINT", "--not-paid"]));
        assert!(!parse(&["--promotion", "1"]));
        assert!(!parse(&["--not-paid"]));
        assert!(!parse(&["--promotion", "1", "--paid", "mk1", "--not-paid"]));
        assert!(!parse(&["--promotion", "1", "--type", "POINT", "--not-paid"]));
    }
}

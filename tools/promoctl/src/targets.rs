//! `targets …`: who is to be paid, and what became of it.

pub(crate) mod list;
pub(crate) mod show;

use clap::Subcommand;

use list::ListArgs;
use show::ShowArgs;

/// `targets …`
#[derive(Subcommand, Debug)]
pub(crate) enum TargetsCommand {
    /// Targets of a promotion that meet a filter, by ascending id
    List(ListArgs),
    /// Everything that is known about one target: rows, stream, dead letters, money, what operators did
    Show(ShowArgs),
}

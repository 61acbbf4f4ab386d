//! What each stage is compared with: the same servers doing the same amount of work for a program that does nothing
//! else. Each is a subcommand of the program `ceiling`.

pub mod insert;
pub mod pay;
pub mod publish;
pub mod settle;

use anyhow::Result;
use clap::Subcommand;

use crate::floor::Told;

/// Which ceiling.
#[derive(Debug, Subcommand)]
pub enum Ceiling {
    /// Of the loader: a bare multi-row insert of targets
    Insert(insert::Options),
    /// Of the dispatcher: paging and pipelined XADD
    Publish(publish::Options),
    /// Of the payer: reading and the two writes, without asking money
    Pay(pay::Options),
    /// Of settling: pipelined XACK and XDEL, or the script itself
    Settle(settle::Options),
}

/// Runs one.
pub async fn run(ceiling: Ceiling) -> Result<Told> {
    match ceiling {
        Ceiling::Insert(options) => insert::run(options).await,
        Ceiling::Publish(options) => publish::run(options).await,
        Ceiling::Pay(options) => pay::run(options).await,
        Ceiling::Settle(options) => settle::run(options).await,
    }
}

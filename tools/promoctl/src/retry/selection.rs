//! Which targets are meant, on the command line.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use pipeline::domain::{CustomerUid, ProcessStatus, TargetId};
use pipeline::store::TargetFilter;

use crate::ended::refuse;
use crate::session::Session;

/// Targets of a promotion that meet all of these.
#[derive(Args, Debug, Clone)]
pub(crate) struct Selection {
    /// Promotion
    #[arg(long)]
    pub(crate) promotion: i64,
    /// Only those that failed with this code; repeatable: any of them
    #[arg(long = "error-code", value_name = "CODE")]
    pub(crate) codes: Vec<String>,
    /// Only those that nobody touched for this long
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) older_than: Option<Duration>,
    /// Only this customer
    #[arg(long, value_name = "UID")]
    pub(crate) customer: Option<i64>,
    /// Only this target; repeatable: any of them
    #[arg(long = "target", value_name = "ID")]
    pub(crate) targets: Vec<i64>,
}

impl Selection {
    /// The filter, of all statuses or of one.
    ///
    /// # Errors
    /// Refuses what is too long for a statement.
    pub(crate) fn filter(&self, session: &Session, status: Option<ProcessStatus>) -> Result<TargetFilter> {
        if self.codes.len() > TargetFilter::MAX_CODES || self.targets.len() > TargetFilter::MAX_TARGETS {
            return refuse(format!(
                "a filter takes at most {} codes and {} targets",
                TargetFilter::MAX_CODES,
                TargetFilter::MAX_TARGETS
            ));
        }
        let touched_until = match self.older_than.map(chrono::TimeDelta::from_std) {
            None => None,
            Some(Ok(age)) => session.store.now().checked_sub_signed(age),
            Some(Err(_)) => return refuse("--older-than is longer than time itself"),
        };
        Ok(TargetFilter {
            statuses: status.map(Some).into_iter().collect(),
            codes: self.codes.clone(),
            touched_until,
            customer: self.customer.map(CustomerUid),
            targets: self.targets.iter().copied().map(TargetId).collect(),
        })
    }
}

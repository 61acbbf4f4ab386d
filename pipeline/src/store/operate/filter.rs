//! Which targets of a promotion an operator means. Lists, plans and exports all use this one filter.

use std::fmt;

use chrono::NaiveDateTime;
use sqlx::MySql;
use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;

use crate::domain::{CustomerUid, ProcessStatus, TargetId};

/// Targets that meet every condition that is given. An empty filter means all targets of the promotion.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TargetFilter {
    /// Any of these; nothing stands for a target without a result row. Empty: every status.
    pub statuses: Vec<Option<ProcessStatus>>,
    /// Any of these error codes, at most [`TargetFilter::MAX_CODES`]. Empty: every code, and none.
    pub codes: Vec<String>,
    /// The row was last touched at this local time or before.
    pub touched_until: Option<NaiveDateTime>,
    /// This customer: personal data.
    pub customer: Option<CustomerUid>,
    /// Any of these targets, at most [`TargetFilter::MAX_TARGETS`]. Empty: every target.
    pub targets: Vec<TargetId>,
}

impl TargetFilter {
    /// Most error codes of a filter: one placeholder each.
    pub const MAX_CODES: usize = 100;
    /// Most targets of a filter: one placeholder each.
    pub const MAX_TARGETS: usize = 1_000;

    /// How to read targets for it: by primary key, in the order of which they are paged, unless the filter names so
    /// few that another way is shorter.
    pub(in crate::store) fn hint(&self) -> &'static str {
        if self.customer.is_some() || !self.targets.is_empty() { "" } else { "FORCE INDEX (PRIMARY)" }
    }

    /// Conditions over a target `t` and its result `r` (outer joined), each with AND before it, to be filled in with
    /// the names of a type. [`TargetFilter::bind`] binds their values in the same order.
    pub(in crate::store) fn conditions(&self) -> String {
        let mut sql = String::new();
        if !self.statuses.is_empty() {
            let given = self.statuses.iter().flatten().count();
            let mut either = Vec::with_capacity(2);
            if self.statuses.contains(&None) {
                either.push("r.{key} IS NULL".to_owned());
            }
            if given > 0 {
                either.push(format!("r.process_status IN ({})", marks(given)));
            }
            sql += &format!(" AND ({})", either.join(" OR "));
        }
        if !self.codes.is_empty() {
            sql += &format!(" AND r.error_code IN ({})", marks(self.codes.len()));
        }
        if self.touched_until.is_some() {
            sql += " AND r.updated_at <= ?";
        }
        if self.customer.is_some() {
            sql += " AND t.customer_uid = ?";
        }
        if !self.targets.is_empty() {
            sql += &format!(" AND t.{{key}} IN ({})", marks(self.targets.len()));
        }
        sql
    }

    /// Binds the values of [`TargetFilter::conditions`].
    pub(in crate::store) fn bind<'q>(
        &'q self,
        mut query: Query<'q, MySql, MySqlArguments>,
    ) -> Query<'q, MySql, MySqlArguments> {
        for status in self.statuses.iter().flatten() {
            query = query.bind(status.code());
        }
        for code in &self.codes {
            query = query.bind(code.as_str());
        }
        if let Some(until) = self.touched_until {
            query = query.bind(until);
        }
        if let Some(customer) = self.customer {
            query = query.bind(customer.0);
        }
        for target in &self.targets {
            query = query.bind(target.0);
        }
        query
    }
}

/// For the audit trail. A customer is not named: the targets that were met stand beside it.
impl fmt::Display for TargetFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for status in &self.statuses {
            words.push(format!("status={}", status.map_or("NONE", ProcessStatus::code)));
        }
        words.extend(self.codes.iter().map(|code| format!("error-code={code}")));
        words.extend(self.touched_until.map(|until| format!("touched-until={}", until.format("%Y-%m-%dT%H:%M:%S"))));
        words.extend(self.customer.map(|_| "customer=*".to_owned()));
        words.extend(self.targets.iter().map(|target| format!("target={target}")));
        if words.is_empty() {
            words.push("all".to_owned());
        }
        f.write_str(&words.join(" "))
    }
}

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_have_a_mark_for_every_value() {
        let full = TargetFilter {
            statuses: vec![None, Some(ProcessStatus::Failed), Some(ProcessStatus::Pending)],
            codes: vec!["A".to_owned(), "B".to_owned()],
            touched_until: Some(NaiveDateTime::default()),
            customer: Some(CustomerUid(7)),
            targets: vec![TargetId(1), TargetId(2)],
        };
        assert_eq!(
            full.conditions(),
            " AND (r.{key} IS NULL OR r.process_status IN (?, ?)) AND r.error_code IN (?, ?) AND r.updated_at <= ? \
             AND t.customer_uid = ? AND t.{key} IN (?, ?)"
        );
        let missing = TargetFilter { statuses: vec![None], ..TargetFilter::default() };
        assert_eq!(missing.conditions(), " AND (r.{key} IS NULL)");
        assert_eq!(TargetFilter::default().conditions(), "");
    }

    #[test]
    fn a_filter_in_words_names_no_customer() {
        let filter = TargetFilter {
            statuses: vec![Some(ProcessStatus::Failed)],
            codes: vec!["LIMIT".to_owned()],
            customer: Some(CustomerUid(7_654_321)),
            ..TargetFilter::default()
        };
        assert_eq!(filter.to_string(), "status=FAILED error-code=LIMIT customer=*");
        assert_eq!(TargetFilter::default().to_string(), "all");
    }
}

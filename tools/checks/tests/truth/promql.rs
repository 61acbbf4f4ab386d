//! Reading queries: whether they parse, and whether what they select exists.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use crate::exposition::series;
use crate::support::STAGES;

/// Series that others export, with the labels that may be matched.
const OTHERS: [(&str, &[&str]); 1] = [("up", &["job", "instance", "service"])];
/// Labels that a scrape adds to every series.
const TARGET: [&str; 3] = ["job", "instance", "service"];

/// A selector, and the functions and operators around it, from the outside in.
pub struct Selected {
    /// What is selected.
    pub selector: VectorSelector,
    /// Whether a function for counters is around it.
    pub as_counter: bool,
}

/// Everything that a query selects.
pub fn selected(query: &str) -> Vec<Selected> {
    let expression = parser::parse(query).unwrap_or_else(|error| panic!("{query}\n{error}"));
    let mut found = Vec::new();
    walk_expr(&mut Walk { found: &mut found }, &expression).unwrap_or(true);
    assert!(!found.is_empty() || query.contains("vector("), "{query} selects nothing");
    found
}

struct Walk<'a> {
    found: &'a mut Vec<Selected>,
}

impl ExprVisitor for Walk<'_> {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        match expression {
            // Only rate, irate, increase and the like take a range.
            Expr::MatrixSelector(matrix) => self.found.push(Selected { selector: matrix.vs.clone(), as_counter: true }),
            Expr::VectorSelector(selector) => {
                self.found.push(Selected { selector: selector.clone(), as_counter: false })
            }
            Expr::Aggregate(_)
            | Expr::Unary(_)
            | Expr::Binary(_)
            | Expr::Paren(_)
            | Expr::Subquery(_)
            | Expr::NumberLiteral(_)
            | Expr::StringLiteral(_)
            | Expr::Call(_)
            | Expr::Extension(_) => {}
        }
        Ok(true)
    }
}

/// Holds a query to what is exported, and to what the rules record.
pub fn check(query: &str, recorded: &[String]) {
    for Selected { selector, as_counter } in selected(query) {
        let name = selector.name.clone().unwrap_or_else(|| panic!("{query}: a selector without a name"));
        if recorded.contains(&name) {
            continue;
        }
        if let Some((_, labels)) = OTHERS.iter().find(|(other, _)| *other == name) {
            assert!(selector.matchers.matchers.iter().all(|m| labels.contains(&m.name.as_str())), "{query}");
            continue;
        }
        let Some(labels) = series().get(&name) else { panic!("{query}\nno stage exports {name}") };
        for matcher in &selector.matchers.matchers {
            match labels.get(&matcher.name) {
                Some(values) => values_exist(query, matcher, |value| values.contains(value)),
                None => {
                    assert!(TARGET.contains(&matcher.name.as_str()), "{query}\n{name} has no label {}", matcher.name)
                }
            }
        }
        let counter = ["_total", "_bucket", "_sum", "_count"].iter().any(|ending| name.ends_with(ending));
        assert_eq!(counter, as_counter, "{query}\n{name}: a counter is read by rate or increase, a gauge is not");
    }
}

/// Whether every value that is matched can occur. Values of variables are not known here.
fn values_exist(query: &str, matcher: &Matcher, exists: impl Fn(&str) -> bool) {
    let listed = matches!(matcher.op, MatchOp::Re(_) | MatchOp::NotRe(_));
    for value in matcher.value.split(if listed { '|' } else { '\0' }) {
        // What stands for a variable.
        let any = value == "VARIABLE";
        let stage = matcher.name == "stage" && STAGES.iter().any(|(name, _)| *name == value);
        // The exposition that we compare with is a payer's.
        let elsewhere = matcher.name == "promotion" || matcher.name == "partition" || stage;
        assert!(any || elsewhere || exists(value), "{query}\n{} is never {value}", matcher.name);
    }
}

//! Figures of the running promotions. Only the summarizer sets them.
//!
//! They are replaced as a whole: a promotion that has ended is gone from the next exposition, which a
//! registry of series could not promise. Amounts are written from decimals.

use std::fmt::{Display, Write};
use std::sync::{Mutex, PoisonError};

use super::catalog::{self, METRICS};
use super::labels::ItemState;
use crate::domain::{Amount, PromotionId};

/// Promotions with figures of their own, at most: as many as can run at once.
pub const MAX_PROMOTIONS: usize = 100;

static FIGURES: Mutex<Vec<PromotionFigures>> = Mutex::new(Vec::new());

/// What is shown of a promotion. Replicas of the summarizer show the same: take the greatest, not the sum.
#[derive(Clone, Debug)]
pub struct PromotionFigures {
    /// The promotion.
    pub promotion: PromotionId,
    /// Targets and money of each state.
    pub states: Vec<(ItemState, u64, Amount)>,
    /// Money in all, as it was sealed.
    pub planned: Amount,
    /// Partition, and its entries that are published and not settled.
    pub backlog: Vec<(u32, u64)>,
    /// When the oldest entry that nobody has taken was published, in milliseconds since the Unix epoch.
    pub oldest_undelivered_ms: Option<i64>,
    /// The same of the oldest entry that somebody holds.
    pub oldest_pending_ms: Option<i64>,
    /// Payouts whose outcome is unknown, as MySQL last said; nothing before it was asked.
    pub unknown: Option<u64>,
    /// When the first of them was sent, in milliseconds since the Unix epoch.
    pub oldest_unknown_ms: Option<i64>,
    /// Entries that wait for a retry.
    pub parked: u64,
    /// Entries that wait for a person.
    pub held: u64,
    /// Payouts settled a second, lately.
    pub rate: f64,
    /// When it ends at this rate, in milliseconds since the Unix epoch.
    pub estimated_end_ms: Option<i64>,
    /// By how many entries published less settled differs from what is on the streams.
    pub drift: u64,
    /// By how many results the counters in Redis exceed what MySQL proved; nothing before it was asked.
    pub excess: Option<u64>,
}

/// Replaces the figures of all promotions: who is not among these is not shown any more.
pub fn promotions(mut figures: Vec<PromotionFigures>) {
    figures.sort_unstable_by_key(|figures| figures.promotion);
    figures.truncate(MAX_PROMOTIONS);
    *FIGURES.lock().unwrap_or_else(PoisonError::into_inner) = figures;
}

pub(super) fn render(text: &mut String) {
    render_figures(text, &FIGURES.lock().unwrap_or_else(PoisonError::into_inner));
}

fn render_figures(text: &mut String, figures: &[PromotionFigures]) {
    if figures.is_empty() {
        return;
    }
    family(text, catalog::PROMOTION_ITEMS, figures, |f, line| {
        f.states.iter().for_each(|(state, items, _)| line(Some(("state", state.label())), items));
    });
    family(text, catalog::PROMOTION_AMOUNT, figures, |f, line| {
        f.states.iter().for_each(|(state, _, amount)| line(Some(("state", state.label())), amount));
    });
    family(text, catalog::PROMOTION_PLANNED, figures, |f, line| line(None, &f.planned));
    family(text, catalog::PROMOTION_BACKLOG, figures, |f, line| {
        f.backlog.iter().for_each(|(partition, items)| line(Some(("partition", &partition.to_string())), items));
    });
    time(text, catalog::PROMOTION_OLDEST_UNDELIVERED, figures, |f| f.oldest_undelivered_ms);
    time(text, catalog::PROMOTION_OLDEST_PENDING, figures, |f| f.oldest_pending_ms);
    family(text, catalog::PROMOTION_UNKNOWN, figures, |f, line| {
        if let Some(unknown) = &f.unknown {
            line(None, unknown);
        }
    });
    time(text, catalog::PROMOTION_OLDEST_UNKNOWN, figures, |f| f.oldest_unknown_ms);
    family(text, catalog::PROMOTION_PARKED, figures, |f, line| line(None, &f.parked));
    family(text, catalog::PROMOTION_HELD, figures, |f, line| line(None, &f.held));
    family(text, catalog::PROMOTION_RATE, figures, |f, line| line(None, &f.rate));
    time(text, catalog::PROMOTION_ESTIMATED_END, figures, |f| f.estimated_end_ms);
    family(text, catalog::PROMOTION_DRIFT, figures, |f, line| line(None, &f.drift));
    family(text, catalog::PROMOTION_EXCESS, figures, |f, line| {
        if let Some(excess) = &f.excess {
            line(None, excess);
        }
    });
}

type Line<'a> = &'a mut dyn FnMut(Option<(&str, &str)>, &dyn Display);

/// HELP, TYPE and the lines of one metric. Values of labels are numbers and words of ours: nothing to escape.
fn family(text: &mut String, name: &str, figures: &[PromotionFigures], lines: impl Fn(&PromotionFigures, Line<'_>)) {
    let help = METRICS.iter().find(|metric| metric.name == name).map_or("", |metric| metric.help);
    let mut body = String::new();
    for figure in figures {
        lines(figure, &mut |label, value| {
            let promotion = figure.promotion;
            let label = label.map(|(label, of)| format!(",{label}=\"{of}\"")).unwrap_or_default();
            let _ = writeln!(body, "{name}{{promotion=\"{promotion}\"{label}}} {value}");
        });
    }
    if !body.is_empty() {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{body}\n");
    }
}

fn time(text: &mut String, name: &str, figures: &[PromotionFigures], at_ms: impl Fn(&PromotionFigures) -> Option<i64>) {
    family(text, name, figures, |figure, line| {
        if let Some(ms) = at_ms(figure) {
            line(None, &format_args!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000)));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(promotion: i64) -> PromotionFigures {
        PromotionFigures {
            promotion: PromotionId(promotion),
            states: vec![(ItemState::Success, 2, Amount::parse("20.50").unwrap())],
            planned: Amount::parse("99.50").unwrap(),
            backlog: vec![(0, 7), (1, 0)],
            oldest_undelivered_ms: Some(1_700_000_000_005),
            oldest_pending_ms: None,
            unknown: Some(3),
            oldest_unknown_ms: None,
            parked: 1,
            held: 0,
            rate: 12.5,
            estimated_end_ms: None,
            drift: 0,
            excess: Some(0),
        }
    }

    #[test]
    fn every_promotion_has_its_lines_under_one_head() {
        let mut text = String::new();
        render_figures(&mut text, &[figures(3), figures(4)]);
        assert_eq!(text.matches("# TYPE payout_promotion_items gauge").count(), 1);
        for line in [
            "payout_promotion_items{promotion=\"3\",state=\"success\"} 2\n",
            "payout_promotion_planned_amount{promotion=\"3\"} 99.50\n",
            "payout_promotion_backlog_items{promotion=\"4\",partition=\"0\"} 7\n",
            "payout_promotion_oldest_undelivered_timestamp_seconds{promotion=\"3\"} 1700000000.005\n",
            "payout_promotion_unknown_items{promotion=\"4\"} 3\n",
            "payout_promotion_rate_items_per_second{promotion=\"3\"} 12.5\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("oldest_pending"), "a time that there is not is not shown");
    }

    #[test]
    fn without_a_running_promotion_nothing_is_shown() {
        let mut text = String::new();
        render_figures(&mut text, &[]);
        assert_eq!(text, "");
    }
}

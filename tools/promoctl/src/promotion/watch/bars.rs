//! Bars for a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::sample::Sample;
use crate::output::count;

/// One bar for each figure, and a line below them.
pub(super) struct Bars {
    all: MultiProgress,
    head: ProgressBar,
    bars: Vec<ProgressBar>,
    pace: ProgressBar,
}

/// Name, colour.
const FIGURES: [(&str, &str); 7] = [
    ("published", "blue"),
    ("paid", "green"),
    ("  after a retry", "cyan"),
    ("failed", "red"),
    ("retrying", "yellow"),
    ("wait for a person", "magenta"),
    ("unknown", "white"),
];

impl Bars {
    pub(super) fn new(total: u64) -> Self {
        let all = MultiProgress::new();
        let text = |bar: ProgressBar| bar.with_style(style("{msg}"));
        let head = all.add(text(ProgressBar::no_length()));
        let bars = FIGURES
            .iter()
            .map(|(name, colour)| {
                let look = format!("{name:<18} {{wide_bar:.{colour}}} {{msg:>14}} {{percent:>3}} %");
                all.add(ProgressBar::new(total).with_style(style(&look)))
            })
            .collect();
        let pace = all.add(text(ProgressBar::no_length()));
        Self { all, head, bars, pace }
    }

    pub(super) fn show(&self, sample: &Sample) {
        let (id, code, status) = (sample.promotion_id, &sample.campaign_code, sample.promotion_status);
        self.head.set_message(format!("promotion {id}  {code}  {status}  {} targets", count(sample.total)));
        let figures = [
            Some(sample.published),
            Some(sample.paid),
            Some(sample.paid_after_retry),
            Some(sample.failed),
            sample.retrying,
            sample.waiting_for_a_person,
            sample.unknown,
        ];
        for (bar, figure) in self.bars.iter().zip(figures) {
            bar.set_length(sample.total);
            bar.set_position(figure.unwrap_or(0));
            bar.set_message(figure.map_or_else(|| "-".to_owned(), count));
        }
        let trouble = sample.redis_error.as_ref().map(|error| format!("  (Redis: {error})"));
        self.pace.set_message(sample.pace() + &trouble.unwrap_or_default());
    }

    /// A line above the bars.
    pub(super) fn note(&self, text: &str) {
        // A terminal that is gone has nobody to tell.
        drop(self.all.println(text));
    }

    /// Leaves the last figures on the screen, and the cursor below them.
    pub(super) fn leave(&self) {
        for bar in [&self.head].into_iter().chain(&self.bars).chain([&self.pace]) {
            bar.abandon();
        }
    }
}

fn style(look: &str) -> ProgressStyle {
    ProgressStyle::with_template(look).unwrap_or_else(|_| ProgressStyle::default_bar())
}

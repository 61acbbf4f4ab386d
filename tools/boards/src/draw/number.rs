//! Panels of one number, or a few.

use anyhow::Result;
use plotters::prelude::*;

use super::{Area, FAINT, Line, centred, size, unit};
use crate::panel::Panel;

/// Grafana's colours by their names.
const COLORS: [(&str, RGBColor); 3] = [
    ("green", RGBColor(0x2e, 0x8b, 0x4f)),
    ("orange", RGBColor(0xd9, 0x7a, 0x06)),
    ("red", RGBColor(0xc4, 0x2b, 0x3f)),
];

/// The greatest of the last values.
pub(super) fn last(lines: &[Line]) -> Option<f64> {
    lines.iter().filter_map(last_of).reduce(f64::max)
}

fn last_of(line: &Line) -> Option<f64> {
    line.series.points.last().map(|(_, value)| *value)
}

/// The colour of a value: of its word, or of the step that it has reached.
pub(super) fn color(panel: &Panel, value: Option<f64>) -> RGBColor {
    let Some(value) = value else { return FAINT };
    let word = panel.words.iter().find(|(of, ..)| *of == value).map(|(_, _, color)| color);
    let step = panel.steps.iter().rfind(|(from, _)| from.is_none_or(|from| value >= from)).map(|(_, color)| color);
    let name = word.or(step).map_or("green", String::as_str);
    COLORS.iter().find(|(of, _)| *of == name).map_or(FAINT, |(_, color)| *color)
}

/// The last value of each line, one below the other.
pub(super) fn draw(area: &Area<'_>, panel: &Panel, lines: &[Line], ink: RGBColor) -> Result<()> {
    let (width, height) = size(area);
    let shown: Vec<(&str, f64)> = lines.iter().filter_map(|line| Some((line.name.as_str(), last_of(line)?))).collect();
    let share = height / i32::try_from(shown.len()).unwrap_or(1).max(1);
    for ((name, value), at) in shown.iter().zip(0..) {
        let word = panel.words.iter().find(|(of, ..)| of == value).map(|(_, word, _)| word.clone());
        let words = word.unwrap_or_else(|| unit::value(&panel.unit, *value));
        let words = if shown.len() > 1 { format!("{name}  {words}") } else { words };
        let color = if ink == WHITE { ink } else { color(panel, Some(*value)) };
        let font = if shown.len() > 1 { 19 } else { 32 };
        centred(area, &words, (width / 2, at * share + share / 2), font, color)?;
    }
    Ok(())
}

//! Panels over time: lines, lines one upon the other, and the buckets of a histogram.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::DateTime;
use plotters::prelude::*;

use super::{Area, EDGE, FAINT, INK, Line, failed, rectangle, size, text, unit};
use crate::STEP_S;
use crate::panel::Panel;
use crate::prometheus::Span;

/// Width of the numbers beside the chart, and height of the times below it.
const AXES: (u32, u32) = (64, 20);
/// Height of one entry of the legend, and how many there are room for, in two columns.
const ENTRY: i32 = 15;
const ENTRIES: usize = 12;
/// Width of a letter of it, in pixels.
const LETTER: i32 = 5;
/// Before and behind an entry's letters: the colour, and air.
const BESIDE: i32 = 26;
/// Room for the end of the last time below the chart.
const RIGHT: u32 = 26;
/// A line is broken where so many samples are missing.
const MISSING: f64 = 2.5;
/// Lines of the grid.
const TICKS: usize = 5;

/// Told apart by eye, also beside each other.
const COLORS: [RGBColor; 10] = [
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xe6, 0x7e, 0x22),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0x8e, 0x5b, 0xc0),
    RGBColor(0x8c, 0x56, 0x4b),
    RGBColor(0xe3, 0x77, 0xc2),
    RGBColor(0x55, 0x5f, 0x69),
    RGBColor(0xa8, 0xa8, 0x1c),
    RGBColor(0x17, 0xa9, 0xbb),
];

/// Lines.
pub(super) fn lines(area: &Area<'_>, panel: &Panel, lines: &[Line], span: Span) -> Result<()> {
    let values = || lines.iter().flat_map(|line| line.series.points.iter().map(|(_, value)| *value));
    let highest = values().fold(f64::MIN, f64::max);
    // Times of day would all lie at the top of an axis that begins at 0.
    let lowest = if panel.unit == "dateTimeAsIso" { values().fold(f64::MAX, f64::min) } else { 0.0 };
    let chart = legend(area, panel, lines)?;
    let mut chart = framed(&chart, &panel.unit, span, (lowest, highest))?;
    for (line, color) in lines.iter().zip(COLORS.iter().cycle()) {
        for part in parts(&line.series.points) {
            let series = LineSeries::new(part, color.stroke_width(2));
            chart.draw_series(series).map_err(failed)?;
        }
    }
    // Where it becomes red, if that is in sight.
    let limit = panel.steps.iter().filter_map(|(from, _)| *from).find(|limit| *limit <= highest * 1.5);
    if let Some(limit) = limit {
        let line = [(span.from, limit), (span.to, limit)];
        chart.draw_series(LineSeries::new(line, RED.mix(0.6).stroke_width(1))).map_err(failed)?;
    }
    Ok(())
}

/// Lines, one upon the other.
pub(super) fn stack(area: &Area<'_>, panel: &Panel, lines: &[Line], span: Span) -> Result<()> {
    let mut base: BTreeMap<i64, f64> = BTreeMap::new();
    let mut layers = Vec::new();
    for line in lines {
        let mut layer = Vec::new();
        for (at, value) in &line.series.points {
            let sum = base.entry(key(*at)).or_insert(0.0);
            layer.push((*at, *sum, *sum + value));
            *sum += value;
        }
        layers.push(layer);
    }
    let highest = base.values().copied().fold(0.0, f64::max);
    let chart = legend(area, panel, lines)?;
    let mut chart = framed(&chart, &panel.unit, span, (0.0, highest))?;
    for (layer, color) in layers.iter().zip(COLORS.iter().cycle()) {
        let tops: Vec<(f64, f64)> = layer.iter().map(|(at, _, top)| (*at, *top)).collect();
        let bottoms: BTreeMap<i64, f64> = layer.iter().map(|(at, bottom, _)| (key(*at), *bottom)).collect();
        for part in parts(&tops) {
            let back = part.iter().rev().map(|(at, _)| (*at, bottoms.get(&key(*at)).copied().unwrap_or(0.0)));
            let outline: Vec<(f64, f64)> = part.iter().copied().chain(back).collect();
            chart.draw_series([Polygon::new(outline, color.mix(0.65).filled())]).map_err(failed)?;
        }
    }
    Ok(())
}

/// The buckets of a histogram: the darker, the more fell between two bounds.
pub(super) fn heat(area: &Area<'_>, panel: &Panel, lines: &[Line], span: Span) -> Result<()> {
    let mut buckets: Vec<(f64, &Line)> =
        lines.iter().filter_map(|line| Some((line.series.labels.get("le")?.parse().ok()?, line))).collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let count = buckets.len() as f64;
    let bound = |at: &f64| {
        buckets.get(at.round() as usize).map_or_else(String::new, |(bound, _)| {
            if bound.is_finite() { unit::value(&panel.unit, *bound) } else { "more".to_owned() }
        })
    };
    let mut chart = ChartBuilder::on(area)
        .margin_right(RIGHT)
        .x_label_area_size(AXES.1)
        .y_label_area_size(AXES.0)
        .build_cartesian_2d(span.from..span.to, 0.0..count)
        .map_err(failed)?;
    let label = ("sans-serif", 11).into_font().color(&FAINT);
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(EDGE)
        .x_labels(TICKS)
        .y_labels(buckets.len().min(8))
        .x_label_formatter(&|at| clock(*at))
        .y_label_formatter(&bound)
        .label_style(label)
        .draw()
        .map_err(failed)?;
    let (cells, highest) = cells(&buckets);
    for (at, row, value) in cells {
        // The root, so that few are seen beside many.
        let color = RGBColor(0xd9, 0x5f, 0x02).mix((value / highest).sqrt());
        let corners = [(at, row), (at + f64::from(STEP_S), row + 1.0)];
        chart.draw_series([Rectangle::new(corners, color.filled())]).map_err(failed)?;
    }
    Ok(())
}

/// Time, row and content of every cell that holds something, and the greatest content. Buckets hold all below them.
fn cells(buckets: &[(f64, &Line)]) -> (Vec<(f64, f64, f64)>, f64) {
    let mut below: BTreeMap<i64, f64> = BTreeMap::new();
    let (mut cells, mut highest) = (Vec::new(), f64::MIN_POSITIVE);
    for ((_, line), row) in buckets.iter().zip(0..) {
        for (at, value) in &line.series.points {
            let content = value - below.insert(key(*at), *value).unwrap_or(0.0);
            if content > 1e-9 {
                cells.push((*at, f64::from(row), content));
                highest = highest.max(content);
            }
        }
    }
    (cells, highest)
}

type Frame<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn framed<'a, 'b>(area: &'a Area<'b>, of: &str, span: Span, (lowest, highest): (f64, f64)) -> Result<Frame<'a, 'b>> {
    let highest = if highest > lowest { highest + (highest - lowest) * 0.08 } else { lowest + 1.0 };
    let mut chart = ChartBuilder::on(area)
        .margin_right(RIGHT)
        .x_label_area_size(AXES.1)
        .y_label_area_size(AXES.0)
        .build_cartesian_2d(span.from..span.to, lowest..highest)
        .map_err(failed)?;
    let label = ("sans-serif", 11).into_font().color(&FAINT);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(EDGE)
        .axis_style(EDGE)
        .x_labels(TICKS)
        .y_labels(TICKS)
        .x_label_formatter(&|at| clock(*at))
        .y_label_formatter(&|value| unit::value(of, *value))
        .label_style(label)
        .draw()
        .map_err(failed)?;
    Ok(chart)
}

/// Writes the lines' names with their last and greatest values below the chart, and gives what is left of the area: in
/// two columns, or in one where an entry has no room in half the width.
fn legend<'b>(area: &Area<'b>, panel: &Panel, lines: &[Line]) -> Result<Area<'b>> {
    let (width, height) = size(area);
    let entries: Vec<String> = lines.iter().map(|line| entry(&panel.unit, line)).collect();
    let longest = entries.iter().filter_map(|entry| i32::try_from(entry.chars().count()).ok()).max().unwrap_or(0);
    let columns: i32 = if longest * LETTER > width / 2 - BESIDE { 1 } else { 2 };
    let shown = lines.len().min(if columns == 1 { ENTRIES / 2 } else { ENTRIES });
    let count = i32::try_from(shown).unwrap_or(0);
    let rows = (count + columns - 1) / columns + i32::from(lines.len() > shown);
    let (chart, below) = area.split_vertically(height - rows * ENTRY);
    for ((entry, color), at) in entries.iter().zip(COLORS.iter().cycle()).zip(0..count) {
        let (x, y) = (at % columns * width / columns, at / columns * ENTRY);
        rectangle(&below, [(x + 6, y + 4), (x + 16, y + 10)], color.filled())?;
        text(&below, entry, (x + 20, y + 1), 11, INK)?;
    }
    if lines.len() > shown {
        text(&below, &format!("and {} more", lines.len() - shown), (20, (rows - 1) * ENTRY + 1), 11, FAINT)?;
    }
    Ok(chart)
}

/// What the legend says of a line.
fn entry(unit: &str, line: &Line) -> String {
    let values = line.series.points.iter().map(|(_, value)| *value);
    let (last, highest) = (values.clone().next_back().unwrap_or(0.0), values.fold(f64::MIN, f64::max));
    format!("{}  {} (max {})", line.name, unit::value(unit, last), unit::value(unit, highest))
}

/// Samples without a gap between them.
fn parts(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let near = |one: &(f64, f64), other: &(f64, f64)| other.0 - one.0 <= MISSING * f64::from(STEP_S);
    points.chunk_by(near).map(<[_]>::to_vec).collect()
}

/// Samples of one step, whatever the fractions of their times.
fn key(at: f64) -> i64 {
    (at * 1000.0).round() as i64
}

fn clock(at: f64) -> String {
    DateTime::from_timestamp(at as i64, 0).map_or_else(String::new, |at| at.format("%H:%M:%S").to_string())
}

//! Pictures of the boards: what Prometheus answers, laid out as Grafana would, so that a person can look at them.

mod chart;
mod number;
mod unit;

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::panel::{self, Board, Look, Panel};
use crate::prometheus::{Prometheus, Series, Span};

/// Width of one of the 24 columns, and height of one unit of the grid, in pixels.
const CELL: (i32, i32) = (64, 36);
/// Between two panels.
const GAP: i32 = 6;
/// Above the panels: the board's title and what this is.
const HEAD: i32 = 62;
/// Above what a panel shows: its title.
const TITLE: i32 = 26;
const COLUMNS: i32 = 24;

/// What stands below each board's title, so that nobody takes a picture for Grafana's.
pub const LABEL: &str = "rendered by our preview, not Grafana";

const PAGE: RGBColor = RGBColor(0xf4, 0xf5, 0xf5);
const PAPER: RGBColor = WHITE;
const EDGE: RGBColor = RGBColor(0xd8, 0xda, 0xdf);
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2e);
const FAINT: RGBColor = RGBColor(0x6e, 0x76, 0x81);

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// A line of a panel: its name, and the samples, of which there is one at least.
struct Line {
    name: String,
    series: Series,
}

/// Draws a board into `DIR/NAME.svg`.
///
/// # Errors
/// When Prometheus refuses a query, or the file cannot be written.
pub fn board(board: &Board, prometheus: &Prometheus, span: Span, dir: &Path) -> Result<()> {
    let rows = board.panels.iter().map(|panel| panel.place[1] + panel.place[3]).max().unwrap_or(0);
    let size = ((COLUMNS * CELL.0 + GAP).unsigned_abs(), (HEAD + rows * CELL.1 + GAP).unsigned_abs());
    let file = dir.join(format!("{}.svg", board.name));
    let root = SVGBackend::new(&file, size).into_drawing_area();
    root.fill(&PAGE).map_err(failed)?;
    text(&root, &board.title, (GAP + 4, 10), 20, INK)?;
    let about = format!("{}   ({LABEL})", board.about);
    text(&root, &about, (GAP + 4, 38), 13, FAINT)?;
    for panel in &board.panels {
        let [x, y, w, h] = panel.place;
        let (at, size) = ((x * CELL.0 + GAP, HEAD + y * CELL.1), (w * CELL.0 - GAP, h * CELL.1 - GAP));
        let area = root.clone().shrink((at.0, at.1), (size.0.unsigned_abs(), size.1.unsigned_abs()));
        match panel.look {
            Look::Heading => text(&area, &panel.title, (4, 8), 16, INK)?,
            Look::Lines | Look::Stack | Look::Number { .. } | Look::Heat => {
                one(&area, panel, &lines(panel, prometheus, span)?, span)?;
            }
        }
    }
    root.present().map_err(failed)
}

fn one(area: &Area<'_>, panel: &Panel, lines: &[Line], span: Span) -> Result<()> {
    let (width, height) = size(area);
    let background = match panel.look {
        Look::Number { filled: true } => number::color(panel, number::last(lines)),
        Look::Number { filled: false } | Look::Lines | Look::Stack | Look::Heat | Look::Heading => PAPER,
    };
    rectangle(area, [(0, 0), (width - 1, height - 1)], background.filled())?;
    rectangle(area, [(0, 0), (width - 1, height - 1)], EDGE.stroke_width(1))?;
    let ink = if background == PAPER { INK } else { WHITE };
    text(area, &panel.title, (8, 7), 13, ink)?;
    if lines.is_empty() {
        return centred(area, "No data", (width / 2, height / 2), 15, FAINT);
    }
    let (inner, _) = area.margin(TITLE, 4, 6, 6).split_vertically(height - TITLE - 4);
    match panel.look {
        Look::Number { .. } => number::draw(&inner, panel, lines, ink),
        Look::Lines => chart::lines(&inner, panel, lines, span),
        Look::Stack => chart::stack(&inner, panel, lines, span),
        Look::Heat => chart::heat(&inner, panel, lines, span),
        Look::Heading => Ok(()),
    }
}

fn lines(panel: &Panel, prometheus: &Prometheus, span: Span) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (query, form) in &panel.queries {
        for series in prometheus.over(query, span)?.into_iter().filter(|series| !series.points.is_empty()) {
            lines.push(Line { name: panel::named(form, &series.labels), series });
        }
    }
    Ok(lines)
}

fn size(area: &Area<'_>) -> (i32, i32) {
    let (width, height) = area.dim_in_pixel();
    (i32::try_from(width).unwrap_or(i32::MAX), i32::try_from(height).unwrap_or(i32::MAX))
}

fn rectangle(area: &Area<'_>, corners: [(i32, i32); 2], style: ShapeStyle) -> Result<()> {
    area.draw(&Rectangle::new(corners, style)).map_err(failed)
}

fn text(area: &Area<'_>, words: &str, at: (i32, i32), height: i32, color: RGBColor) -> Result<()> {
    let style = ("sans-serif", height).into_font().color(&color);
    area.draw_text(words, &style, at).map_err(failed)
}

fn centred(area: &Area<'_>, words: &str, at: (i32, i32), height: i32, color: RGBColor) -> Result<()> {
    let style = ("sans-serif", height).into_font().color(&color).pos(Pos::new(HPos::Center, VPos::Center));
    area.draw_text(words, &style, at).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

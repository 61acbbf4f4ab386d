//! The boards as Grafana reads them: panels, their queries with the variables put in, and how they are to look.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{STEP_S, path};

/// Grafana's rule for `$__rate_interval`: four scrapes, or a scrape and a step where that is more.
const RATE_INTERVAL_S: u32 = 4 * STEP_S;
/// What a variable stands for while all of its values are chosen.
const ALL: &str = ".+";

/// A board.
#[derive(Clone, Debug)]
pub struct Board {
    /// Name of its file, without the ending.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What it answers.
    pub about: String,
    /// Its panels and headings, in order.
    pub panels: Vec<Panel>,
}

/// What a panel looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// A heading over the width of the board.
    Heading,
    /// Lines over time.
    Lines,
    /// Lines over time, one upon the other.
    Stack,
    /// Numbers; the flag says whether the colour fills the panel.
    Number {
        /// Whether the colour fills the panel.
        filled: bool,
    },
    /// The buckets of a histogram over time.
    Heat,
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its title.
    pub title: String,
    /// What it looks like.
    pub look: Look,
    /// Grafana's name of its unit.
    pub unit: String,
    /// Place and size in the grid of 24 columns: x, y, width, height.
    pub place: [i32; 4],
    /// Query, and the name of its lines.
    pub queries: Vec<(String, String)>,
    /// From which value on which colour counts; the first has no value.
    pub steps: Vec<(Option<f64>, String)>,
    /// Words for values, and their colours.
    pub words: Vec<(f64, String, String)>,
}

/// All boards, by the names of their files.
///
/// # Errors
/// When one is not what is read here.
pub fn boards() -> Result<Vec<Board>> {
    let entries = std::fs::read_dir(path("grafana/dashboards"))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    files.iter().map(|file| board(file).with_context(|| file.display().to_string())).collect()
}

fn board(file: &std::path::Path) -> Result<Board> {
    let board: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let panels = board["panels"].as_array().context("no panels")?;
    let variables: Vec<String> = list(&board["templating"]["list"]).filter_map(|of| text(&of["name"])).collect();
    Ok(Board {
        name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        title: text(&board["title"]).context("no title")?,
        about: text(&board["description"]).unwrap_or_default(),
        panels: panels.iter().map(|of| panel(of, &variables)).collect::<Result<_>>()?,
    })
}

fn panel(of: &Value, variables: &[String]) -> Result<Panel> {
    let title = text(&of["title"]).context("a panel without a title")?;
    let look = match (text(&of["type"]).as_deref(), text(&of["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"]))
    {
        (Some("row"), _) => Look::Heading,
        (Some("timeseries"), Some(mode)) if mode == "normal" => Look::Stack,
        (Some("timeseries"), _) => Look::Lines,
        (Some("stat"), _) => Look::Number { filled: of["options"]["colorMode"] == "background" },
        (Some("heatmap"), _) => Look::Heat,
        (other, _) => anyhow::bail!("{title}: panels of type {other:?} are not drawn"),
    };
    let defaults = &of["fieldConfig"]["defaults"];
    let place = ["x", "y", "w", "h"].map(|side| of["gridPos"][side].as_i64().and_then(|at| i32::try_from(at).ok()));
    let [Some(x), Some(y), Some(w), Some(h)] = place else { anyhow::bail!("{title}: no place") };
    let query = |target: &Value| {
        let query = substituted(&text(&target["expr"])?, variables);
        Some((query, text(&target["legendFormat"]).unwrap_or_default()))
    };
    let step = |step: &Value| (step["value"].as_f64(), text(&step["color"]).unwrap_or_default());
    let word = |(value, of): (&String, &Value)| Some((value.parse().ok()?, text(&of["text"])?, text(&of["color"])?));
    let words = list(&defaults["mappings"]).filter_map(|mapping| mapping["options"].as_object()).flatten();
    Ok(Panel {
        title,
        look,
        unit: text(&defaults["unit"]).unwrap_or_default(),
        place: [x, y, w, h],
        queries: list(&of["targets"]).filter_map(query).collect(),
        steps: list(&defaults["thresholds"]["steps"]).map(step).collect(),
        words: words.filter_map(word).collect(),
    })
}

/// A query as Grafana sends it while all values of all variables are chosen.
fn substituted(query: &str, variables: &[String]) -> String {
    let query = query.replace("$__rate_interval", &format!("{RATE_INTERVAL_S}s"));
    variables.iter().fold(query, |query, variable| query.replace(&format!("${variable}"), ALL))
}

/// The name of a line: its labels put into the form.
pub fn named(form: &str, labels: &BTreeMap<String, String>) -> String {
    labels.iter().fold(form.to_owned(), |name, (label, value)| name.replace(&format!("{{{{{label}}}}}"), value))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_is_read_and_no_variable_is_left() {
        let boards = boards().unwrap();
        assert!(boards.len() >= 5);
        for Board { name, panels, .. } in &boards {
            for panel in panels.iter().filter(|panel| panel.look != Look::Heading) {
                assert!(!panel.queries.is_empty(), "{name}: {}", panel.title);
                assert!(panel.queries.iter().all(|(query, _)| !query.contains('$')), "{name}: {}", panel.title);
            }
        }
    }

    #[test]
    fn a_line_is_named_by_its_labels() {
        let labels = BTreeMap::from([("stage".to_owned(), "payer".to_owned()), ("le".to_owned(), "1".to_owned())]);
        assert_eq!(named("{{stage}} p50", &labels), "payer p50");
        assert_eq!(named("in", &labels), "in");
    }
}

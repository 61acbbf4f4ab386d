//! The boards of Grafana. Each file below is one board, panel by panel; here is what they have in common.
//!
//! Classic dashboard model, schema version 42. `JOB` in a query stands for the matcher of the chosen jobs, `REPLICA`
//! for that and the chosen stages and replicas.

mod money;
mod overview;
mod promotion;
mod stage;
mod streams;

use serde_json::{Value, json};

use crate::Made;

/// Newest version of the classic model.
const SCHEMA_VERSION: u64 = 42;
/// Columns of the grid.
const WIDTH: u64 = 24;

/// All boards, by the name of their file.
pub fn files() -> Vec<Made> {
    let boards = [overview::board(), promotion::board(), stage::board(), streams::board(), money::board()];
    boards.into_iter().map(Board::file).collect()
}

/// A board under construction.
struct Board {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    variables: Vec<Value>,
    panels: Vec<Value>,
    /// Where the next panel goes.
    x: u64,
    y: u64,
    row_height: u64,
}

/// What a panel looks like.
#[derive(Clone, Copy)]
enum Look {
    /// Lines over time.
    Lines,
    /// Lines over time, one upon the other.
    Stack,
    /// One number, red above 0.
    Zero,
    /// One number.
    Number,
    /// The buckets of a histogram over time.
    Heat,
}

/// What a panel shows.
struct Panel {
    look: Look,
    title: &'static str,
    /// What it tells, and what to do about it.
    about: &'static str,
    unit: &'static str,
    width: u64,
    /// Query, and the name of its lines.
    queries: Vec<(&'static str, &'static str)>,
    /// From here on it is red.
    limit: Option<f64>,
    /// Words for values.
    words: &'static [(u64, &'static str, &'static str)],
}

/// A panel of a third of the width; the fields say the rest.
fn panel(look: Look, title: &'static str, about: &'static str, unit: &'static str) -> Panel {
    let width = match look {
        Look::Lines | Look::Stack | Look::Heat => 8,
        Look::Zero | Look::Number => 4,
    };
    Panel { look, title, about, unit, width, queries: Vec::new(), limit: None, words: &[] }
}

impl Panel {
    fn query(mut self, query: &'static str, line: &'static str) -> Self {
        self.queries.push((query, line));
        self
    }

    fn width(mut self, width: u64) -> Self {
        self.width = width;
        self
    }

    fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    fn words(mut self, words: &'static [(u64, &'static str, &'static str)]) -> Self {
        self.words = words;
        self
    }

    fn height(&self) -> u64 {
        match self.look {
            Look::Lines | Look::Stack | Look::Heat => 8,
            Look::Zero | Look::Number => 4,
        }
    }
}

impl Board {
    fn new(name: &'static str, title: &'static str, about: &'static str) -> Self {
        let variables = vec![datasource(), choice("job", "job", "label_values(payout_build_info, job)", true)];
        Self { name, title, about, variables, panels: Vec::new(), x: 0, y: 0, row_height: 0 }
    }

    /// One more variable to choose from.
    fn variable(mut self, name: &str, label: &str, query: &str) -> Self {
        self.variables.push(choice(name, label, query, true));
        self
    }

    /// A heading over what follows.
    fn row(mut self, title: &str) -> Self {
        self.break_line();
        let at = json!({"x": 0, "y": self.y, "w": WIDTH, "h": 1});
        let id = self.panels.len() + 1;
        self.panels
            .push(json!({"id": id, "type": "row", "title": title, "collapsed": false, "gridPos": at, "panels": []}));
        self.y += 1;
        self
    }

    /// One more panel, right of the last one or below.
    fn with(mut self, panel: Panel) -> Self {
        if self.x + panel.width > WIDTH {
            self.break_line();
        }
        let at = json!({"x": self.x, "y": self.y, "w": panel.width, "h": panel.height()});
        self.x += panel.width;
        self.row_height = self.row_height.max(panel.height());
        let id = self.panels.len() + 1;
        self.panels.push(render(&panel, id, &at));
        self
    }

    fn break_line(&mut self) {
        self.y += self.row_height;
        (self.x, self.row_height) = (0, 0);
    }

    fn file(self) -> Made {
        let board = json!({
            "uid": format!("payout-{}", self.name),
            "title": self.title,
            "description": self.about,
            "tags": ["payout"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": false,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "browser",
            "timepicker": {},
            "annotations": {"list": []},
            "links": [{
                "type": "dashboards", "title": "Payout", "tags": ["payout"], "asDropdown": false, "icon": "external link",
                "includeVars": true, "keepTime": true, "targetBlank": false, "tooltip": "", "url": ""
            }],
            "templating": {"list": self.variables},
            "panels": self.panels,
        });
        let text = serde_json::to_string_pretty(&board).unwrap_or_default() + "\n";
        Made { path: format!("grafana/dashboards/{}.json", self.name), text }
    }
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn datasource() -> Value {
    json!({
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0,
        "current": {"text": "Prometheus", "value": "prometheus", "selected": true}, "includeAll": false, "multi": false, "options": [], "refresh": 1, "regex": "", "skipUrlSync": false,
    })
}

fn choice(name: &str, label: &str, query: &str, all: bool) -> Value {
    json!({
        "name": name, "label": label, "type": "query", "datasource": source(), "hide": 0, "multi": true,
        "includeAll": all, "allValue": ".+", "current": {"text": "All", "value": "$__all", "selected": true},
        "query": {"query": query, "refId": "variable"}, "options": [],
        // Read again when the time range changes.
        "refresh": 2, "regex": "", "sort": 1, "skipUrlSync": false,
    })
}

fn render(panel: &Panel, id: usize, at: &Value) -> Value {
    let kind = match panel.look {
        Look::Lines | Look::Stack => "timeseries",
        Look::Zero | Look::Number => "stat",
        Look::Heat => "heatmap",
    };
    json!({
        "id": id, "type": kind, "title": panel.title, "description": panel.about, "datasource": source(), "gridPos": at,
        "fieldConfig": {"defaults": defaults(panel), "overrides": []},
        "options": options(panel),
        "targets": targets(panel),
    })
}

fn targets(panel: &Panel) -> Vec<Value> {
    let ids = ["A", "B", "C", "D", "E", "F"];
    let target = |(id, (query, line)): (&str, &(&str, &str))| {
        let query = query
            .replace("REPLICA", r#"job=~"$job", instance=~"$instance", stage=~"$stage""#)
            .replace("PROCESS", r#"job=~"$job", instance=~"$instance""#)
            .replace("JOB", r#"job=~"$job""#);
        let format = if matches!(panel.look, Look::Heat) { "heatmap" } else { "time_series" };
        json!({
            "refId": id, "datasource": source(), "expr": query, "legendFormat": line, "format": format, "range": true,
            "instant": false, "editorMode": "code",
        })
    };
    ids.into_iter().zip(&panel.queries).map(target).collect()
}

fn defaults(panel: &Panel) -> Value {
    let limit = match panel.look {
        Look::Zero => Some(panel.limit.unwrap_or(0.5)),
        Look::Lines | Look::Stack | Look::Number | Look::Heat => panel.limit,
    };
    let mut steps = vec![json!({"color": "green", "value": null})];
    steps.extend(limit.map(|limit| json!({"color": "red", "value": limit})));
    let mut defaults = json!({
        "unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": if matches!(panel.look, Look::Lines | Look::Stack) { "palette-classic" } else { "thresholds" }},
    });
    if let Look::Lines | Look::Stack = panel.look {
        let stacked = matches!(panel.look, Look::Stack);
        defaults["custom"] = json!({
            "drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": if stacked { 60 } else { 10 },
            "showPoints": "auto", "spanNulls": false, "stacking": {"mode": if stacked { "normal" } else { "none" }, "group": "A"},
            "thresholdsStyle": {"mode": if panel.limit.is_some() { "line" } else { "off" }},
        });
    }
    if !panel.words.is_empty() {
        let of = |(value, text, color): &(u64, &str, &str)| (value.to_string(), json!({"text": text, "color": color}));
        let options: serde_json::Map<String, Value> = panel.words.iter().map(of).collect();
        defaults["mappings"] = json!([{"type": "value", "options": options}]);
    }
    defaults
}

fn options(panel: &Panel) -> Value {
    match panel.look {
        Look::Lines | Look::Stack => json!({
            "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
        Look::Zero | Look::Number => json!({
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
            "colorMode": if matches!(panel.look, Look::Zero) { "background" } else { "value" },
            "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "auto", "wideLayout": true,
        }),
        Look::Heat => json!({
            "calculate": false, "cellGap": 1, "showValue": "never", "legend": {"show": true},
            "color": {"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "scale": "exponential", "exponent": 0.5, "steps": 64},
            "filterValues": {"le": 1e-9}, "rowsFrame": {"layout": "auto"}, "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "tooltip": {"mode": "single", "yHistogram": false, "showColorScale": false},
            "yAxis": {"axisPlacement": "left", "reverse": false, "unit": panel.unit},
        }),
    }
}

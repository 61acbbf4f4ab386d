//! The report on reliability, `docs/reliability.md`: generated, never written by hand.
//!
//! Whoever runs something that belongs in it (chaos, mutants, the model, fuzzing …) saves a [`Section`] under
//! `.run/reliability/`; `cargo xtask reliability` puts what is there in the place of the document's own sections, which
//! stay in `docs/reliability.json`. A section holds nothing but what its run counted, and the command that counts it
//! again.

mod document;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

pub use document::render;

/// Every section, in the order of the document.
pub const SECTIONS: &[&str] = &[
    "chaos",
    "chaos-mutants",
    "crash-points",
    "sigterm",
    "weaker-money",
    "audit",
    "model",
    "model-mutants",
    "fuzz-record",
    "fuzz-csv",
    "fuzz-answer",
    "fuzz-config",
    "fuzz-entry",
];

/// What one run adds to the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// One of [`SECTIONS`], and the name of its file.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// The command that was run.
    pub command: String,
    /// The commit that was checked out, with `+` when files had been changed since.
    pub commit: String,
    /// When it began, UTC.
    pub begun_at: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What it did, a paragraph each.
    pub text: Vec<String>,
    /// What it counted.
    pub tables: Vec<Table>,
    #[serde(skip, default = "Instant::now")]
    begun: Instant,
}

/// Figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// As many cells each as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Section {
    /// A section whose run begins now.
    ///
    /// # Panics
    /// When the name is not one of [`SECTIONS`].
    pub fn begin(name: &str, title: &str, command: &str) -> Self {
        assert!(SECTIONS.contains(&name), "{name} is not a section of the report");
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            command: command.to_owned(),
            commit: servers::commit(),
            begun_at: chrono::Utc::now().format("%Y-%m-%d %H:%M").to_string(),
            seconds: 0.0,
            text: Vec::new(),
            tables: Vec::new(),
            begun: Instant::now(),
        }
    }

    /// Adds a paragraph.
    pub fn say(&mut self, paragraph: impl Into<String>) {
        self.text.push(paragraph.into());
    }

    /// Adds a table.
    pub fn table<const N: usize>(&mut self, title: &str, columns: [&str; N], rows: Vec<[String; N]>) {
        let columns = columns.map(str::to_owned).to_vec();
        let rows = rows.into_iter().map(Vec::from).collect();
        self.tables.push(Table { title: title.to_owned(), columns, rows });
    }

    /// Ends the run and writes `.run/reliability/<name>.json`; tells where.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&mut self) -> Result<PathBuf> {
        self.seconds = self.begun.elapsed().as_secs_f64();
        let path = dir().join(format!("{}.json", self.name));
        fs::create_dir_all(dir()).with_context(|| format!("cannot create {}", dir().display()))?;
        fs::write(&path, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// Where runs leave sections.
pub fn dir() -> PathBuf {
    servers::workspace_dir().join(".run/reliability")
}

/// The sections that the document is made of: they outlive the checkout in which they were counted.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn kept(file: &Path) -> Result<Vec<Section>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no list of sections", file.display()))
}

/// Of sections of one name the one whose run began last, in the order of the document.
pub fn renewed(kept: Vec<Section>, left: Vec<Section>) -> Vec<Section> {
    let mut sections: Vec<Section> = kept.into_iter().chain(left).collect();
    sections.sort_by(|a, b| b.begun_at.cmp(&a.begun_at));
    let latest = |name: &&str| sections.iter().find(|section| section.name == *name).cloned();
    SECTIONS.iter().filter_map(latest).collect()
}

/// The sections in a folder, in the order of the document.
///
/// # Errors
/// A file cannot be read, or is not a section.
pub fn read(dir: &Path) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for name in SECTIONS {
        let path = dir.join(format!("{name}.json"));
        if !path.exists() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        sections.push(serde_json::from_str(&text).with_context(|| format!("{} is not a section", path.display()))?);
    }
    Ok(sections)
}

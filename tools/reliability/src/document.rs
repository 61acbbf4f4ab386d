//! Sections → Markdown.

use crate::{SECTIONS, Section, Table};

const HEAD: &str = "# Reliability\n\n\
    What was run against the claim that nothing is lost and nothing is paid twice, and what it found. This page is made by \
    `cargo xtask reliability` of what the runs left behind; nothing in it is written by hand.\n";

/// The whole document.
pub fn render(sections: &[Section]) -> String {
    let mut text = HEAD.to_owned();
    for section in sections {
        text.push_str(&one(section));
    }
    let missing: Vec<&str> =
        SECTIONS.iter().copied().filter(|name| sections.iter().all(|section| section.name != *name)).collect();
    if !missing.is_empty() {
        text.push_str(&format!("\n## Not run\n\nNo run has left figures for: {}.\n", missing.join(", ")));
    }
    text
}

fn one(section: &Section) -> String {
    let mut text = format!("\n## {}\n\n", section.title);
    text.push_str(&format!(
        "`{}`, commit `{}`, {} UTC, {:.0} s.\n",
        section.command, section.commit, section.begun_at, section.seconds
    ));
    for paragraph in &section.text {
        text.push_str(&format!("\n{paragraph}\n"));
    }
    for table in &section.tables {
        text.push_str(&markdown(table));
    }
    text
}

fn markdown(table: &Table) -> String {
    let line =
        |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" | "));
    let mut text = format!("\n{}\n\n", table.title);
    text.push_str(&line(&table.columns));
    text.push_str(&format!("|{}\n", "---|".repeat(table.columns.len())));
    for row in &table.rows {
        text.push_str(&line(row));
    }
    text
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_made_of_sections_and_says_what_was_not_run() {
        let mut section = Section::begin("chaos", "Chaos", "cargo xtask chaos");
        section.say("A paragraph.");
        section.table("Faults", ["fault", "times"], vec![["a|b".to_owned(), "3".to_owned()]]);
        let text = render(&[section]);
        assert!(text.contains("## Chaos\n\n`cargo xtask chaos`, commit `"), "{text}");
        assert!(text.contains("\nA paragraph.\n\nFaults\n\n| fault | times |\n|---|---|\n| a\\|b | 3 |\n"), "{text}");
        assert!(text.contains("No run has left figures for: chaos-mutants,"), "{text}");
    }

    #[test]
    fn the_document_says_what_its_figures_say() {
        let docs = servers::workspace_dir().join("docs");
        let figures = crate::kept(&docs.join("reliability.json")).unwrap();
        assert!(!figures.is_empty());
        assert_eq!(std::fs::read_to_string(docs.join("reliability.md")).unwrap(), render(&figures));
    }

    #[test]
    fn a_later_run_takes_the_place_of_its_own_section_alone() {
        let begun = |name: &str, begun_at: &str| {
            let mut section = Section::begin(name, name, "x");
            section.begun_at = begun_at.to_owned();
            section
        };
        let kept = vec![begun("fuzz-csv", "2026-11-02 08:00"), begun("chaos", "2026-11-02 08:00")];
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("reliability.json");
        assert!(crate::kept(&file).unwrap().is_empty());
        std::fs::write(&file, serde_json::to_string(&kept).unwrap()).unwrap();
        let left = vec![
            begun("sigterm", "2026-11-01 08:00"),
            begun("fuzz-csv", "2026-11-02 10:00"),
            begun("chaos", "2026-11-01 09:00"),
        ];
        let sections = crate::renewed(crate::kept(&file).unwrap(), left);
        let found: Vec<_> = sections.iter().map(|section| (section.name.as_str(), &section.begun_at[9..])).collect();
        assert_eq!(found, [("chaos", "2 08:00"), ("sigterm", "1 08:00"), ("fuzz-csv", "2 10:00")]);
    }

    #[test]
    fn a_section_that_was_saved_reads_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let section = Section::begin("fuzz-csv", "Fuzzing", "x");
        std::fs::write(dir.path().join("fuzz-csv.json"), serde_json::to_string(&section).unwrap()).unwrap();
        let read = crate::read(dir.path()).unwrap();
        assert_eq!(render(&read), render(&[section]));
    }
}

//! The table in the README, between two markers.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const BEGIN: &str = "<!-- bench: begin -->";
const END: &str = "<!-- bench: end -->";

/// Replaces what stands between the markers of a file.
pub fn replace(path: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    fs::write(path, replaced(&text, table)?).with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(text: &str, table: &str) -> Result<String> {
    let missing = || format!("README.md must hold the lines {BEGIN} and {END}, in this order");
    let (before, rest) = text.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let text = format!("# A\n\n{BEGIN}\nold\n{END}\n\nend\n");
        let new = replaced(&text, "| new |\n").unwrap();
        assert_eq!(new, format!("# A\n\n{BEGIN}\n\n| new |\n\n{END}\n\nend\n"));
        assert_eq!(replaced(&new, "| new |").unwrap(), new, "twice is once");
        assert!(replaced("# A\n", "x").is_err());
        assert!(replaced(&format!("{END} {BEGIN}"), "x").is_err());
    }
}

//! What the demo prints at its end.

use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};

use super::compare::{Books, Sum};
use super::stack::Stack;

/// Targets × results × ledger.
pub(crate) fn table(books: &[Books]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["promotion", "", "targets", "SUCCESS", "FAILED", "open", "ledger paid", "rows that differ"]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for book in books {
        let sums = [book.targets, book.success, book.failed, book.open, book.ledger];
        let name = format!("{} {}", book.promotion_id, book.kind.campaign());
        let mut counts = vec![name, "count".to_owned()];
        counts.extend(sums.iter().map(|sum: &Sum| group(&sum.count.to_string())));
        counts.push(book.difference_count.to_string());
        table.add_row(counts);
        let mut amounts = vec![book.status.clone(), "amount".to_owned()];
        amounts.extend(sums.iter().map(|sum| group(&format!("{:.2}", sum.amount))));
        amounts.push(String::new());
        table.add_row(amounts);
    }
    println!("{table}");
    for text in books.iter().flat_map(|book| &book.differences) {
        println!("  {text}");
    }
}

/// Where everything is that was left running.
pub(crate) fn addresses(stack: &Stack) -> Result<()> {
    println!("\neverything is left running; `cargo xtask down` ends it");
    println!("  database       {}", stack.database_url());
    println!("  redis          {}", stack.redis_url());
    println!("  money sandbox  {}  (/ledger, /ledger/summary, /stats, /admin/faults)", stack.money_url());
    for stage in stack.stages() {
        let address = stage.metrics_addr(Duration::from_secs(5))?;
        println!("  {:<14} http://{address}/metrics  (/livez, /readyz)", stage.name());
    }
    println!("  logs and data  {}", stack.dir().path().display());
    println!("\nto operate it: . '{}' && promoctl promotion list", stack.write_environment()?);
    println!("another payer: PAYOUT_CONSUMER_NAME=payer-4 payer   (until you end it)");
    Ok(())
}

/// Groups the digits before the point by three.
pub(crate) fn group(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, grouped) in [("0", "0"), ("999", "999"), ("1000", "1,000"), ("1234567.80", "1,234,567.80")] {
            assert_eq!(group(number), grouped);
        }
    }
}

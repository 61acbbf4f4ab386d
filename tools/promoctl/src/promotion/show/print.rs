//! `promotion show` for people.

use super::{Issue, Show};
use crate::output::{self, count, money, text, time};

pub(super) fn tables(show: &Show) {
    head(show);
    if let Some(why) = &show.unusable {
        println!("the product cannot work with this promotion: {why}");
        return;
    }
    println!("\nTargets (MySQL)");
    let mut table = output::table(["state", "targets", "amount", "waiting for a person", "oldest"], &[1, 2, 3]);
    for state in &show.states {
        let waiting = count(state.waiting_for_a_person);
        table.add_row([state.state.to_owned(), count(state.targets), money(state.amount), waiting, time(state.oldest)]);
    }
    println!("{table}");
    partitions(show);
    issues("Failures by error code", &show.failures);
    issues("Refusals whose code is not on the list of final ones", &show.refusals_not_final);
    issues("Waiting for a person (promoctl resolve)", &show.waiting);
    waiting(show);
}

fn head(show: &Show) {
    let line = &show.promotion;
    println!(
        "promotion {}  {}  {}  {}",
        line.promotion_id, line.campaign_code, line.promotion_type, line.promotion_status
    );
    println!(
        "  targets {}  amount {}  partitions {}",
        count(line.total_count),
        money(line.total_amount),
        line.partition_count
    );
    println!(
        "  created {} by {}  due {}  started {}  completed {}",
        time(line.created_at),
        text(line.created_by.as_deref()),
        time(line.reservation_at),
        time(line.started_at),
        time(line.completed_at)
    );
    println!(
        "  summary: published {}  paid {}  paid after a retry {}  failed {}",
        count(line.published_count),
        count(line.success_count),
        count(line.retry_success_count),
        count(line.fail_count)
    );
    if line.stopped_at.is_some() {
        println!("  stopped {}: {}", time(line.stopped_at), text(line.stopped_memo.as_deref()));
    }
}

fn partitions(show: &Show) {
    println!("\nPartitions (Redis)");
    if let Some(error) = &show.redis_error {
        println!("  {error}");
        return;
    }
    let header =
        ["partition", "last id", "published", "settled", "backlog", "undelivered", "pending", "parked", "held", "dead"];
    let mut table = output::table(header, &[0, 2, 3, 4, 5, 6, 7, 8, 9]);
    for line in &show.partitions {
        let last = line.last_id.clone().unwrap_or_else(|| "no stream".to_owned());
        let mut cells = vec![line.partition.to_string(), last];
        let figures = [
            line.published,
            line.settled,
            line.backlog,
            line.undelivered,
            line.pending,
            line.parked,
            line.held,
            line.dead,
        ];
        cells.extend(figures.map(count));
        if line.backlog != line.length {
            cells[4] = format!("{} (stream: {})", cells[4], count(line.length));
        }
        table.add_row(cells);
    }
    println!("{table}");
}

fn issues(title: &str, issues: &[Issue]) {
    if issues.is_empty() {
        return;
    }
    println!("\n{title}");
    let mut table =
        output::table(["status", "waits for", "error code", "targets", "amount", "oldest", "for example"], &[3, 4, 6]);
    for issue in issues {
        table.add_row([
            issue.status.to_owned(),
            text(issue.waits_for),
            text(issue.error_code.as_deref()),
            count(issue.targets),
            money(issue.amount),
            time(issue.oldest),
            issue.example_target_id.to_string(),
        ]);
    }
    println!("{table}");
}

fn waiting(show: &Show) {
    if show.waiting_targets.is_empty() {
        return;
    }
    println!("\nThe first of them");
    let header = ["target", "customer", "amount", "waits for", "error code", "attempts", "first sent"];
    let mut table = output::table(header, &[0, 2, 5]);
    for row in &show.waiting_targets {
        table.add_row([
            row.target_id.to_string(),
            row.customer_uid.clone(),
            row.amount.map_or_else(|| "-".to_owned(), money),
            text(row.waits_for),
            text(row.error_code.as_deref()),
            row.attempts.to_string(),
            time(row.first_sent_at),
        ]);
    }
    println!("{table}");
}

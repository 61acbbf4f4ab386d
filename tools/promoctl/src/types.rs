//! `type add` and `type list`: payout types of the shape of POINT.

use anyhow::Result;
use pipeline::domain::{Amount, PayoutType};
use pipeline::store::AddedType;
use serde::Serialize;

use crate::cli::TypeAddArgs;
use crate::consent::Plan;
use crate::ended::{Ended, Refused, refuse};
use crate::output;
use crate::session::Session;

#[derive(Serialize)]
struct Line {
    code: String,
    charge_path: String,
    targets: String,
    results: String,
    built_in: bool,
    created_by: Option<String>,
    #[serde(serialize_with = "output::iso")]
    created_at: Option<chrono::NaiveDateTime>,
}

#[derive(Serialize)]
struct List {
    data: Vec<Line>,
}

/// The types there are.
pub(crate) async fn list(session: &Session) -> Result<Ended> {
    let line = |kind: PayoutType, built_in| Line {
        code: kind.code,
        charge_path: kind.charge_path,
        targets: kind.targets,
        results: kind.results,
        built_in,
        created_by: None,
        created_at: None,
    };
    let mut data: Vec<Line> = PayoutType::built_in().into_iter().map(|kind| line(kind, true)).collect();
    for added in session.store.added_types().await? {
        let kind = PayoutType::like_point(&added.code, &added.charge_path)?;
        data.push(Line { created_by: added.created_by, created_at: Some(added.created_at), ..line(kind, false) });
    }
    let list = List { data };
    session.print(&list, || {
        let mut table = output::table(["type", "charge path", "targets", "results", "added"], &[]);
        for line in &list.data {
            let added = if line.built_in { "built in".to_owned() } else { output::time(line.created_at) };
            table.add_row([&line.code, &line.charge_path, &line.targets, &line.results, &added]);
        }
        println!("{table}");
    })
}

/// Adds a type. Repeating it after a crash finishes it.
pub(crate) async fn add(session: &Session, args: &TypeAddArgs) -> Result<Ended> {
    let kind = PayoutType::like_point(&args.code, &args.charge_path).map_err(|error| Refused(error.to_string()))?;
    if PayoutType::built_in().iter().any(|known| known.code == kind.code) {
        return refuse(format!("{} is built in", kind.code));
    }
    let mut act = session.act("type add", &args.reason)?;
    act.filter = Some(format!("{} {}", kind.code, kind.charge_path));
    let mut plan = Plan {
        action: act.action,
        what: format!("add the payout type {} with the tables {} and {}", kind.code, kind.targets, kind.results),
        promotion_id: None,
        target_id: None,
        targets: 0,
        amount: Amount::ZERO,
        from: None,
        to: None,
        dry_run: false,
    };
    if !plan.consented(session, &args.consent)? {
        return Ok(Ended::Done);
    }
    match session.store.add_type(&kind, &act).await? {
        AddedType::Yes => plan.done(session),
        AddedType::Exists(path) => refuse(format!("{} is there already, with the charge path {path}", kind.code)),
    }
}

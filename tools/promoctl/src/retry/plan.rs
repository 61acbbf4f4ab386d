//! `retry plan`: what would be tried again, and what not.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use pipeline::charging;
use pipeline::domain::decide::Rules;
use pipeline::domain::requeue::{KeyTaken, LeftOut, Standing};
use pipeline::domain::{Amount, PlanId, Promotion, TargetId};
use pipeline::store::{Listed, Open, Planned, PlannedNow, TargetFilter};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::selection::Selection;
use crate::ended::Ended;
use crate::session::Session;

/// Targets of a page: some 2 MB.
const PAGE: u32 = 5_000;
/// Groups of what is left out. Codes come from money, so their number is not ours.
const MAX_GROUPS: usize = 200;
/// The code of what has no group of its own any more.
pub(super) const OTHERS: &str = "(others)";
/// Changed targets that are named.
const NAMED: usize = 20;

#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    selection: Selection,
}

/// Targets that a plan leaves out for the same reason.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct LeftOutGroup {
    pub(crate) reason: String,
    pub(crate) error_code: Option<String>,
    pub(crate) targets: u64,
    pub(crate) amount: String,
}

/// Makes a plan and shows it.
pub(crate) async fn run(session: &Session, args: &PlanArgs) -> Result<Ended> {
    let promotion = session.promotion(args.selection.promotion).await?;
    let plan = make(session, &promotion, &args.selection.filter(session, None)?).await?;
    super::show::print(session, plan).await
}

/// What a filter comes to.
pub(crate) struct Found {
    /// Targets that can be tried again.
    pub(crate) targets: u64,
    /// Their money.
    pub(crate) amount: Amount,
    /// Over them, and how they stand.
    pub(crate) hash: String,
    /// Whether any of them takes a later key.
    pub(crate) later_keys: bool,
    left_out: Groups,
}

/// Stores a plan.
pub(crate) async fn make(session: &Session, promotion: &Promotion, filter: &TargetFilter) -> Result<PlanId> {
    let store = &session.store;
    let plan = store.draft_plan(promotion.id, &filter.to_string(), &session.actor).await?;
    let found = look_through(session, promotion, filter, Some(plan)).await?;
    let left_out = found.left_out.json()?;
    store.ready_plan(plan, (found.targets, found.amount), &found.hash, &left_out).await?;
    Ok(plan)
}

/// In pages, each read as it stands then: what changes behind a page is found when the plan is applied. Without a draft to
/// store them in, nothing is written.
pub(crate) async fn look_through(
    session: &Session,
    promotion: &Promotion,
    filter: &TargetFilter,
    draft: Option<PlanId>,
) -> Result<Found> {
    let rules = charging::rules(&session.config);
    let mut hash = PlanHash::new(promotion);
    let (mut targets, mut amount, mut later_keys) = (0, Amount::ZERO, false);
    let mut left_out = Groups::default();
    let mut after = TargetId(0);
    loop {
        let page = session.store.listed(promotion, filter, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.target;
        let mut planned = Vec::with_capacity(page.len());
        for row in &page {
            match (plan_of(&rules, row, session), row.amount) {
                (Ok(takes), Some(money)) => planned.push(Planned {
                    target: row.target,
                    generation: row.generation,
                    requeues: row.requeues,
                    takes,
                    code: row.code.clone(),
                    amount: money,
                }),
                (Ok(_), None) => left_out.add(LeftOut::CannotBePaid, row),
                (Err(why), _) => left_out.add(why, row),
            }
        }
        for target in &planned {
            hash.add(target);
            targets += 1;
            amount = amount + target.amount;
            later_keys |= target.takes == KeyTaken::Next;
        }
        if let Some(draft) = draft.filter(|_| !planned.is_empty()) {
            session.store.add_planned(draft, &planned).await?;
        }
        if page.len() < PAGE as usize {
            break;
        }
    }
    Ok(Found { targets, amount, hash: hash.finish(), later_keys, left_out })
}

fn plan_of(rules: &Rules, row: &Listed, session: &Session) -> Result<KeyTaken, LeftOut> {
    let standing = Standing {
        status: row.status,
        waits: row.waits,
        code: row.code.as_deref(),
        has_amount: row.amount.is_some(),
        may_have_executed: row.may_have_executed,
        first_sent_at: row.first_sent_at,
    };
    rules.plan(&standing, session.store.now())
}

/// What is left out, by reason and code.
#[derive(Default)]
struct Groups(BTreeMap<(LeftOut, Option<String>), (u64, Amount)>);

impl Groups {
    fn add(&mut self, why: LeftOut, row: &Listed) {
        let mut key = (why, row.code.clone());
        if self.0.len() >= MAX_GROUPS && !self.0.contains_key(&key) {
            key.1 = Some(OTHERS.to_owned());
        }
        let group = self.0.entry(key).or_insert((0, Amount::ZERO));
        group.0 += 1;
        group.1 = group.1 + row.amount.unwrap_or(Amount::ZERO);
    }

    fn json(self) -> Result<String> {
        let group = |((why, error_code), (targets, amount)): ((LeftOut, Option<String>), (u64, Amount))| LeftOutGroup {
            reason: why.code().to_owned(),
            error_code,
            targets,
            amount: amount.to_string(),
        };
        Ok(serde_json::to_string(&self.0.into_iter().map(group).collect::<Vec<_>>())?)
    }
}

/// SHA-256 over exactly what would be done: each target, how it stands, the key it takes, its money.
struct PlanHash(Sha256);

impl PlanHash {
    fn new(promotion: &Promotion) -> Self {
        let mut hash = Sha256::new();
        hash.update(format!("retry plan 1 {} {}\n", promotion.id, promotion.kind.code));
        Self(hash)
    }

    fn add(&mut self, planned: &Planned) {
        let Planned { target, generation, requeues, takes, code, amount } = planned;
        let code = code.as_deref().unwrap_or_default();
        self.0.update(format!("{target} {generation} {requeues} {} {amount} {code}\n", takes.code()));
    }

    fn add_changed(&mut self, target: TargetId) {
        self.0.update(format!("{target} changed\n"));
    }

    fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// How a plan's targets stand now.
pub(crate) struct Standings {
    /// The hash over them.
    pub(crate) hash: String,
    /// How many stand otherwise than planned.
    pub(crate) changed: u64,
    /// Some of those.
    pub(crate) named: Vec<TargetId>,
}

/// Looks at every target of a plan again.
pub(crate) async fn standings(session: &Session, plan: PlanId, promotion: &Promotion) -> Result<Standings> {
    let mut hash = PlanHash::new(promotion);
    let (mut changed, mut named) = (0, Vec::new());
    let mut after = TargetId(0);
    loop {
        let page: Vec<PlannedNow> = session.store.planned(plan, promotion, after, PAGE, Open::All).await?;
        let Some(last) = page.last() else { break };
        after = last.planned.target;
        for now in &page {
            if now.unchanged {
                hash.add(&now.planned);
                continue;
            }
            hash.add_changed(now.planned.target);
            changed += 1;
            if named.len() < NAMED {
                named.push(now.planned.target);
            }
        }
    }
    Ok(Standings { hash: hash.finish(), changed, named })
}

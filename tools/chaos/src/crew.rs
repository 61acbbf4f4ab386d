//! The processes of one iteration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use acceptance::get;
use anyhow::{Context, Result};
use servers::{Launch, Process};

use crate::fault::Fault;
use crate::hazard::{Hazard, Hazards, sum};
use crate::lane::Lane;
use crate::plan::{Armed, Plan};

/// A process has ended this long after SIGTERM: its grace (1 s, see `lane::SETTINGS`), and what a busy machine adds.
const END_BOUND: Duration = Duration::from_secs(8);
/// A process that was just started may not listen yet: then it has counted nothing either.
const LISTENS_BOUND: Duration = Duration::from_millis(20);
/// What a stage writes before it dies at a crash point.
pub(crate) const DIED_HERE: &str = "crash point ";
/// What a process logs that ends because its consumer name is somebody else's.
const NAME_TAKEN: &str = "another process has taken this consumer name";
const LAST_LINES: usize = 5;

/// The processes, by name.
pub struct Crew<'l> {
    lane: &'l Lane,
    dir: PathBuf,
    settings: Vec<(String, String)>,
    /// The place at which every process of one stage dies once.
    armed: Option<Armed>,
    /// Whether Redis loses its last writes. Then a name may be a predecessor's again, and who has it must end.
    redis_forgets: bool,
    members: BTreeMap<String, Member>,
    /// What their metrics told at the end of their lives.
    pub hazards: Hazards,
    /// What no process may do.
    pub breaches: Vec<String>,
}

struct Member {
    stage: String,
    process: Option<Process>,
    is_frozen: bool,
    /// How often it was given a new consumer name.
    renames: u32,
    has_died: bool,
}

impl Member {
    fn of(stage: &str) -> Self {
        Self { stage: stage.to_owned(), process: None, is_frozen: false, renames: 0, has_died: false }
    }
}

impl<'l> Crew<'l> {
    /// Nobody yet.
    pub fn new(lane: &'l Lane, plan: &Plan, money_token: &str, dir: PathBuf) -> Self {
        let mut settings = vec![
            ("MONEY_TOKEN".to_owned(), money_token.to_owned()),
            ("PAYOUT_MONEY_LOOKUP".to_owned(), plan.deployment.lookup.to_string()),
            ("PAYOUT_MONEY_CANCEL".to_owned(), plan.deployment.cancel.to_string()),
            ("PAYOUT_MONEY_MAX_RPS".to_owned(), plan.max_rps.to_string()),
            ("PAYOUT_RETRY_MAX_ATTEMPTS".to_owned(), plan.max_attempts.to_string()),
            ("PAYOUT_DISPATCHER_WINDOW".to_owned(), plan.window.to_string()),
        ];
        settings.sort();
        let armed = plan.armed.clone();
        let forgets = |fault: &Fault| matches!(fault, Fault::CutRedis { .. } | Fault::TurnBackRedis { .. });
        let redis_forgets = plan.events.iter().any(|event| forgets(&event.fault));
        let (members, hazards, breaches) = (BTreeMap::new(), Hazards::default(), Vec::new());
        Self { lane, dir, settings, armed, redis_forgets, members, hazards, breaches }
    }

    /// How a process of the product is started here.
    ///
    /// # Errors
    /// The program is not there.
    pub fn launch(&self, program: &str, name: &str) -> Result<Launch> {
        Ok(self.lane.launch(program, name, &self.dir)?.envs(self.settings.clone()))
    }

    /// Starts everybody; who is armed dies at that place.
    ///
    /// # Errors
    /// A process does not start.
    pub fn start_all(&mut self, plan: &Plan) -> Result<()> {
        for (stage, name) in plan.crew() {
            self.members.insert(name.clone(), Member::of(stage));
            self.start(&name)?;
        }
        Ok(())
    }

    /// One process more of a stage.
    ///
    /// # Errors
    /// It does not start.
    pub fn add(&mut self, stage: &str) -> Result<()> {
        let count = self.members.values().filter(|member| member.stage == stage).count();
        let name = format!("{stage}-{}", count + 1);
        self.members.insert(name.clone(), Member::of(stage));
        self.start(&name)
    }

    /// Starts a member that is down; nothing when it runs. Whoever is armed dies at that place, and once.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&mut self, name: &str) -> Result<()> {
        let member = self.members.get(name).with_context(|| format!("there is no {name}"))?;
        if member.process.is_some() {
            return Ok(());
        }
        let consumer = match member.renames {
            0 => name.to_owned(),
            renames => format!("{name}.{renames}"),
        };
        let mut launch = self.launch(&member.stage, name)?.env("PAYOUT_CONSUMER_NAME", consumer);
        let armed = self.armed.as_ref().filter(|armed| armed.stage == member.stage && !member.has_died);
        if let Some(armed) = armed {
            launch = launch.env("PAYOUT_CRASH_POINT", format!("{}:{}", armed.point, armed.pass));
        }
        let process = launch.start()?;
        if let Some(member) = self.members.get_mut(name) {
            (member.process, member.is_frozen) = (Some(process), false);
        }
        Ok(())
    }

    /// SIGKILL; it stays down until it is started. `false` when it was down.
    ///
    /// # Errors
    /// It survives.
    pub fn kill(&mut self, name: &str) -> Result<bool> {
        self.scrape(name);
        let Some(process) = self.take(name) else { return Ok(false) };
        process.kill9()?;
        Ok(true)
    }

    /// From its next start on under another consumer name.
    pub fn rename(&mut self, name: &str) {
        if let Some(member) = self.members.get_mut(name) {
            member.renames += 1;
        }
    }

    /// The consumer name of a member.
    pub fn consumer(&self, name: &str) -> String {
        match self.members.get(name).map_or(0, |member| member.renames) {
            0 => name.to_owned(),
            renames => format!("{name}.{renames}"),
        }
    }

    /// SIGTERM to these, all at once; each must have ended in time. Whoever is down or frozen is passed over. Gives
    /// how many ended.
    ///
    /// # Errors
    /// A signal cannot be sent.
    pub fn end(&mut self, names: &[String]) -> Result<usize> {
        let mut ending = Vec::new();
        for name in names {
            if self.members.get(name).is_none_or(|member| member.is_frozen) {
                continue;
            }
            let in_flight = self.scrape(name).map_or(0, |page| sum(&page, "payout_stage_items_in_flight", ""));
            let Some(process) = self.take(name) else { continue };
            // It may have died at its crash point a moment ago.
            if process.sigterm().is_ok() {
                ending.push((process, in_flight));
            }
        }
        let count = ending.len();
        for (process, in_flight) in ending {
            match process.wait(END_BOUND) {
                Some(status) if status.success() && in_flight > 0 => self.hazards.met(Hazard::DrainedWithWork, 1),
                // What it could not finish while its servers were away it leaves to others, and ends with 1.
                Some(status) if status.success() || status.code() == Some(1) => {}
                // It died at its crash point meanwhile.
                Some(_) if last_words(&process.log()).contains(DIED_HERE) => {}
                Some(status) => self.breaches.push(process.trouble(&format!("ended with {status} at SIGTERM"))),
                None => self.breaches.push(process.trouble(&format!("did not end within {END_BOUND:?} of SIGTERM"))),
            }
        }
        Ok(count)
    }

    /// SIGSTOP. `false` when it is down or frozen already.
    ///
    /// # Errors
    /// It does not stop.
    pub fn freeze(&mut self, name: &str) -> Result<bool> {
        let Some(member) = self.members.get_mut(name).filter(|member| !member.is_frozen) else { return Ok(false) };
        let Some(process) = member.process.as_ref().filter(|process| process.is_running()) else { return Ok(false) };
        process.sigstop()?;
        member.is_frozen = true;
        Ok(true)
    }

    /// SIGCONT. `false` when it is not the process that was frozen.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn thaw(&mut self, name: &str) -> Result<bool> {
        let Some(member) = self.members.get_mut(name).filter(|member| member.is_frozen) else { return Ok(false) };
        member.is_frozen = false;
        if let Some(process) = &member.process {
            process.sigcont()?;
        }
        Ok(true)
    }

    /// Names of all members.
    pub fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// Starts whoever died at a crash point again, or lost its name with the last writes of Redis. Nobody may end for
    /// another reason.
    ///
    /// # Errors
    /// A process does not start.
    pub fn tend(&mut self) -> Result<()> {
        for name in self.names() {
            let Some(process) = self.members.get(&name).and_then(|member| member.process.as_ref()) else { continue };
            if process.is_running() {
                continue;
            }
            let words = last_words(&process.log());
            let died_here = words.contains(DIED_HERE);
            let lost_its_name = self.redis_forgets && words.contains(NAME_TAKEN);
            if !died_here && !lost_its_name {
                self.breaches.push(process.trouble("ended by itself"));
            }
            self.take(&name);
            if let Some(member) = self.members.get_mut(&name) {
                member.has_died |= died_here;
            }
            self.start(&name)?;
        }
        Ok(())
    }

    /// Thaws and starts everybody.
    ///
    /// # Errors
    /// A process does not start.
    pub fn heal(&mut self) -> Result<()> {
        for name in self.names() {
            self.thaw(&name)?;
            self.start(&name)?;
        }
        self.tend()
    }

    /// Adds what everybody's metrics tell, at the end.
    pub fn scrape_all(&mut self) {
        for name in self.names() {
            self.scrape(&name);
        }
    }

    /// Reads the metrics page of a process whose life is about to end, and keeps what it counted.
    fn scrape(&mut self, name: &str) -> Option<String> {
        let member = self.members.get(name).filter(|member| !member.is_frozen)?;
        let address = member.process.as_ref()?.metrics_addr(LISTENS_BOUND).ok()?;
        let page = get(&format!("http://{address}/metrics")).ok()?.body;
        self.hazards.of_metrics(&page);
        Some(page)
    }

    fn take(&mut self, name: &str) -> Option<Process> {
        let member = self.members.get_mut(name)?;
        member.is_frozen = false;
        member.process.take()
    }
}

/// The last lines that a process wrote: its threads write on until the signal takes them.
fn last_words(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(LAST_LINES).collect();
    lines.join("\n")
}

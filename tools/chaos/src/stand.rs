//! Everything of one iteration: its servers, its processes, its promotion.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use acceptance::{Books, Cache, Campaign, Money, Plan as Written, Row, Sql};
use anyhow::{Context, Result, bail};
use servers::{Finished, Redis, RedisOptions};

use crate::crew::Crew;
use crate::fault::{Server, Toxic};
use crate::lane::Lane;
use crate::plan::{Load, Plan};

const COMMAND_BOUND: Duration = Duration::from_secs(60);
/// Starts of a loader before it must be through: each may die at its crash point once.
const LOADS: u32 = 4;
const CUSTOMERS: u32 = 7_000_000;

/// Where an iteration takes place.
pub struct Stand<'l> {
    pub(crate) lane: &'l Lane,
    pub(crate) plan: &'l Plan,
    pub(crate) dir: PathBuf,
    pub(crate) redis: Redis,
    /// The judge's way to Redis: straight.
    pub(crate) cache: Cache,
    pub(crate) money: Money,
    pub(crate) crew: Crew<'l>,
    /// Nothing before it is loaded.
    pub(crate) campaign: Option<Campaign>,
    /// What each frozen process held when it was frozen, by name.
    pub(crate) held: Vec<(String, Vec<(u32, String)>)>,
    /// When the money service last stopped to misbehave.
    pub(crate) calm_since: Instant,
    /// Rows that a person had to close.
    pub(crate) resolved: u64,
}

impl<'l> Stand<'l> {
    /// Fresh servers, an empty database, no promotion and no process yet.
    ///
    /// # Errors
    /// A server does not start.
    pub fn build(lane: &'l Lane, plan: &'l Plan) -> Result<Self> {
        let dir = lane.fresh_dir()?;
        for server in [Server::Redis, Server::MySql, Server::Money] {
            lane.way(server).set(Toxic::None);
        }
        lane.empty_tables();
        let redis = Redis::start(RedisOptions::default())?;
        lane.way(Server::Redis).aim(redis.port());
        let mut flags = vec!["--seed".to_owned(), (plan.seed ^ plan.iteration).to_string()];
        flags.extend(["--threads".to_owned(), "1".to_owned()]);
        if !plan.deployment.lookup {
            flags.push("--no-lookup".to_owned());
        }
        if !plan.deployment.cancel {
            flags.push("--no-cancel".to_owned());
        }
        let money = Money::start(&dir, &flags);
        money.faults(plan.weather.faults());
        lane.way(Server::Money).aim(port(&money.url())?);
        let crew = Crew::new(lane, plan, money.token(), dir.clone());
        let cache = Cache::open(&redis.url());
        let (held, calm_since) = (Vec::new(), Instant::now());
        Ok(Self { lane, plan, dir, redis, cache, money, crew, campaign: None, held, calm_since, resolved: 0 })
    }

    /// The database, as the judge sees it.
    pub fn sql(&self) -> &Sql {
        &self.lane.sql
    }

    /// The money service.
    pub fn money(&self) -> &Money {
        &self.money
    }

    /// Brings the promotion into the database.
    ///
    /// # Errors
    /// The loader does not get through.
    pub fn load(&mut self) -> Result<()> {
        let code = self.plan.code();
        let campaign = match self.plan.load {
            Load::Sql => {
                let written = match self.plan.kind() {
                    acceptance::Kind::Point => Written::points(&code, self.plan.targets),
                    acceptance::Kind::Voucher => Written::vouchers(&code, self.plan.targets),
                };
                written.partitions(self.plan.partitions).write(&self.lane.sql)
            }
            Load::File | Load::FileTwice => {
                fs::write(self.dir.join("targets.csv"), self.csv())?;
                self.load_file()?;
                Campaign::find(&self.lane.sql, &code)
            }
        };
        self.campaign = Some(campaign);
        Ok(())
    }

    /// Runs the loader until it is through, also after it died at its crash point.
    fn load_file(&self) -> Result<()> {
        let twin = match self.plan.load {
            Load::FileTwice => Some(self.loader()?.start()?),
            Load::Sql | Load::File => None,
        };
        let mut armed = self.plan.armed.as_ref().filter(|armed| armed.stage == "loader");
        let mut last = None;
        for _ in 0..LOADS {
            let mut loader = self.loader()?;
            if let Some(armed) = armed.take() {
                loader = loader.env("PAYOUT_CRASH_POINT", format!("{}:{}", armed.point, armed.pass));
            }
            let finished = loader.run(COMMAND_BOUND)?;
            let mut log = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("loader-run.log"))?;
            log.write_all(finished.stderr.as_bytes())?;
            if finished.status.success() {
                return match twin.map(|twin| twin.wait(COMMAND_BOUND)) {
                    Some(None) => bail!("a second loader of the same file does not end"),
                    Some(Some(_)) | None => Ok(()),
                };
            }
            last = Some(finished);
        }
        bail!("the loader does not get through: {}", last.map(|finished| finished.stderr).unwrap_or_default())
    }

    /// The loader of the iteration's file.
    pub(crate) fn loader(&self) -> Result<servers::Launch> {
        let (kind, code, partitions) = (self.plan.kind().code(), self.plan.code(), self.plan.partitions.to_string());
        let launch = self.crew.launch("loader", "loader")?;
        let options = ["--type", kind, "--campaign-code", &code, "--partitions", &partitions, "--yes", "-o", "json"];
        let defaults = ["--default-amount", "5000", "--default-reason", "a gift"];
        let expiry = ["--default-expiry-at", "2030-12-31 00:00:00", "targets.csv"];
        Ok(launch.args(options).args(defaults).args(expiry))
    }

    fn csv(&self) -> String {
        let vouchers = self.plan.vouchers;
        let mut text = "customer_uid,merchant_code,amount".to_owned();
        text.push_str(if vouchers { ",voucher_number\n" } else { "\n" });
        for number in 1..=self.plan.targets {
            let amount = if number.is_multiple_of(10) { String::new() } else { format!("{}.25", 100 + number % 50) };
            text.push_str(&format!("{},M01,{amount}", CUSTOMERS + number));
            text.push_str(&if vouchers { format!(",V{number:06}\n") } else { "\n".to_owned() });
        }
        text
    }

    /// The promotion.
    ///
    /// # Errors
    /// It was not loaded.
    pub fn campaign(&self) -> Result<&Campaign> {
        self.campaign.as_ref().context("no promotion was loaded")
    }

    /// Ledger and rows, read now.
    ///
    /// # Errors
    /// It was not loaded.
    pub fn books(&self) -> Result<Books<'_>> {
        let campaign = self.campaign()?;
        Ok(Books::read(self.money.ledger(&campaign.code), &self.lane.sql, &self.cache, campaign))
    }

    /// The promotion's status, while the database answers.
    pub fn status(&self) -> Option<String> {
        let id = self.campaign.as_ref()?.id;
        let sql = format!("SELECT CAST(promotion_status AS CHAR) FROM campaign_promotions WHERE promotion_id = {id}");
        self.lane.sql.try_rows::<(String,)>(&sql).ok()?.pop().map(|(status,)| status)
    }

    /// Runs the operators' command line.
    ///
    /// # Errors
    /// It does not start, or does not end.
    pub fn promoctl(&self, args: &[&str]) -> Result<Finished> {
        self.lane.operator(&self.redis.url(), &self.dir)?.args(args).run(COMMAND_BOUND)
    }

    /// Stops or resumes the promotion; `false` when that is refused or fails.
    ///
    /// # Errors
    /// As [`Self::promoctl`].
    pub fn change(&self, verb: &str) -> Result<bool> {
        let id = self.campaign()?.id.to_string();
        let finished = self.promoctl(&["promotion", verb, &id, "--reason", "chaos", "--yes"])?;
        Ok(finished.status.success())
    }

    /// Closes what waits for a person as the ledger says; gives how many rows.
    ///
    /// # Errors
    /// As [`Self::promoctl`].
    pub fn resolve_waiting(&mut self) -> Result<u64> {
        let campaign = self.campaign()?.clone();
        let books = self.books()?;
        let waiting: Vec<(i64, Option<String>)> = books
            .rows
            .iter()
            .filter(|row| row.waits_for.is_some())
            .map(|row| (row.id, paid_as(&books, &campaign, row)))
            .collect();
        drop(books);
        let mut closed = 0;
        for (target, key) in waiting {
            let (target, promotion) = (target.to_string(), campaign.id.to_string());
            let mut args = vec!["resolve", &target, "--promotion", &promotion, "--reason", "chaos", "--yes"];
            match &key {
                Some(key) => args.extend(["--paid", key]),
                None => args.push("--not-paid"),
            }
            // Refused when the row has moved on meanwhile.
            closed += u64::from(self.promoctl(&args)?.status.success());
        }
        self.resolved += closed;
        Ok(closed)
    }
}

/// Under which key of `money` a row was paid, if it was.
fn paid_as(books: &Books<'_>, campaign: &Campaign, row: &Row) -> Option<String> {
    let key = campaign.key(row.customer, i64::from(row.generation.unwrap_or(1)));
    books.ledger.paid(&key).first().map(|payment| payment.money_key.clone())
}

/// The port in a URL.
fn port(url: &str) -> Result<u16> {
    url.rsplit(':').next().and_then(|port| port.parse().ok()).with_context(|| format!("no port in {url}"))
}

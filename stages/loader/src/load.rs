//! Loading: creates the promotion or goes on with it, stores batch after batch, seals.
//!
//! Every step may be repeated. The promotion is found by its campaign code; a batch is stored only where the load
//! stands at its beginning; the seal is set once. So it does not matter whether this is the first process to load
//! the file, or the second at the same time, or whether the database lost an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use pipeline::domain::PromotionId;
use pipeline::health::Health;
use pipeline::metrics::{self, Completed, ErrorClass};
use pipeline::store::{Created, Load, LoadBatch, LoadFile, LoadProgress, NewLoad, Sealed, Store, StoreError, Stored};
use tokio::sync::mpsc;

use crate::batches::Batches;
use crate::csv::source::Source;
use crate::ending::Ending;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::survey::Survey;

/// Batches between reading and storing. One is on its way while the next is made; more would only be memory.
const READ_AHEAD: usize = 2;
/// First pause before a database that is away is asked again; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A file on its way into its promotion.
pub struct Loading<'a> {
    /// The tables.
    pub store: &'a Store,
    /// What was ordered.
    pub plan: Arc<Plan>,
    /// The file.
    pub source: Arc<Source>,
    /// What the first pass found.
    pub survey: Arc<Survey>,
    /// The file as the load remembers it.
    pub file: LoadFile,
    /// Told that it goes on.
    pub health: Health,
}

/// How a load ended well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The promotion.
    pub promotion: PromotionId,
    /// What stands there.
    pub progress: LoadProgress,
    /// Whether another process sealed it.
    pub already_loaded: bool,
}

/// What became of one batch.
enum Step {
    Stands,
    /// Another loader of the same file has sealed the promotion.
    Sealed(LoadProgress),
}

impl Loading<'_> {
    /// The load of this campaign, where there is one.
    ///
    /// # Errors
    /// [`Refusal::OtherLoad`] when it is another one.
    pub async fn existing(&self) -> Result<Option<Load>, Ending> {
        let code = &self.plan.campaign_code;
        let Some(load) = patiently(|| self.store.find_load(code)).await? else { return Ok(None) };
        match self.plan.differs_from(&load, &self.file) {
            None => Ok(Some(load)),
            Some(differs) => Err(Refusal::OtherLoad {
                campaign: code.clone(),
                promotion: load.promotion.0,
                status: load.status,
                differs,
            }
            .into()),
        }
    }

    /// Loads the file to its end.
    ///
    /// # Errors
    /// [`Ending`]. The promotion then stays LOADING, and the same command goes on.
    pub async fn run(&self, existing: Option<Load>) -> Result<Loaded, Ending> {
        let (promotion, begin) = match existing {
            Some(load) => (load.promotion, load.progress),
            None => self.create().await?,
        };
        if begin.byte_offset > 0 {
            tracing::info!(promotion = %promotion, loaded = begin.loaded, line = begin.line_number, "going on where the load stopped");
        }
        let (sender, batches) = mpsc::channel(READ_AHEAD);
        let (source, survey, plan) = (self.source.clone(), self.survey.clone(), self.plan.clone());
        let store = self.store.clone();
        let reading = Batches { store, source, survey, plan, promotion, begin, sender };
        let reading = tokio::task::spawn_blocking(move || reading.read());
        let sealed = self.store_all(promotion, begin, batches).await?;
        reading.await.context("the thread that reads the file ended")??;
        match sealed {
            Some(progress) => Ok(Loaded { promotion, progress, already_loaded: true }),
            None => self.seal(promotion).await,
        }
    }

    async fn create(&self) -> Result<(PromotionId, LoadProgress), Ending> {
        let Plan { campaign_code, settings, created_by, .. } = &*self.plan;
        let new = NewLoad { campaign_code, settings, file: &self.file, created_by };
        match patiently(|| self.store.create_load(new)).await? {
            Created::Yes(promotion) => Ok((promotion, LoadProgress::default())),
            // By another loader, or by us in a commit whose answer was lost.
            Created::Taken => {
                let load =
                    self.existing().await?.ok_or_else(|| anyhow!("the promotion was removed while it was loaded"))?;
                Ok((load.promotion, load.progress))
            }
        }
    }

    /// Stores all batches. The figures of the promotion, when somebody else has sealed it meanwhile.
    async fn store_all(
        &self,
        promotion: PromotionId,
        begin: LoadProgress,
        mut batches: mpsc::Receiver<LoadBatch>,
    ) -> Result<Option<LoadProgress>, Ending> {
        let progress = Progress::begin("loading", self.survey.whole.byte_offset, &self.health);
        progress.reach(begin.byte_offset);
        while let Some(batch) = batches.recv().await {
            match self.store_batch(promotion, &batch).await? {
                Step::Stands => progress.reach(batch.end().byte_offset),
                Step::Sealed(figures) => return Ok(Some(figures)),
            }
        }
        Ok(None)
    }

    /// Stores one batch, however often that takes. Repeating it is harmless: the load's row says whether it stands.
    async fn store_batch(&self, promotion: PromotionId, batch: &LoadBatch) -> Result<Step, Ending> {
        let (mut pause, began) = (FIRST_PAUSE, Instant::now());
        let rows = usize::try_from(batch.end().loaded - batch.begin().loaded).unwrap_or(usize::MAX);
        metrics::received(rows);
        loop {
            match self.store.store_batch(&self.plan.kind, promotion, batch).await {
                Ok(Stored::Yes) => {
                    metrics::completed(Completed::Loaded, rows);
                    metrics::batch_took(began.elapsed());
                    return Ok(Step::Stands);
                }
                Ok(Stored::MovedOn) => {}
                Err(error) if error.is_unavailable() => wait(&error, &mut pause).await,
                Err(error) => return Err(error.into()),
            }
            let load = self.existing().await?.filter(|load| load.promotion == promotion);
            let load = load.ok_or_else(|| anyhow!("the promotion was removed while it was loaded"))?;
            if load.sealed {
                return Ok(Step::Sealed(load.progress));
            }
            // A batch is made of the file alone: where it stands, it is the same whoever stored it.
            let stands = load.progress.byte_offset;
            if stands >= batch.end().byte_offset {
                return Ok(Step::Stands);
            }
            if stands != batch.begin().byte_offset {
                let problem = "another version of the loader is loading this file at the same time";
                return Err(Refusal::Misused(problem.to_owned()).into());
            }
        }
    }

    async fn seal(&self, promotion: PromotionId) -> Result<Loaded, Ending> {
        let whole = &self.survey.whole;
        let default_amount = self.plan.settings.defaults.amount;
        let sealed = patiently(|| self.store.seal(&self.plan.kind, promotion, whole, default_amount)).await?;
        let already_loaded = match sealed {
            Sealed::Yes => false,
            Sealed::Before => true,
            Sealed::Differs(difference) => {
                return Err(anyhow!("the promotion {promotion} is not sealed and will not start: {difference}").into());
            }
        };
        Ok(Loaded { promotion, progress: *whole, already_loaded })
    }
}

/// Asks until the database answers: it may be restarting. A signal ends the loader at any time without harm.
///
/// # Errors
/// What waiting does not help against.
pub async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Err(error) if error.is_unavailable() => wait(&error, &mut pause).await,
            answer => return answer,
        }
    }
}

async fn wait(error: &StoreError, pause: &mut Duration) {
    metrics::error(ErrorClass::Mysql);
    tracing::warn!(%error, pause_ms = pause.as_millis(), "waiting for the database");
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}

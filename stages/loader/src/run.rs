//! The order of a load: look, show, ask, write.

use std::sync::Arc;

use anyhow::Context as _;
use pipeline::config::Config;
use pipeline::health::{self, Health};
use pipeline::startup;
use pipeline::store::{LoadProgress, Store};

use crate::arguments::Arguments;
use crate::csv::source::Source;
use crate::ending::Ending;
use crate::load::{Loading, patiently};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::rejected;
use crate::report::{self, Report};
use crate::survey::Survey;

/// Does what the command line says, and prints the result.
///
/// # Errors
/// [`Ending`].
pub async fn run(arguments: &Arguments, config: &Config, health: &Health) -> Result<(), Ending> {
    let store = startup::store(config)?;
    let ended = load(arguments, config, &store, health).await;
    store.close().await;
    let report = ended?;
    Ok(report.print(arguments.output)?)
}

async fn load(arguments: &Arguments, config: &Config, store: &Store, health: &Health) -> Result<Report, Ending> {
    let path = arguments.file.as_deref().ok_or_else(|| Refusal::Misused("a file is required".to_owned()))?;
    let source = Arc::new(Source::open(path)?);
    patiently(|| store.check_schema()).await?;
    patiently(|| store.refresh_types()).await?;
    health.dependency(health::MYSQL, true);
    let plan = Arc::new(Plan::new(arguments, store, config.time_zone)?);

    let survey = Survey::of(&source, plan.terms(), &Progress::begin("checking", source.bytes(), health))?;
    check(arguments, &survey)?;
    let file = plan.load_file(&survey);
    let survey = Arc::new(survey);
    let loading = Loading {
        store,
        plan: plan.clone(),
        source: source.clone(),
        survey: survey.clone(),
        file,
        health: health.clone(),
    };
    let existing = loading.existing().await?;
    let mut report = Report {
        promotion_id: existing.as_ref().map(|load| load.promotion.0),
        campaign_code: plan.campaign_code.clone(),
        promotion_type: plan.kind.code.clone(),
        loaded: 0,
        rejected: 0,
        total_amount: survey.whole.amount,
        already_loaded: false,
        dry_run: arguments.dry_run,
        file_sha256: loading.file.hash.clone(),
        rejected_file: None,
    };
    if let Some(load) = existing.as_ref().filter(|load| load.sealed) {
        eprintln!("loader: already loaded: promotion {} ({})", load.promotion, load.status);
        report.already_loaded = true;
        return Ok(told(report, &load.progress));
    }
    eprint!("{}", report::summary(&plan, &survey));
    if arguments.dry_run {
        return Ok(told(report, &survey.whole));
    }
    if !arguments.yes {
        report::confirm()?;
    }
    if survey.bad.count > 0 {
        let (plan, source, survey) = (plan.clone(), source.clone(), survey.clone());
        report.rejected_file = Some(plan.rejected.display().to_string());
        let written = tokio::task::spawn_blocking(move || rejected::write(&plan.rejected, &source, &survey));
        written.await.context("the thread that writes the rejected file ended")??;
    }
    let loaded = loading.run(existing).await?;
    tracing::info!(promotion = %loaded.promotion, loaded = loaded.progress.loaded, rejected = loaded.progress.rejected,
        amount = %loaded.progress.amount, already_loaded = loaded.already_loaded, "the promotion is READY");
    report.promotion_id = Some(loaded.promotion.0);
    report.already_loaded = loaded.already_loaded;
    Ok(told(report, &loaded.progress))
}

/// What the file must be before anybody is asked.
fn check(arguments: &Arguments, survey: &Survey) -> Result<(), Refusal> {
    let whole = &survey.whole;
    if survey.bad.count > 0 {
        if !arguments.skip_invalid {
            return Err(Refusal::BadRows(survey.bad.clone()));
        }
        eprintln!("loader: {} bad rows:\n{}", survey.bad.count, survey.bad.lines());
    }
    if whole.loaded == 0 {
        return Err(Refusal::Empty);
    }
    if let Some(expected) = arguments.expect_count.filter(|expected| *expected != whole.loaded) {
        return Err(Refusal::Count { expected, found: whole.loaded });
    }
    if let Some(expected) = arguments.expect_total.filter(|expected| *expected != whole.amount) {
        return Err(Refusal::Total { expected, found: whole.amount });
    }
    Ok(())
}

fn told(mut report: Report, progress: &LoadProgress) -> Report {
    report.loaded = progress.loaded;
    report.rejected = progress.rejected;
    report.total_amount = progress.amount;
    report
}

//! What the command line asks for, checked against the installation.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use pipeline::domain::promotion::Defaults;
use pipeline::domain::{Amount, PayoutType};
use pipeline::store::{Load, LoadFile, LoadSettings, Store};
use sha2::{Digest, Sha256};

use crate::arguments::Arguments;
use crate::refusal::Refusal;
use crate::survey::{Survey, Terms};

/// `campaign_promotion_loads.file_name` is a VARCHAR(255).
const MAX_FILE_NAME: usize = 255;

/// A load as it was ordered.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file.
    pub file: PathBuf,
    /// Key of the promotion.
    pub campaign_code: String,
    /// What is paid.
    pub kind: Arc<PayoutType>,
    /// What the promotion becomes.
    pub settings: LoadSettings,
    /// Whether bad rows are left out.
    pub skip_invalid: bool,
    /// Where they go.
    pub rejected: PathBuf,
    /// Who loads it.
    pub created_by: String,
    /// Zone of all times.
    pub zone: Tz,
}

impl Plan {
    /// Checks what the command line parser could not.
    ///
    /// # Errors
    /// [`Refusal::Misused`].
    pub fn new(arguments: &Arguments, store: &Store, zone: Tz) -> Result<Self, Refusal> {
        let missing = || Refusal::Misused("--type, --campaign-code and a file are required".to_owned());
        let file = arguments.file.clone().ok_or_else(missing)?;
        let code = arguments.payout_type.as_deref().ok_or_else(missing)?;
        let kind = store.payout_type(code).ok_or_else(|| {
            Refusal::Misused(format!("there is no type {code:?}; known are {}", store.type_codes().join(", ")))
        })?;
        for (name, time) in
            [("--reservation-at", arguments.reservation_at), ("--default-expiry-at", arguments.default_expiry_at)]
        {
            if time.is_some_and(|time| zone.from_local_datetime(&time).earliest().is_none()) {
                return Err(Refusal::Misused(format!(
                    "{name}: there is no such time in {zone}: clocks were set forward"
                )));
            }
        }
        let rejected = arguments.rejected.clone().unwrap_or_else(|| with_ending(&file, ".rejected.csv"));
        if is_one_file(&rejected, &file) {
            return Err(Refusal::Misused("--rejected names the file itself".to_owned()));
        }
        let defaults = Defaults {
            amount: arguments.default_amount,
            reason: arguments.default_reason.as_deref().map(Arc::from),
            expiry_at: arguments.default_expiry_at,
        };
        let settings = LoadSettings {
            payout_type: kind.code.clone(),
            partition_count: arguments.partitions,
            reservation_at: arguments.reservation_at,
            priority: arguments.priority,
            defaults,
        };
        Ok(Self {
            file,
            campaign_code: arguments.campaign_code.clone().ok_or_else(missing)?,
            kind,
            settings,
            skip_invalid: arguments.skip_invalid,
            rejected,
            created_by: arguments.created_by.clone(),
            zone,
        })
    }

    /// What decides how the file is read.
    pub fn terms(&self) -> Terms {
        Terms { shape: self.kind.shape, default_amount: self.settings.defaults.amount }
    }

    /// The file as the load remembers it.
    pub fn load_file(&self, survey: &Survey) -> LoadFile {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        LoadFile {
            name: name.chars().take(MAX_FILE_NAME).collect(),
            hash: survey.hash(),
            bytes: survey.whole.byte_offset,
            options_hash: hex::encode(Sha256::digest(self.options())),
        }
    }

    /// Everything that decides what is loaded. Who loads it, and where bad rows go, does not.
    fn options(&self) -> String {
        let LoadSettings { payout_type, partition_count, reservation_at, priority, defaults } = &self.settings;
        let amount = defaults.amount.map(Amount::to_plain);
        let Defaults { amount: _, reason, expiry_at } = defaults;
        // The form must never change: a load that was begun by an older version goes on with a newer one.
        format!(
            "v1 {payout_type:?} {partition_count} {reservation_at:?} {priority:?} {amount:?} {reason:?} {expiry_at:?} {}",
            self.skip_invalid
        )
    }

    /// What is different about the load behind an existing promotion; nothing when it is this one.
    pub fn differs_from(&self, load: &Load, file: &LoadFile) -> Option<String> {
        let Some(theirs) = &load.file else { return Some("another system wrote it, not this loader".to_owned()) };
        let mut differences = Vec::new();
        if theirs.hash != file.hash {
            differences.push(format!("it was loaded from another file ({}, {} bytes)", theirs.name, theirs.bytes));
        }
        if theirs.options_hash != file.options_hash {
            differences.append(&mut self.other_options(&load.settings));
        }
        (!differences.is_empty()).then(|| differences.join("; "))
    }

    fn other_options(&self, theirs: &LoadSettings) -> Vec<String> {
        let ours = &self.settings;
        let time = |time: Option<NaiveDateTime>| time.map_or_else(none, |time| time.to_string());
        let amount = |amount: Option<Amount>| amount.map_or_else(none, |amount| amount.to_string());
        let reason = |defaults: &Defaults| defaults.reason.as_deref().map_or_else(none, |reason| format!("{reason:?}"));
        let priority = |priority: Option<i32>| priority.map_or_else(none, |priority| priority.to_string());
        let table = [
            ("--type", theirs.payout_type.clone(), ours.payout_type.clone()),
            ("--partitions", theirs.partition_count.to_string(), ours.partition_count.to_string()),
            ("--reservation-at", time(theirs.reservation_at), time(ours.reservation_at)),
            ("--priority", priority(theirs.priority), priority(ours.priority)),
            ("--default-amount", amount(theirs.defaults.amount), amount(ours.defaults.amount)),
            ("--default-reason", reason(&theirs.defaults), reason(&ours.defaults)),
            ("--default-expiry-at", time(theirs.defaults.expiry_at), time(ours.defaults.expiry_at)),
        ];
        let differences: Vec<String> = table
            .into_iter()
            .filter(|(_, theirs, ours)| theirs != ours)
            .map(|(name, theirs, ours)| format!("its {name} is {theirs}, not {ours}"))
            .collect();
        match differences.is_empty() {
            true => vec![
                "it was loaded with other options (--skip-invalid, or a setting that was changed since)".to_owned(),
            ],
            false => differences,
        }
    }
}

fn none() -> String {
    "not set".to_owned()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Whether two paths lead to one file, however they are spelled or linked.
fn is_one_file(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    a == b || place(a).is_some_and(|found| place(b) == Some(found))
}

//! What a command works with: the servers, who acts, and how it prints.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use pipeline::config::{Config, Needs, process_environment};
use pipeline::domain::{Amount, CustomerUid, PayoutType, Promotion, PromotionId};
use pipeline::stage;
use pipeline::store::{OperatorAct, Overview, Store, StoreSettings};
use pipeline::streams::Streams;

use crate::cli::{Common, Format};
use crate::ended::{Ended, refuse};

/// Connections to MySQL: one statement at a time, and a little room.
const CONNECTIONS: u32 = 4;

/// A command's surroundings.
pub(crate) struct Session {
    pub(crate) config: Config,
    pub(crate) store: Store,
    streams: Option<Streams>,
    pub(crate) actor: String,
    pub(crate) output: Format,
    pub(crate) show_pii: bool,
}

impl Session {
    /// Reads the configuration and prepares for the servers, without connecting.
    pub(crate) fn configure(common: &Common, needs: Needs) -> Result<Self, ExitCode> {
        let environment = process_environment();
        let config = stage::configure("promoctl", needs, common.config.as_deref(), &environment)?;
        let fault = |error: &dyn std::fmt::Display| {
            eprintln!("promoctl: {error}");
            ExitCode::from(stage::EXIT_CONFIG)
        };
        let store = Store::new(StoreSettings {
            url: config.database_url.expose(),
            zone: config.time_zone,
            connections: CONNECTIONS,
            acquire_timeout: config.store.acquire_timeout,
            lock_wait: config.store.lock_wait,
            statement_timeout: config.store.statement_timeout,
            pins: None,
        })
        .map_err(|error| fault(&error))?;
        let streams = match needs.redis {
            true => Some(pipeline::startup::streams(&config).map_err(|error| fault(&error))?),
            false => None,
        };
        let user = || environment.get("USER").or_else(|| environment.get("LOGNAME")).cloned();
        let actor = common.actor.clone().or_else(user).filter(|name| !name.is_empty());
        Ok(Self {
            config,
            store,
            streams,
            actor: actor.unwrap_or_else(|| "unknown".to_owned()),
            output: common.output,
            show_pii: common.show_pii,
        })
    }

    /// Redis. Commands that need it have said so in `needs_redis`.
    pub(crate) fn streams(&self) -> Result<&Streams> {
        self.streams.as_ref().ok_or_else(|| anyhow::anyhow!("this command has no connection to Redis"))
    }

    /// A promotion's row, whatever it says.
    pub(crate) async fn overview(&self, id: i64) -> Result<Overview> {
        match self.store.overview(PromotionId(id)).await? {
            Some(overview) => Ok(overview),
            None => refuse(format!("there is no promotion {id}")),
        }
    }

    /// A promotion that the product can work with.
    pub(crate) async fn promotion(&self, id: i64) -> Result<Promotion> {
        match self.store.promotion(PromotionId(id)).await? {
            Some(promotion) => Ok(promotion),
            None => refuse(format!("there is no promotion {id}")),
        }
    }

    /// A row of the audit trail, to be filled in.
    pub(crate) fn act(&self, action: &'static str, reason: &str) -> Result<OperatorAct> {
        if reason.trim().is_empty() {
            return refuse("a reason is needed: it stands in the audit trail");
        }
        Ok(OperatorAct {
            actor: self.actor.clone(),
            action,
            promotion: None,
            target: None,
            filter: None,
            reason: reason.trim().to_owned(),
            items: 0,
            amount: Amount::ZERO,
            detail: None,
        })
    }

    /// Prints a result: an object for programs, or what `table` prints for people.
    pub(crate) fn print(&self, object: &impl serde::Serialize, table: impl FnOnce()) -> Result<Ended> {
        match self.output {
            Format::Json => println!("{}", serde_json::to_string_pretty(object)?),
            Format::Table => table(),
        }
        Ok(Ended::Done)
    }

    /// The payout type of a promotion, or the one with a code.
    pub(crate) async fn kind(&self, promotion: Option<i64>, code: Option<&str>) -> Result<Arc<PayoutType>> {
        if let Some(promotion) = promotion {
            return Ok(self.promotion(promotion).await?.kind);
        }
        match self.store.payout_type(code.unwrap_or_default()) {
            Some(kind) => Ok(kind),
            None => refuse(format!("there is no such type; known are {}", self.store.type_codes().join(", "))),
        }
    }

    /// What names a person or is worth money to who reads it, masked unless asked for in full.
    pub(crate) fn personal(&self, text: &str) -> String {
        if self.show_pii { text.to_owned() } else { crate::output::masked(text) }
    }

    /// A message of `money`, in which it may have named the customer.
    pub(crate) fn message(&self, customer: CustomerUid, message: Option<&str>) -> Option<String> {
        message.map(|message| crate::output::replaced(message, &customer.0.to_string(), &self.customer(customer.0)))
    }

    /// A customer id, masked unless asked for in full.
    pub(crate) fn customer(&self, uid: i64) -> String {
        self.personal(&uid.to_string())
    }
}

/// A payout type's description, when the product knows it.
pub(crate) fn kind_of(session: &Session, code: &str) -> Option<Arc<pipeline::domain::PayoutType>> {
    session.store.payout_type(code)
}

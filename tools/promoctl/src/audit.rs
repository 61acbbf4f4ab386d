//! placeholder
use crate::{cli::AuditArgs, ended::Ended, session::Session};
use anyhow::Result;
pub(crate) async fn run(_: &Session, _: &AuditArgs) -> Result<Ended> {
    Ok(Ended::Done)
}

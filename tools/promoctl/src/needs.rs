//! What each command needs beside the database.

use pipeline::config::Needs;

use crate::cli::{Command, PromotionCommand};
use crate::targets::TargetsCommand;

const NOTHING: Needs = Needs { redis: false, money: false, pin: false, webhook: false };
const REDIS: Needs = Needs { redis: true, ..NOTHING };
const REDIS_AND_MONEY: Needs = Needs { money: true, ..REDIS };
/// PINs leave the database by one command alone.
const PIN: Needs = Needs { pin: true, ..NOTHING };

impl Command {
    pub(crate) fn needs(&self) -> Needs {
        match self {
            Self::Promotion { command } => command.needs(),
            Self::Resolve(_)
            | Self::Audit(_)
            | Self::Repair(_)
            | Self::Consumers { .. }
            | Self::Pending { .. }
            | Self::Doctor(_) => REDIS,
            Self::Retry { command } => {
                if command.needs_servers() {
                    REDIS_AND_MONEY
                } else {
                    NOTHING
                }
            }
            Self::Dead { command } => {
                if command.needs_servers() {
                    REDIS_AND_MONEY
                } else {
                    NOTHING
                }
            }
            Self::Targets { command: TargetsCommand::Show(args) } => {
                if args.no_lookup {
                    REDIS
                } else {
                    REDIS_AND_MONEY
                }
            }
            Self::Targets { command: TargetsCommand::List(_) }
            | Self::Notifications { .. }
            | Self::Acts { .. }
            | Self::Migrate
            | Self::Type { .. }
            | Self::Completions { .. } => NOTHING,
        }
    }
}

impl PromotionCommand {
    fn needs(&self) -> Needs {
        match self {
            Self::Show { .. } | Self::Watch(_) => REDIS,
            Self::Export(args) => {
                if args.reveal_pins {
                    PIN
                } else {
                    NOTHING
                }
            }
            Self::List(_) | Self::Stop(_) | Self::Resume(_) | Self::Reschedule(_) | Self::Discard(_) => NOTHING,
        }
    }
}

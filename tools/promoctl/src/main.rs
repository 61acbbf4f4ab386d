//! `promoctl`: what operators see and do.
//!
//! Reads never write. Every write shows how many targets and how much money it concerns and asks, unless `--yes`;
//! refuses without a terminal and without `--yes`; wants a reason; and stands in `payout_audit` in the same transaction
//! as its effect, or before it where the effect is in Redis. A plan of retries changes nothing yet, and asks nothing.

mod acts;
mod audit;
mod cli;
mod consent;
mod consumers;
mod dead;
mod doctor;
mod ended;
mod migrate;
mod needs;
mod notifications;
mod output;
mod pending;
mod promotion;
mod repair;
mod resolve;
mod retry;
mod session;
mod targets;
mod types;

use std::panic;
use std::process::{self, ExitCode};

use clap::{CommandFactory, Parser};

use acts::ActsCommand;
use cli::{Cli, Command, ConsumersCommand, PendingCommand, PromotionCommand, TypeCommand};
use ended::{Ended, Refused};
use notifications::NotificationsCommand;
use session::Session;
use targets::TargetsCommand;

/// As a shell tells of a program that SIGPIPE ended.
const READER_GONE: i32 = 141;

fn main() -> ExitCode {
    end_with_the_reader();
    let cli = Cli::parse();
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "promoctl", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    // The pools start tasks of their own.
    let _inside = runtime.enter();
    let session = match Session::configure(&cli.common, cli.command.needs()) {
        Ok(session) => session,
        Err(code) => return code,
    };
    match runtime.block_on(run(session, cli.command)) {
        Ok(ended) => ended.into(),
        Err(error) if error.is::<Refused>() => {
            eprintln!("promoctl: {error:#}");
            Ended::Refused.into()
        }
        Err(error) => failed(&error),
    }
}

/// `promoctl … | head` closes the pipe when it has seen enough: `println!` panics then, and that is no fault to report.
fn end_with_the_reader() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            process::exit(READER_GONE);
        }
        report(info);
    }));
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("promoctl: {error:#}");
    Ended::Failed.into()
}

async fn run(session: Session, command: Command) -> anyhow::Result<Ended> {
    // The doctor tells what is wrong with the schema, and with the server, itself.
    if !matches!(command, Command::Migrate | Command::Doctor(_)) {
        session.store.check_schema().await?;
        session.store.refresh_types().await?;
    }
    match command {
        Command::Migrate => migrate::run(&session).await,
        Command::Type { command: TypeCommand::List } => types::list(&session).await,
        Command::Type { command: TypeCommand::Add(args) } => types::add(&session, &args).await,
        Command::Promotion { command } => match command {
            PromotionCommand::List(args) => promotion::list::run(&session, &args).await,
            PromotionCommand::Show { id } => promotion::show::run(&session, id).await,
            PromotionCommand::Watch(args) => promotion::watch::run(&session, &args).await,
            PromotionCommand::Export(args) => promotion::export::run(&session, &args).await,
            PromotionCommand::Stop(args) => promotion::stop::run(&session, &args).await,
            PromotionCommand::Resume(args) => promotion::resume::run(&session, &args).await,
            PromotionCommand::Reschedule(args) => promotion::reschedule::run(&session, &args).await,
            PromotionCommand::Discard(args) => promotion::discard::run(&session, &args).await,
        },
        Command::Resolve(args) => resolve::run(&session, &args).await,
        Command::Audit(args) => audit::run(&session, &args).await,
        Command::Repair(args) => repair::run(&session, &args).await,
        Command::Consumers { command: ConsumersCommand::List(args) } => consumers::list(&session, &args).await,
        Command::Consumers { command: ConsumersCommand::Prune(args) } => consumers::prune::run(&session, &args).await,
        Command::Pending { command: PendingCommand::List(args) } => pending::list(&session, &args).await,
        Command::Pending { command: PendingCommand::RetryNow(args) } => pending::retry_now::run(&session, &args).await,
        Command::Retry { command } => retry::run(&session, &command).await,
        Command::Dead { command } => dead::run(&session, &command).await,
        Command::Targets { command: TargetsCommand::List(args) } => targets::list::run(&session, &args).await,
        Command::Targets { command: TargetsCommand::Show(args) } => targets::show::run(&session, &args).await,
        Command::Doctor(args) => doctor::run(&session, &args).await,
        Command::Notifications { command: NotificationsCommand::List(args) } => {
            notifications::list(&session, &args).await
        }
        Command::Notifications { command: NotificationsCommand::Resend(args) } => {
            notifications::resend(&session, &args).await
        }
        Command::Acts { command: ActsCommand::List(args) } => acts::list(&session, &args).await,
        Command::Completions { .. } => Ok(Ended::Done),
    }
}

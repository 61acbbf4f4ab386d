//! Starting a child so that it cannot outlive us unless it is meant to.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;

use anyhow::{Context, Result};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// How long a child may live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Until its owner is dropped, and never longer than this process: the kernel kills it when we end, also when we
    /// are killed or leave it in a `static`.
    #[default]
    WithParent,
    /// Until its owner is dropped, or for good after `leave_running`: what `demo --keep-running` starts.
    Detached,
}

type Job = (Command, Lifetime, Sender<io::Result<Child>>);

/// Starts `command` in a process group of its own, so that a Ctrl-C in the terminal reaches only us and we end our
/// children in order.
pub(crate) fn spawn(mut command: Command, lifetime: Lifetime) -> Result<Child> {
    command.process_group(0);
    let program = command.get_program().to_owned();
    let (reply, answer) = mpsc::channel();
    spawner().send((command, lifetime, reply)).ok().context("the spawning thread has ended")?;
    answer
        .recv()
        .context("the spawning thread has ended")?
        .with_context(|| format!("cannot start {}", program.to_string_lossy()))
}

/// The one thread that starts children. `PR_SET_PDEATHSIG` fires when the *thread* that forked ends, and a test's
/// thread ends long before the process does; this one never ends.
fn spawner() -> &'static Sender<Job> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                for (mut command, lifetime, reply) in queue {
                    if lifetime == Lifetime::WithParent {
                        die_with_parent(&mut command);
                    }
                    // Whoever asked has gone: then the child is dropped here and dies with us.
                    let _ = reply.send(command.spawn());
                }
            })
            .ok();
        jobs
    })
}

/// Makes the kernel kill the child when we end.
// The only unsafe code in the tools: `pre_exec` runs between fork and exec, where only async-signal-safe calls are
// allowed. The closure makes two plain system calls (prctl, getppid) and allocates nothing.
#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id().cast_signed();
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have ended between fork and prctl: then no signal will ever come.
            match getppid() {
                Some(pid) if pid.as_raw_nonzero().get() == parent => Ok(()),
                _ => Err(io::Error::from(io::ErrorKind::NotFound)),
            }
        });
    }
}

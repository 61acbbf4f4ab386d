//! Launched processes, and what becomes of children when their parent is killed.
#![allow(clippy::unwrap_used)] // tests, and their own helpers

use std::path::PathBuf;
use std::time::Duration;

use servers::{Launch, Lifetime, ProcessId, Redis, RedisOptions, poll};

const BOUND: Duration = Duration::from_secs(20);

fn folder(name: &str) -> PathBuf {
    servers::target_dir().join(format!("servers/test-{}-{name}", std::process::id()))
}

fn shell(name: &str, script: &str) -> Launch {
    let launch = Launch::program(PathBuf::from("/bin/sh"), name, folder(name)).unwrap();
    launch.args(["-c", script])
}

fn clean(name: &str) {
    std::fs::remove_dir_all(folder(name)).unwrap();
}

/// Runs until SIGTERM, then ends with 3.
const UNTIL_SIGTERM: &str = "trap 'echo ended; kill $!; exit 3' TERM; sleep 600 & echo \"hello $WHO\"; wait";

#[test]
fn a_process_logs_to_its_file_and_ends_on_sigterm() {
    let process = shell("log", UNTIL_SIGTERM).env("WHO", "you").start().unwrap();
    poll(BOUND, || process.log().contains("hello you").then_some(())).unwrap();
    process.sigterm().unwrap();
    assert_eq!(process.wait(BOUND).unwrap().code(), Some(3));
    assert!(process.log().contains("ended"));
    assert!(process.sigterm().is_err(), "an ended process was signalled");
    clean("log");
}

#[test]
fn a_stopped_process_takes_a_signal_only_when_it_is_continued() {
    let process = shell("stopped", UNTIL_SIGTERM).start().unwrap();
    poll(BOUND, || process.log().contains("hello").then_some(())).unwrap();
    process.sigstop().unwrap();
    process.sigterm().unwrap();
    assert!(process.is_running());
    process.sigcont().unwrap();
    assert_eq!(process.wait(BOUND).unwrap().code(), Some(3));
    clean("stopped");
}

#[test]
fn a_restarted_process_has_another_pid_and_the_same_log() {
    let process = shell("again", "echo started; exec sleep 600").start().unwrap();
    let lives = || process.log().matches("started").count();
    poll(BOUND, || (lives() == 1).then_some(())).unwrap();
    let first = process.id();
    process.restart().unwrap();
    poll(BOUND, || (lives() == 2).then_some(())).unwrap();
    assert!(!first.is_running() && process.id() != first);
    drop(process);
    clean("again");
}

#[test]
fn a_one_shot_returns_both_outputs_and_its_status() {
    let finished = shell("once", "echo out; echo err >&2; exit 7").run(BOUND).unwrap();
    assert_eq!(finished.status.code(), Some(7));
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    let error = finished.ok().unwrap_err().to_string();
    assert!(error.contains("once failed") && error.contains("err"), "{error}");
    clean("once");
}

#[test]
fn a_one_shot_that_takes_too_long_is_killed() {
    let error = shell("slow", "exec sleep 600").run(Duration::from_millis(100)).unwrap_err();
    assert!(error.to_string().contains("did not end"), "{error}");
    clean("slow");
}

#[test]
fn the_port_a_process_listens_on_is_found() {
    // A server of our own making that we know: its port is what it must report.
    let redis = Redis::start(RedisOptions::default()).unwrap();
    let port = servers::free_port().unwrap();
    let program = servers::program(&["redis-server"], servers::Package("redis-server")).unwrap();
    let process = Launch::program(program, "port", folder("port")).unwrap();
    let process = process.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]).start().unwrap();
    let address = process.metrics_addr(BOUND).unwrap();
    assert_eq!(address.port(), port);
    assert_ne!(address.port(), redis.port());
    drop(process);
    clean("port");
}

#[test]
fn a_process_gets_its_own_settings_and_the_callers_surroundings() {
    // Cargo sets this one for every test.
    let printed = shell("env", "env").env("PAYOUT_GIVEN", "1").run(BOUND).unwrap().ok().unwrap();
    assert!(printed.contains("PAYOUT_GIVEN=1") && printed.contains("CARGO_MANIFEST_DIR="));
    clean("env");
}

#[test]
fn children_die_with_a_killed_parent_unless_they_are_detached() {
    // This very test program is the parent: it starts two children in a thread that ends, tells their ids, and waits.
    if std::env::var_os("SERVERS_TEST_PARENT").is_some() {
        be_the_parent();
    }
    let program = std::env::current_exe().unwrap();
    let parent = Launch::program(program, "parent", folder("parent")).unwrap();
    let parent = parent
        .args(["--exact", "children_die_with_a_killed_parent_unless_they_are_detached", "--nocapture"])
        .env("SERVERS_TEST_PARENT", "1")
        .start()
        .unwrap();
    let line = poll(BOUND, || {
        let log = parent.log();
        log.lines().find_map(|line| line.split_once("CHILDREN ")).map(|(_, ids)| ids.to_owned())
    });
    let line = line.unwrap_or_else(|| panic!("{}", parent.trouble("did not start its children")));
    let ids: Vec<ProcessId> = line.split(' ').map(|id| id.parse().unwrap()).collect();
    assert!(ids[0].is_running() && ids[1].is_running());
    parent.kill9().unwrap();
    poll(BOUND, || (!ids[0].is_running()).then_some(())).expect("a child outlived its parent");
    assert!(ids[1].is_running(), "a detached child died with its parent");
    ids[1].kill9();
    poll(BOUND, || (!ids[1].is_running()).then_some(())).unwrap();
    clean("parent");
}

fn be_the_parent() -> ! {
    let children = std::thread::spawn(|| {
        let tied = shell("child", "exec sleep 600").start().unwrap();
        let free = shell("child", "exec sleep 600").lifetime(Lifetime::Detached).start().unwrap();
        (tied, free.leave_running())
    });
    let (tied, free) = children.join().unwrap();
    clean("child");
    println!("\nCHILDREN {} {free}", tied.id());
    loop {
        std::thread::park();
    }
}

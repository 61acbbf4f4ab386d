//! The common main, in real processes: this test starts itself as a stage (hence no harness of libtest,
//! whose command line would be in the way of the stage's).

#![allow(clippy::unwrap_used)] // tests, though without libtest's attribute

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use pipeline::config::Needs;
use pipeline::health::{MYSQL, REDIS};
use pipeline::stage::{Context, Stage, main as stage_main};

/// Says that this process is a stage, and how it behaves.
const BEHAVIOUR: &str = "STAGE_UNDER_TEST";
/// Longest wait for anything.
const BOUND: Duration = Duration::from_secs(10);
const CANARY: &str = "c4nary-Pa55word";

fn main() -> ExitCode {
    if let Ok(behaviour) = std::env::var(BEHAVIOUR) {
        let needs = Needs { redis: true, money: true, pin: false, webhook: false };
        return stage_main(Stage { name: "payer", needs }, |context| stage(context, behaviour));
    }
    let rules: [(&str, fn()); 8] = [
        ("faults_end_a_stage_with_64_before_a_port_is_opened", faults_end_a_stage_with_64_before_a_port_is_opened),
        ("check_and_dump_tell_without_running", check_and_dump_tell_without_running),
        ("an_address_that_is_taken_ends_a_stage_with_1", an_address_that_is_taken_ends_a_stage_with_1),
        ("a_stage_drains_at_the_first_signal", a_stage_drains_at_the_first_signal),
        ("a_drain_ends_with_its_grace", a_drain_ends_with_its_grace),
        ("a_second_signal_ends_a_stage_at_once", a_second_signal_ends_a_stage_at_once),
        ("a_panic_in_any_task_ends_the_process", a_panic_in_any_task_ends_the_process),
        ("a_stage_that_fails_says_why_once", a_stage_that_fails_says_why_once),
    ];
    for (name, rule) in rules {
        rule();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

async fn stage(context: Context, behaviour: String) -> anyhow::Result<()> {
    context.health.beat();
    context.health.dependency(MYSQL, true);
    context.health.dependency(REDIS, behaviour != "away");
    match behaviour.as_str() {
        "panic" => {
            tokio::spawn(async { panic!("as told") });
            std::future::pending().await
        }
        "fail" => anyhow::bail!("as told"),
        "stuck" => std::future::pending().await,
        _ => {
            context.shutdown.wait().await;
            // What it holds takes until the probes have been asked: its input ends then.
            tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
            Ok(())
        }
    }
}

struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    addr: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(behaviour: &str, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PAYOUT_")) {
        command.env_remove(name);
    }
    command
        .env(BEHAVIOUR, behaviour)
        .env("DATABASE_URL", format!("mysql://app:{CANARY}@127.0.0.1:1/payout"))
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .env("MONEY_URL", "http://127.0.0.1:1")
        .env("MONEY_TOKEN", CANARY)
        .env("PAYOUT_CONSUMER_NAME", "here")
        .envs(more.iter().copied())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Starts a stage and waits for its address.
fn start(behaviour: &str, more: &[(&str, &str)]) -> Running {
    let mut child = command(behaviour, more).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let mut running = Running { child, log, addr: String::new() };
    let line = running.line_with("listening");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    running.addr = line["metrics_addr"].as_str().unwrap().to_owned();
    running
}

impl Running {
    /// The next line of the log with this text in it. A process that never writes it ends, or is ended by the test's runner.
    fn line_with(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "no line with {text:?} in:\n{seen}");
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn code(&mut self) -> i32 {
        let began = Instant::now();
        while began.elapsed() < BOUND {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the process goes on after {BOUND:?}");
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks until the answer has `text` in it.
    fn get_until(&self, path: &str, text: &str) -> String {
        let began = Instant::now();
        loop {
            let answer = self.get(path);
            if answer.contains(text) {
                return answer;
            }
            assert!(began.elapsed() < BOUND, "{path} has no {text:?}: {answer}");
        }
    }
}

fn output(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn faults_end_a_stage_with_64_before_a_port_is_opened() {
    // Were the port opened first, it would end with 1.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let faulty = [("PAYOUT_METRICS_ADDR", &*addr), ("PAYOUT_MONEY_TIMEOUT", "5"), ("MONEY_URL", "money")];
    for arguments in [&[][..], &["--check"], &["--dump-config"]] {
        let (code, _, said) = output(command("drain", &faulty).args(arguments));
        assert_eq!(code, 64, "{said}");
        assert!(
            said.contains("2 faults") && said.contains("PAYOUT_MONEY_TIMEOUT") && said.contains("MONEY_URL"),
            "{said}"
        );
    }
}

fn check_and_dump_tell_without_running() {
    let (code, said, _) = output(command("drain", &[]).arg("--check"));
    assert!(code == 0 && said.contains("complete"), "{said}");
    let (code, said, _) = output(command("drain", &[]).arg("--dump-config"));
    assert!(code == 0 && said.contains("[retry]") && !said.contains(CANARY), "{said}");
    assert_eq!(output(command("drain", &[]).arg("--version")).0, 0);
}

fn an_address_that_is_taken_ends_a_stage_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, _, said) = output(&mut command("drain", &[("PAYOUT_METRICS_ADDR", &*addr)]));
    assert!(code == 1 && said.contains(&addr) && said.contains("PAYOUT_METRICS_ADDR"), "{code}: {said}");
}

fn a_stage_drains_at_the_first_signal() {
    let mut running = start("drain", &[]);
    running.get_until("/readyz", "200 OK");
    assert!(running.get("/livez").contains("200 OK"));
    let metrics = running.get("/metrics");
    for name in ["payout_build_info", "payout_dependency_up{dependency=\"redis\"} 1", "process_resident_memory_bytes"] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    let probe =
        |which| output(command("drain", &[("PAYOUT_METRICS_ADDR", &running.addr)]).args(["--healthcheck", which]));
    assert_eq!((probe("live").0, probe("ready").0), (0, 0));

    running.signal("TERM");
    let draining = running.get_until("/readyz", "draining");
    assert!(draining.contains("503") && running.get("/livez").contains("200 OK"));
    drop(running.child.stdin.take());
    assert!(running.line_with("drained").contains("\"complete\":true"));
    assert_eq!(running.code(), 0);

    let away = start("away", &[]);
    let answer = away.get_until("/readyz", "redis away");
    assert!(answer.contains("503") && away.get("/livez").contains("200 OK"));
    let (code, said, _) =
        output(command("drain", &[("PAYOUT_METRICS_ADDR", &away.addr)]).args(["--healthcheck", "ready"]));
    assert!(code == 1 && said.contains("redis away"), "{said}");
}

fn a_drain_ends_with_its_grace() {
    let mut running = start("stuck", &[("PAYOUT_SHUTDOWN_GRACE", "100ms")]);
    running.signal("INT");
    assert!(running.line_with("drained only in part").contains("\"complete\":false"));
    assert_eq!(running.code(), 1);
}

fn a_second_signal_ends_a_stage_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut running = start("stuck", &[]);
        running.signal("TERM");
        running.line_with("draining");
        running.signal(signal);
        assert_eq!(running.code(), code);
    }
}

fn a_panic_in_any_task_ends_the_process() {
    let began = Instant::now();
    let mut running = start("panic", &[]);
    assert!(running.line_with("panicked").contains("as told"));
    assert_eq!(running.code(), 70);
    assert!(began.elapsed() < BOUND);
}

fn a_stage_that_fails_says_why_once() {
    let (code, _, said) = output(&mut command("fail", &[]));
    assert!(code == 1 && said.matches("as told").count() == 1 && !said.contains(CANARY), "{said}");
}

//! The program itself: kill -9 loses nothing that anybody was told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use money_sandbox::faults::Faults;
use money_sandbox::{LedgerPlace, Sandbox, Settings};

use crate::client::{Client, point};

struct Program {
    child: Child,
    client: Client,
}

impl Program {
    fn start(ledger: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_money-sandbox"))
            .args(["--addr", "127.0.0.1:0", "--ledger"])
            .arg(ledger)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().strip_prefix("money-sandbox listening on http://").unwrap_or_else(|| panic!("{line:?}"));
        let client = Client::at(addr.parse().unwrap());
        Self { child, client }
    }

    fn kill(mut self) {
        self.child.kill().unwrap(); // SIGKILL
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn payments_refusals_and_cancels_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let program = Program::start(&path, &[]);
    let client = &program.client;
    let paid = client.charge("spring_1").await;
    let voucher = client.voucher("spring_2").await;
    assert_eq!(client.cancel("spring_3").await.status, 200);
    client.send("PUT", "/admin/faults", None, r#"{"refuse":1}"#).await;
    let declined = client.charge("spring_4").await;
    let summary = client.get("/ledger/summary").await;
    let ledger = client.ledger("").await;
    program.kill();

    let program = Program::start(&path, &[]);
    let client = &program.client;
    assert_eq!(client.get("/ledger/summary").await, summary);
    assert_eq!(client.ledger("").await, ledger);
    assert_eq!(client.charge("spring_1").await.body, paid.body);
    assert_eq!(client.charge_with("spring_1", &point("3")).await.status, 422);
    assert_eq!(client.voucher("spring_2").await.body, voucher.body);
    assert_eq!(client.charge("spring_3").await.error_code(), "CANCELLED");
    assert_eq!(client.charge("spring_4").await.body, declined.body);
    let next = client.charge("spring_5").await;
    assert_ne!(next.money_key(), paid.money_key(), "money keys are not used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_answered_is_missing_after_kill_9_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    for round in 0..3 {
        let program = Program::start(&path, &[]);
        let dead = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let (client, dead) = (program.client.clone(), Arc::clone(&dead));
                tokio::spawn(async move { charge_until_dead(client, dead, round, task).await })
            })
            .collect();
        let client = program.client.clone();
        crate::client::until("some payments", async || {
            client.get("/ledger/summary").await["paid_count"].as_u64().unwrap() > (round + 1) * 200
        })
        .await;
        // Those under way see their connection break; the next ones find the flag.
        dead.store(true, Ordering::SeqCst);
        program.kill();
        let mut answered = Vec::new();
        for task in tasks {
            answered.extend(task.await.unwrap());
        }
        let program = Program::start(&path, &[]);
        for (key, body) in &answered {
            assert_eq!(&program.client.look_up(key).await.body, body, "{key}");
        }
        let summary = program.client.get("/ledger/summary").await;
        assert_eq!(summary["keys_paid_more_than_once"], 0);
        program.kill();
    }
}

async fn charge_until_dead(client: Client, dead: Arc<AtomicBool>, round: u64, task: u32) -> Vec<(String, Vec<u8>)> {
    let mut answered = Vec::new();
    for n in 0.. {
        if dead.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("spring_{round}{task}{n}");
        let (asking, asked) = (client.clone(), key.clone());
        // In a task: a refused connection panics there.
        match tokio::spawn(async move { asking.charge(&asked).await }).await {
            Ok(reply) if reply.status == 200 && !reply.is_cut_short() => {
                answered.push((key, reply.body));
            }
            _ => break,
        }
    }
    answered
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_a_broken_one_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let program = Program::start(&path, &[]);
    program.client.charge("spring_1").await.money_key();
    program.kill();
    let append = |text: &[u8]| {
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(text).unwrap();
    };
    append(br#"{"kind":"paid","key":"spring_2","ty"#);
    let program = Program::start(&path, &[]);
    assert_eq!(program.client.look_up("spring_2").await.status, 404);
    program.client.charge("spring_2").await.money_key();
    program.kill();
    let program = Program::start(&path, &[]);
    assert_eq!(program.client.get("/ledger/summary").await["paid_count"], 2);
    program.kill();

    append(b"{\"kind\":\"paid\"}\n");
    let settings = Settings { ledger: LedgerPlace::File(path), ..Settings::default() };
    let error = Sandbox::start(settings).await.unwrap_err();
    assert!(format!("{error:#}").contains("ledger line 3"), "{error:#}");
}

#[tokio::test]
async fn two_sandboxes_never_share_a_ledger_but_one_may_follow_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { ledger: LedgerPlace::File(dir.path().join("ledger")), ..Settings::default() };
    let first = Sandbox::start(settings.clone()).await.unwrap();
    let paid = Client::of(&first).charge("spring_1").await;
    let error = Sandbox::start(settings.clone()).await.unwrap_err();
    assert!(format!("{error:#}").contains("in use"), "{error:#}");
    first.stop().await;
    let second = Sandbox::start(settings.clone()).await.unwrap();
    assert_eq!(Client::of(&second).charge("spring_1").await.body, paid.body);
    drop(second);
    let third = Sandbox::start(settings).await.unwrap();
    assert_eq!(third.summary(None).paid_count, 1);
}

#[tokio::test]
async fn sigterm_ends_it_cleanly_with_its_journal_written() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let port_file = dir.path().join("port");
    let token = dir.path().join("token");
    std::fs::write(&token, "sandbox\n").unwrap();
    let mut program = Program::start(
        &dir.path().join("ledger"),
        &[
            "--journal",
            journal.to_str().unwrap(),
            "--port-file",
            port_file.to_str().unwrap(),
            "--token-file",
            token.to_str().unwrap(),
        ],
    );
    let port = std::fs::read_to_string(&port_file).unwrap();
    assert_eq!(port.trim(), program.client.addr.port().to_string());
    program.client.charge("spring_1").await.money_key();
    Command::new("kill").args(["-TERM", &program.child.id().to_string()]).status().unwrap();
    assert!(program.child.wait().unwrap().success());
    let journal = std::fs::read_to_string(journal).unwrap();
    assert_eq!(journal.lines().count(), 1);
    assert!(journal.contains(r#""kind":"charge","key":"spring_1","outcome":"paid""#));
}

#[tokio::test]
async fn a_stopped_sandbox_answers_nobody() {
    let (sandbox, client) = crate::client::with(Faults::default()).await;
    client.charge("spring_1").await.money_key();
    sandbox.stop().await;
    assert!(tokio::net::TcpStream::connect(client.addr).await.is_err());
}

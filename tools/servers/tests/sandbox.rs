//! The money sandbox as a process.

#![allow(clippy::unwrap_used)] // tests, and their own helpers

use std::io::{Read, Write};
use std::net::TcpStream;

use servers::{Sandbox, SandboxOptions};

const CHARGE: &str =
    r#"{"customerUid":7,"merchantCode":"M1","campaignCode":"C","amount":10.50,"description":"d","expiredAt":null}"#;

/// One request in HTTP/1.0; the whole answer.
fn ask(sandbox: &Sandbox, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(sandbox.url().trim_start_matches("http://")).unwrap();
    let request = format!(
        "{head} HTTP/1.0\r\nAuthorization: Bearer {}\r\nIdempotency-Key: C_7\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        sandbox.token(),
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_killed_sandbox_comes_back_on_its_port_with_its_ledger() {
    let sandbox = Sandbox::start(SandboxOptions::default()).unwrap();
    let (url, pid) = (sandbox.url(), sandbox.process().pid());
    let paid = ask(&sandbox, "POST /internal/v1/campaigns/point/charge", CHARGE);
    assert!(paid.contains("\"SUCCESS\""), "{paid}");
    sandbox.process().kill9().unwrap();
    sandbox.restart().unwrap();
    assert_eq!(sandbox.url(), url);
    assert_ne!(sandbox.process().pid(), pid);
    let summary = ask(&sandbox, "GET /ledger/summary?campaign=C", "");
    assert!(summary.contains("\"paid_count\":1") && summary.contains("10.5"), "{summary}");
}

#[test]
fn a_sandbox_that_does_not_start_says_why() {
    let options = SandboxOptions { args: vec!["--no-such-flag".to_owned()], ..SandboxOptions::default() };
    let error = Sandbox::start(options).unwrap_err().to_string();
    assert!(error.contains("ended while starting") && error.contains("--no-such-flag"), "{error}");
}

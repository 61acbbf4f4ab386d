//! The client against servers that break off, stall, lie and flood, byte by byte over real connections.

#![allow(clippy::unwrap_used)]

#[path = "money/server.rs"]
mod server;

use std::time::{Duration, Instant};

use bytes::Bytes;
use pipeline::domain::CustomerUid;
use pipeline::domain::outcome::Verdict::{Cancelled, Executing, Fault, NotExecuted, NotSeen, Paid, Unknown};
use pipeline::keys::IdempotencyKey;
use pipeline::money::{Money, MoneyConfigError};
use server::Step::{Close, Drip, Flood, Hang, Read, Reset, Send};
use server::{PATH, Server, answer, charge, key, money_key, paid, settings};

/// What no answer may take, on a machine that stands still for a while, too.
const BOUND: Duration = Duration::from_secs(20);
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

fn send(text: impl Into<String>) -> server::Step {
    Send(text.into())
}

#[tokio::test]
async fn a_charge_carries_token_key_and_body_and_nothing_surprising() {
    let server = Server::start(vec![vec![Read, paid("mk1")]]).await;
    let answer = charge(&mut server.connection(), 42).await;
    assert_eq!((answer.verdict, money_key(&answer)), (Paid, Some("mk1")));
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /internal/v1/campaigns/point/charge HTTP/1.1\r\n"), "{head}");
    let mut headers: Vec<_> = head.lines().skip(1).map(str::to_lowercase).collect();
    headers.sort();
    let host = format!("host: {}", server.address);
    #[rustfmt::skip]
    let expected = [
        "accept: application/json", "authorization: bearer secret-token", "content-length: 18",
        "content-type: application/json", &host, "idempotency-key: spring_42",
        concat!("user-agent: payout/", env!("CARGO_PKG_VERSION")),
    ];
    assert_eq!(headers, expected);
    assert!(head.contains("SPRING_42"));
    assert_eq!(body, r#"{"customerUid":42}"#);
}

#[tokio::test]
async fn look_up_and_cancel_name_the_key_in_the_path_behind_the_base() {
    let burnt = r#"{"data":null,"meta":{"result":"SUCCESS"}}"#;
    let script =
        vec![Read, answer("404 Not Found", ""), Read, answer("200 OK", burnt), Read, answer("409 Conflict", "")];
    let server = Server::start(vec![script]).await;
    let money = Money::new(settings(format!("{}/base/path/", server.url()))).unwrap();
    let mut connection = money.connection();
    let odd = IdempotencyKey::new("A b/ü?%", CustomerUid(1), 2);
    assert_eq!(connection.look_up(&odd).await.verdict, NotSeen);
    assert_eq!(connection.cancel(&odd).await.verdict, Cancelled);
    assert_eq!(charge(&mut connection, 1).await.verdict, Executing);
    let requests = server.requests();
    let lines: Vec<_> = requests.iter().map(|request| request.lines().next().unwrap()).collect();
    #[rustfmt::skip]
    assert_eq!(lines, [
        "GET /base/path/internal/v1/campaigns/charges/A%20b%2F%C3%BC%3F%25_1.g2 HTTP/1.1",
        "POST /base/path/internal/v1/campaigns/charges/A%20b%2F%C3%BC%3F%25_1.g2/cancel HTTP/1.1",
        "POST /base/path/internal/v1/campaigns/point/charge HTTP/1.1",
    ]);
    assert!(requests[1].to_lowercase().contains("content-length: 0"), "{}", requests[1]);
    assert!(!requests[1].to_lowercase().contains("idempotency-key"), "{}", requests[1]);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_key_or_path_that_cannot_be_written_down_is_a_fault_and_nothing_is_sent() {
    let server = Server::start(vec![]).await;
    let mut connection = server.connection();
    let broken = IdempotencyKey::new("A\r\nX: y", CustomerUid(1), 1);
    assert_eq!(connection.charge(PATH, &broken, Bytes::new()).await.verdict, Fault);
    for path in ["/a b", "no-slash", "http://elsewhere/x", "/a\r\nb"] {
        let money = connection.charge(path, &key(1), Bytes::new()).await;
        assert_eq!(money.code, "REQUEST_NOT_BUILT", "{path}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn requests_of_a_worker_share_one_connection() {
    let script = (0..20).flat_map(|number| [Read, paid(&format!("mk{number}"))]).collect();
    let server = Server::start(vec![script]).await;
    let mut connection = server.connection();
    for number in 0..20 {
        assert_eq!(money_key(&charge(&mut connection, number).await), Some(format!("mk{number}").as_str()));
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 20));
}

#[tokio::test]
async fn what_comes_before_the_end_of_an_answer_decides_what_is_known() {
    let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
    let long = format!("{HEAD}content-length: 65537\r\n\r\n");
    let ok = server::PAID;
    #[rustfmt::skip]
    let table = vec![
        ("closed after the request", vec![Read, Close], Unknown, "NO_ANSWER_EOF"),
        ("reset after the request", vec![Read, Reset], Unknown, "NO_ANSWER_RESET"),
        ("silence", vec![Read, Hang], Unknown, "TIMEOUT"),
        ("slow head", vec![Read, Drip(HEAD.to_owned()), Hang], Unknown, "TIMEOUT"),
        ("half a head", vec![Read, send("HTTP/1.1 200 OK\r\ncontent-le"), Close], Unknown, "NO_ANSWER_EOF"),
        ("half a head, then a reset", vec![Read, send("HTTP/1.1 200 OK\r\n"), Reset], Unknown, "NO_ANSWER_RESET"),
        ("not HTTP", vec![Read, send("SSH-2.0-OpenSSH\r\n\r\n"), Hang], Unknown, "NOT_HTTP"),
        ("HTTP/2", vec![Read, send("\0\0\x12\x04\0\0\0\0\0\0\0\0\0\0\0\0"), Hang], Unknown, "NOT_HTTP"),
        ("HTTP/0.9", vec![Read, send(ok), Close], Unknown, "NOT_HTTP"),
        ("two lengths", vec![Read, send(format!("{HEAD}content-length: 55\r\ncontent-length: 5\r\n\r\n{ok}")), Hang], Unknown, "NOT_HTTP"),
        ("a length that is none", vec![Read, send(format!("{HEAD}content-length: x\r\n\r\n{ok}")), Hang], Unknown, "NOT_HTTP"),
        ("an endless head", vec![Read, send("HTTP/1.1 200 OK\r\n"), Flood("x: y\r\n".repeat(99))], Unknown, "NOT_HTTP"),
        ("one endless header", vec![Read, send("HTTP/1.1 200 OK\r\nx: "), Flood("y".repeat(4096))], Unknown, "NOT_HTTP"),
        ("body cut", vec![Read, send(format!("{HEAD}content-length: 56\r\n\r\n{ok}")), Close], Unknown, "BODY_TRUNCATED"),
        ("body cut by a reset", vec![Read, send(format!("{HEAD}content-length: 99\r\n\r\n{ok}")), Reset], Unknown, "BODY_TRUNCATED"),
        ("body missing", vec![Read, send(format!("{HEAD}content-length: 55\r\n\r\n")), Close], Unknown, "BODY_TRUNCATED"),
        ("slow body", vec![Read, send(format!("{HEAD}content-length: 55\r\n\r\n")), Drip(ok.to_owned())], Unknown, "BODY_TIMEOUT"),
        ("chunked", vec![Read, send(format!("{chunked}37\r\n{ok}\r\n0\r\n\r\n")), Hang], Paid, "PAID"),
        ("many chunks", vec![Read, send(format!("{chunked}7\r\n{}\r\n30\r\n{}\r\n0\r\n\r\n", &ok[..7], &ok[7..])), Hang], Paid, "PAID"),
        ("chunked with trailers", vec![Read, send(format!("{chunked}37\r\n{ok}\r\n0\r\nx: y\r\n\r\n")), Hang], Paid, "PAID"),
        ("no last chunk", vec![Read, send(format!("{chunked}37\r\n{ok}\r\n")), Close], Unknown, "BODY_TRUNCATED"),
        ("a chunk that is none", vec![Read, send(format!("{chunked}zz\r\n{ok}\r\n0\r\n\r\n")), Hang], Unknown, "BODY_TRUNCATED"),
        ("endless chunks", vec![Read, send(&chunked), Flood("400\r\n".to_owned() + &"x".repeat(1024) + "\r\n")], Unknown, "BODY_TOO_LONG"),
        ("a long body announced", vec![Read, send(&long), Hang], Unknown, "BODY_TOO_LONG"),
        ("a huge body announced", vec![Read, send(format!("{HEAD}content-length: 9999999999999\r\n\r\n")), Hang], Unknown, "BODY_TOO_LONG"),
        ("until the end", vec![Read, send(format!("HTTP/1.0 200 OK\r\n\r\n{ok}")), Close], Paid, "PAID"),
        ("until the end, too long", vec![Read, send("HTTP/1.0 200 OK\r\n\r\n"), Flood("x".repeat(4096))], Unknown, "BODY_TOO_LONG"),
        ("until an end that never comes", vec![Read, send(format!("HTTP/1.0 200 OK\r\n\r\n{ok}")), Hang], Unknown, "BODY_TIMEOUT"),
        ("100 first", vec![Read, send("HTTP/1.1 100 Continue\r\n\r\n"), server::paid("mk1"), Hang], Paid, "PAID"),
        ("103 first", vec![Read, send("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"), server::paid("mk1"), Hang], Paid, "PAID"),
        ("only 100", vec![Read, send("HTTP/1.1 100 Continue\r\n\r\n"), Close], Unknown, "NO_ANSWER_EOF"),
        ("switching protocols", vec![Read, send("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), Hang], Unknown, "HTTP_101"),
        ("no content", vec![Read, send("HTTP/1.1 204 No Content\r\n\r\n"), Hang], Unknown, "HTTP_204"),
        ("an answer before the request is read", vec![server::answer("401 Unauthorized", ""), Hang], Fault, "HTTP_401"),
    ];
    for (name, script, verdict, code) in table {
        let server = Server::start(vec![script]).await;
        let started = Instant::now();
        let answer = charge(&mut server.connection(), 1).await;
        assert_eq!((answer.verdict, answer.code.as_ref()), (verdict, code), "{name}");
        assert!(started.elapsed() < BOUND, "{name} took {:?}", started.elapsed());
        assert_eq!(server.connections(), 1, "{name}: nothing was sent twice");
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_request_was_read_is_never_taken_for_a_failure() {
    for _ in 0..50 {
        let server = Server::start(vec![vec![Close], vec![Close]]).await;
        let answer = charge(&mut server.connection(), 1).await;
        assert!([NotExecuted, Unknown].contains(&answer.verdict), "{answer:?}");
        assert_eq!((server.requests().len(), server.connections()), (0, 1));
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced_and_the_request_sent_once() {
    for ending in [Close, Reset] {
        let server = Server::start(vec![vec![Read, paid("mk1"), ending], vec![Read, paid("mk2"), Hang]]).await;
        let mut connection = server.connection();
        assert_eq!(money_key(&charge(&mut connection, 1).await), Some("mk1"));
        server.seen.ended.notified().await;
        assert_eq!(money_key(&charge(&mut connection, 2).await), Some("mk2"));
        assert_eq!((server.connections(), server.requests().len()), (2, 2));
    }
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_are_never_read_as_an_answer() {
    let stray = vec![Read, paid("mk1"), paid("stray"), Close];
    let server = Server::start(vec![stray, vec![Read, paid("mk2")]]).await;
    let mut connection = server.connection();
    assert_eq!(money_key(&charge(&mut connection, 1).await), Some("mk1"));
    server.seen.ended.notified().await;
    assert_eq!(money_key(&charge(&mut connection, 2).await), Some("mk2"));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_answer_that_ends_the_connection_is_followed_by_a_new_one() {
    let last = format!("{HEAD}connection: close\r\ncontent-length: 55\r\n\r\n{}", server::PAID);
    let server = Server::start(vec![vec![Read, send(last), Hang], vec![Read, paid("mk2")]]).await;
    let mut connection = server.connection();
    assert_eq!(charge(&mut connection, 1).await.verdict, Paid);
    assert_eq!(money_key(&charge(&mut connection, 2).await), Some("mk2"));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn after_an_unknown_outcome_the_connection_is_not_used_again() {
    let late = vec![Read, Hang];
    let server = Server::start(vec![late, vec![Read, paid("mk2")]]).await;
    let mut connection = server.connection();
    assert_eq!(charge(&mut connection, 1).await.code, "TIMEOUT");
    server.seen.ended.notified().await;
    assert_eq!(money_key(&charge(&mut connection, 2).await), Some("mk2"));
}

#[tokio::test]
async fn a_charge_that_is_dropped_midway_takes_its_connection_with_it() {
    let server = Server::start(vec![vec![Read, paid("mk1"), Read, Hang], vec![Read, paid("mk3")]]).await;
    let mut connection = server.connection();
    assert_eq!(money_key(&charge(&mut connection, 1).await), Some("mk1"));
    server.seen.read.notified().await;
    tokio::select! {
        answer = charge(&mut connection, 2) => panic!("{answer:?}"),
        () = server.seen.read.notified() => {}
    }
    server.seen.ended.notified().await;
    assert_eq!(money_key(&charge(&mut connection, 3).await), Some("mk3"));
    assert_eq!((server.connections(), server.requests().len()), (2, 3));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let elsewhere = Server::start(vec![]).await;
        let location = format!("HTTP/1.1 {status}\r\nlocation: {}/x\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
        let server = Server::start(vec![vec![Read, send(location), Hang]]).await;
        assert_eq!(charge(&mut server.connection(), 1).await.verdict, Fault);
        assert_eq!((server.connections(), elsewhere.connections()), (1, 0));
    }
}

#[tokio::test]
async fn cookies_are_not_kept() {
    let cookie = format!("{HEAD}set-cookie: a=b\r\ncontent-length: 55\r\n\r\n{}", server::PAID);
    let server = Server::start(vec![vec![Read, send(cookie), Read, paid("mk2")]]).await;
    let mut connection = server.connection();
    charge(&mut connection, 1).await;
    charge(&mut connection, 2).await;
    assert!(!server.requests()[1].to_lowercase().contains("cookie"));
}

#[tokio::test]
async fn where_nobody_listens_or_no_name_is_known_nothing_was_executed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = charge(&mut Money::new(settings(format!("http://{address}"))).unwrap().connection(), 1).await;
    assert_eq!((refused.verdict, refused.code.as_ref()), (NotExecuted, "CONNECT_REFUSED"));
    let unknown =
        charge(&mut Money::new(settings("http://no-such-host.invalid".into())).unwrap().connection(), 1).await;
    assert_eq!(unknown.verdict, NotExecuted);
    assert!(["CONNECT_DNS", "CONNECT_TIMEOUT"].contains(&unknown.code.as_ref()), "{}", unknown.code);
}

#[tokio::test]
async fn a_service_that_comes_back_is_reached_by_the_same_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let mut connection = Money::new(settings(url)).unwrap().connection();
    let accepted = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.read(&mut [0; 4096]).unwrap();
        let body = server::PAID;
        write!(socket, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    assert_eq!(charge(&mut connection, 1).await.verdict, Paid);
    accepted.join().unwrap();
    assert_eq!(charge(&mut connection, 2).await.code, "CONNECT_REFUSED");
}

#[test]
fn a_url_that_cannot_be_meant_is_refused_without_being_shown() {
    let wrong = [
        "",
        "money",
        "/path",
        "ftp://money",
        "http://",
        "http:///x",
        "http://money:0",
        "http://money:99999",
        "http://money:",
        "http://user:hunter2@money/",
        "http://money/?token=hunter2",
        "http://money/#hunter2",
        "https://a b/",
    ];
    for url in wrong {
        let error = Money::new(settings(url.to_owned())).unwrap_err();
        assert!(matches!(error, MoneyConfigError::Url(_)), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    for url in ["http://money", "http://money:8080/", "http://[::1]:80/a/b/", "http://127.0.0.1", "HTTP://money"] {
        Money::new(settings(url.to_owned())).unwrap();
    }
}

#[test]
fn settings_show_neither_token_nor_url_and_bounds_are_above_zero() {
    let good = settings("http://money/hunter2".to_owned());
    let shown = format!("{good:?} {:?}", Money::new(good.clone()).unwrap());
    assert!(!shown.contains("secret-token") && !shown.contains("hunter2"), "{shown}");
    let mut bad = good.clone();
    bad.token = Some("two\nlines".to_owned());
    let error = Money::new(bad).unwrap_err();
    assert!(matches!(error, MoneyConfigError::Token) && !format!("{error}{error:?}").contains("lines"));
    let mut bad = good.clone();
    bad.timeout = Duration::ZERO;
    assert!(matches!(Money::new(bad), Err(MoneyConfigError::Zero("timeout"))));
    let mut bad = good;
    bad.final_error_codes = vec!["IN_PROGRESS".to_owned()];
    assert!(matches!(Money::new(bad), Err(MoneyConfigError::FinalCode(_))));
}

#[test]
fn a_worker_may_move_between_threads() {
    fn is_send<T: std::marker::Send>(_: T) {}
    let mut connection = Money::new(settings("http://money".to_owned())).unwrap().connection();
    let key = key(1);
    is_send(connection.charge(PATH, &key, Bytes::new()));
    is_send(connection);
}

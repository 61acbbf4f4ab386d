//! A private redis-server: its life, its death, what stays.
#![allow(clippy::unwrap_used)] // tests, and their own helpers

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use servers::{ProcessId, Redis, RedisOptions};

/// One inline command; its reply up to the first line end.
fn ask(redis: &Redis, command: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply.trim_end_matches("+OK\r\n").trim().to_owned())
}

#[test]
fn a_killed_redis_comes_back_on_its_port_with_its_data() {
    let redis = Redis::start(RedisOptions::default()).unwrap();
    let (port, pid) = (redis.port(), redis.pid().unwrap());
    // An answer to a WAITAOF-less server: with `everysec` the write reaches the kernel before the reply, so a kill of
    // the process loses nothing.
    ask(&redis, "SET kept yes").unwrap();
    redis.kill9().unwrap();
    assert!(ask(&redis, "PING").is_err());
    redis.restart().unwrap();
    assert_eq!(redis.port(), port);
    assert_ne!(redis.pid().unwrap(), pid);
    assert_eq!(ask(&redis, "GET kept").unwrap(), "$3\r\nyes");
}

#[test]
fn it_runs_with_an_append_only_file_no_snapshots_and_no_eviction() {
    let options = RedisOptions {
        maxmemory: Some("8mb".to_owned()),
        args: vec!["--appendfsync".to_owned(), "always".to_owned()],
        ..RedisOptions::default()
    };
    let redis = Redis::start(options).unwrap();
    for (key, value) in [
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("save", ""),
        ("maxmemory", "8388608"),
        ("maxmemory-policy", "noeviction"),
        ("stream-node-max-entries", "16"),
        ("databases", "1024"),
    ] {
        let reply = ask(&redis, &format!("CONFIG GET {key}")).unwrap();
        assert!(reply.ends_with(&format!("${}\r\n{value}", value.len()).trim_end()), "{key}: {reply}");
    }
}

#[test]
fn dropping_it_leaves_no_process_and_no_directory() {
    let redis = Redis::start(RedisOptions::default()).unwrap();
    let (id, dir): (ProcessId, _) = (redis.id().unwrap(), redis.dir().to_owned());
    assert!(id.is_running() && dir.exists());
    drop(redis);
    assert!(!id.is_running() && !dir.exists());
}

#[test]
fn a_paused_redis_does_not_answer_until_it_is_resumed() {
    let redis = Redis::start(RedisOptions::default()).unwrap();
    redis.pause().unwrap();
    assert!(ask(&redis, "PING").is_err());
    redis.resume().unwrap();
    assert_eq!(ask(&redis, "PING").unwrap(), "+PONG");
}

#[test]
fn a_paused_redis_can_be_killed() {
    let redis = Redis::start(RedisOptions::default()).unwrap();
    redis.pause().unwrap();
    redis.kill9().unwrap();
}

#[test]
fn a_stopped_redis_can_be_restarted_and_two_do_not_meet() {
    let one = Redis::start(RedisOptions::default()).unwrap();
    let two = Redis::start(RedisOptions::default()).unwrap();
    assert_ne!(one.port(), two.port());
    ask(&one, "SET who one").unwrap();
    one.stop().unwrap();
    one.restart().unwrap();
    assert_eq!(ask(&one, "GET who").unwrap(), "$3\r\none");
    assert_eq!(ask(&two, "GET who").unwrap(), "$-1");
}

#[test]
fn a_given_directory_is_kept_and_found_again() {
    let dir = servers::target_dir().join(format!("servers/test-{}", std::process::id()));
    let options = RedisOptions { dir: Some(dir.clone()), ..RedisOptions::default() };
    let redis = Redis::start(options.clone()).unwrap();
    ask(&redis, "SET kept yes").unwrap();
    drop(redis);
    let redis = Redis::start(options).unwrap();
    let reply = ask(&redis, "GET kept").unwrap();
    drop(redis);
    std::fs::remove_dir_all(dir).unwrap();
    assert_eq!(reply, "$3\r\nyes");
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let options =
        RedisOptions { args: vec!["--no-such-setting".to_owned(), "1".to_owned()], ..RedisOptions::default() };
    let error = Redis::start(options).unwrap_err().to_string();
    assert!(error.contains("ended while starting"), "{error}");
    assert!(error.contains("no-such-setting"), "{error}");
}

#[test]
fn a_missing_program_names_its_package_and_the_command_that_installs_it() {
    let error = servers::program(&["no-such-server"], servers::Package("some-package"));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("some-package") && error.contains("cargo xtask install"), "{error}");
}

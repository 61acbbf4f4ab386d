//! A private MariaDB or MySQL server: its life, its death, what stays.
#![allow(clippy::unwrap_used)] // tests, and their own helpers

use std::net::TcpStream;

use servers::{Fixture, MySql, MySqlOptions};

fn start() -> MySql {
    MySql::start(MySqlOptions::default()).unwrap()
}

/// Fails unless the row is there: the statement reads it in a way that errors when it is missing.
fn must_hold(mysql: &MySql, table: &str) {
    let count = format!("(SELECT COUNT(*) FROM {table})");
    let refuse = "(SELECT 1 UNION SELECT 2)";
    mysql.sql(&format!("SELECT IF({count} = 1, 1, {refuse})")).unwrap();
}

#[test]
fn a_killed_server_comes_back_on_its_port_with_what_was_committed() {
    let mysql = start();
    let port = mysql.port();
    mysql.create_database("kept").unwrap();
    mysql.sql("CREATE TABLE kept.t (id INT PRIMARY KEY)").unwrap();
    mysql.sql("INSERT INTO kept.t VALUES (1)").unwrap();
    mysql.kill9().unwrap();
    assert!(mysql.sql("SELECT 1").is_err());
    mysql.restart().unwrap();
    assert_eq!(mysql.port(), port);
    must_hold(&mysql, "kept.t");
}

#[test]
fn a_stopped_server_comes_back_and_two_do_not_meet() {
    let one = start();
    let two = start();
    assert_ne!(one.port(), two.port());
    one.create_database("mine").unwrap();
    one.stop().unwrap();
    one.restart().unwrap();
    assert!(one.create_database("mine").is_err());
    two.create_database("mine").unwrap();
}

#[test]
fn the_template_is_filled_once() {
    let filled = |mysql: &MySql| {
        let key = if mysql.is_mariadb() { "template-mariadb-" } else { "template-mysql-" };
        let entries = std::fs::read_dir(servers::target_dir().join("servers")).unwrap().map(Result::unwrap);
        let mut templates: Vec<_> = entries
            .filter(|entry| entry.file_type().unwrap().is_dir() && entry.file_name().to_string_lossy().starts_with(key))
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap()))
            .collect();
        templates.sort();
        templates
    };
    let before = filled(&start());
    assert!(!before.is_empty());
    assert_eq!(filled(&start()), before);
}

#[test]
fn dropping_it_leaves_no_process_and_no_directory() {
    let mysql = start();
    let (id, dir, socket) = (mysql.id().unwrap(), mysql.dir().to_owned(), mysql.socket());
    assert!(id.is_running() && dir.exists() && socket.exists());
    drop(mysql);
    assert!(!id.is_running() && !dir.exists() && !socket.exists());
}

#[test]
fn it_is_set_up_as_the_pipeline_expects() {
    let mysql = start();
    for (variable, value) in [
        ("innodb_flush_log_at_trx_commit", "1"),
        ("innodb_buffer_pool_size", "134217728"),
        ("innodb_lock_wait_timeout", "5"),
        ("local_infile", "0"),
        ("skip_name_resolve", "1"),
        ("character_set_server", "'utf8mb4'"),
        ("log_bin", "0"),
    ] {
        let refuse = "(SELECT 1 UNION SELECT 2)";
        let check = format!("SELECT IF(@@{variable} = {value}, 1, {refuse})");
        mysql.sql(&check).unwrap_or_else(|error| panic!("{variable}: {error:#}"));
    }
}

#[test]
fn a_paused_server_accepts_connections_and_says_nothing() {
    let mysql = start();
    mysql.pause().unwrap();
    TcpStream::connect(("127.0.0.1", mysql.port())).unwrap();
    mysql.resume().unwrap();
    mysql.sql("SELECT 1").unwrap();
}

#[test]
fn a_failed_statement_says_what_the_server_said() {
    let error = start().sql("SELECT * FROM mysql.no_such_table").unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("1146") && error.contains("no_such_table"), "{error}");
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let options = MySqlOptions { args: vec!["--no-such-setting=1".to_owned()], ..MySqlOptions::default() };
    let error = MySql::start(options).unwrap_err().to_string();
    assert!(error.contains("no-such-setting"), "{error}");
}

#[test]
fn every_test_gets_a_database_of_its_own_on_the_shared_servers() {
    let fixture = Fixture::shared();
    let urls: Vec<String> = (0..3).map(|_| fixture.fresh_database().unwrap()).collect();
    assert!(urls[0].starts_with("mysql://payout:") && urls[0] != urls[1] && urls[1] != urls[2]);
    let dbs: Vec<String> = (0..3).map(|_| fixture.fresh_redis_db().unwrap()).collect();
    assert!(dbs[0] != dbs[1] && dbs[1] != dbs[2] && !dbs.iter().any(|url| url.ends_with("/0")));
}

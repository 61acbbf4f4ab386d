//! A server that goes away, forgets its scripts, or is frozen.

use std::time::{Duration, Instant};

use pipeline::streams::{Outage, Published, ReadError, Streams, StreamsError};

use crate::support::{BOUND, P, Space, batch, partition, published, published_ids};

fn server() -> servers::Redis {
    servers::Redis::start(servers::RedisOptions {
        args: ["--appendfsync", "always"].map(String::from).to_vec(),
        ..servers::RedisOptions::default()
    })
    .unwrap()
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again_and_only_those() {
    let server = server();
    let mut space = Space::at(&server.url()).await;
    space.publish(1..=3).await;
    let read = space.read("a", 3).await;
    assert_eq!(space.settle(&read[..1]).await, 1);
    space.say("SCRIPT FLUSH").await;
    let batches = [batch(P, 3, [4]), batch(partition(1), 0, [1]), batch(partition(2), 0, [1])];
    let results = space.streams.publish(&batches).await.unwrap();
    assert_eq!(results, [Ok(Published::Done), Ok(Published::Done), Ok(Published::Done)]);
    assert_eq!(space.settle(&read).await, 2);
    assert_eq!(space.counted("published_count").await, 4);
}

#[tokio::test]
async fn after_a_crash_of_the_server_everything_goes_on() {
    let server = server();
    let mut space = Space::at(&server.url()).await;
    space.publish(1..=3).await;
    let read = space.read("a", 2).await;
    server.kill9().unwrap();
    let away = space.streams.publish(&[batch(P, 3, [4])]).await;
    assert!(matches!(away, Err(StreamsError::Unavailable(Outage::Connection, _))), "{away:?}");
    let started = Instant::now();
    assert!(matches!(space.streams.ping().await, Err(StreamsError::Unavailable(..))));
    assert!(started.elapsed() < Duration::from_secs(5), "the answer that Redis is away comes soon");
    assert!(matches!(
        space.reader.read("a", &[P], 10, None).await,
        Err(ReadError::Failed(StreamsError::Unavailable(..)))
    ));
    server.restart().unwrap();
    let started = Instant::now();
    let result = loop {
        match space.streams.publish(&[batch(P, 3, [4])]).await {
            Ok(mut results) => break results.pop().unwrap(),
            Err(StreamsError::Unavailable(..)) => assert!(started.elapsed() < BOUND),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(result, Ok(Published::Done), "NOSCRIPT is not seen");
    assert_eq!(space.settle(&read).await, 2);
    let mut after = std::collections::HashMap::new();
    assert_eq!(space.reader.drain("a", &[P], &mut after, 10).await, Ok(vec![]));
    assert_eq!(space.read("a", 10).await, published_ids(3..=4));
    assert!(space.streams.consumers(&[P]).await.is_ok(), "the pool too");
}

#[tokio::test]
async fn a_redis_that_is_away_at_start_is_an_error_of_the_first_call() {
    let server = server();
    server.kill9().unwrap();
    let streams = Streams::new(&server.url()).unwrap();
    assert!(matches!(streams.ping().await, Err(StreamsError::Unavailable(Outage::Connection, _))));
    assert!(matches!(streams.server_facts().await, Err(StreamsError::Unavailable(Outage::Connection, _))));
    server.restart().unwrap();
    let started = Instant::now();
    while let Err(error) = streams.ping().await {
        assert!(started.elapsed() < BOUND, "{error}");
    }
}

#[tokio::test]
async fn a_frozen_server_is_a_timeout_and_is_reached_again_when_it_thaws() {
    let server = server();
    let mut space = Space::at(&server.url()).await;
    space.publish([1]).await;
    server.pause().unwrap();
    let frozen = space.streams.publish(&[batch(P, 1, [2])]).await;
    assert!(matches!(frozen, Err(StreamsError::Unavailable(Outage::Timeout, _))), "{frozen:?}");
    server.resume().unwrap();
    space.streams.ping().await.unwrap();
    // The command was executed after all, or is now: once in any case.
    let again = published(&space.streams, batch(P, 1, [2])).await;
    assert!(matches!(again, Published::Done | Published::Last { first: 2, .. }), "{again:?}");
    assert_eq!(space.counted("published_count").await, 2);
}

#[tokio::test]
async fn a_demoted_server_is_unavailable_and_the_connection_is_given_up() {
    let server = server();
    let mut space = Space::at(&server.url()).await;
    space.publish([1]).await;
    space.say("REPLICAOF 127.0.0.1 1").await;
    let result = space.streams.publish(&[batch(P, 1, [2])]).await.unwrap().pop().unwrap();
    assert!(matches!(result, Err(StreamsError::Unavailable(Outage::Failover, _))), "{result:?}");
    space.say("REPLICAOF NO ONE").await;
    assert_eq!(published(&space.streams, batch(P, 1, [2])).await, Published::Done);
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_without_repeating_it() {
    for url in ["", "localhost", "http://x:secret@h", "redis://u:secret@host:port/0", "redis://h/secret"] {
        let error = Streams::new(url).unwrap_err().to_string();
        assert!(error.contains("URL") && !error.contains("secret"), "{url}: {error}");
    }
    Streams::new("rediss://user:password@cache.example:6380/2").unwrap();
}

#[tokio::test]
async fn a_plain_server_at_a_tls_url_is_an_error_and_no_panic() {
    let server = server();
    let streams = Streams::new(&server.url().replace("redis://", "rediss://")).unwrap();
    let error = streams.ping().await.unwrap_err();
    assert!(matches!(error, StreamsError::Unavailable(Outage::Connection | Outage::Timeout, _)), "{error:?}");
}

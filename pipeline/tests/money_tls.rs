//! Over TLS the request leaves only after the other side has proved who it is.

#![allow(clippy::unwrap_used)]

#[path = "money/server.rs"]
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use pipeline::domain::outcome::Answer;
use pipeline::domain::outcome::Verdict::{Fault, NotExecuted, Paid};
use pipeline::money::{Money, MoneyConfigError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use server::Step::{Close, Hang, Read, Send};
use server::{Server, Step, charge, paid, settings};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::version::TLS12;
use tokio_rustls::rustls::{ALL_VERSIONS, ServerConfig, SupportedProtocolVersion};

/// An authority of our own, and a file with its certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = std::env::temp_dir().join(format!("money-tls-{}-{name}.pem", std::process::id()));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// A server's certificate for `host`, good until the end of `last_year`.
    fn issue(&self, host: &str, last_year: i32, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 12, 31);
        let certificate = params.signed_by(&pair, &self.issuer).unwrap();
        serve(certificate.der().clone(), &pair, versions)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn serve(
    certificate: tokio_rustls::rustls::pki_types::CertificateDer<'static>,
    pair: &KeyPair,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

/// A server that plays the script on every connection; counts the bytes that it was sent inside TLS.
async fn start(config: Arc<ServerConfig>, script: Vec<Step>) -> (u16, Arc<AtomicUsize>, Arc<server::Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (opened, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(server::Seen::default()));
    let (count, witness) = (Arc::clone(&opened), Arc::clone(&seen));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut stream) = TlsAcceptor::from(Arc::clone(&config)).accept(socket).await else { continue };
            count.fetch_add(1, Ordering::SeqCst);
            for step in script.clone() {
                if !server::step_on(&mut stream, step, &witness).await {
                    break;
                }
            }
        }
    });
    (port, opened, seen)
}

async fn ask(host: &str, port: u16, ca_file: Option<&Authority>) -> Answer {
    let mut settings = settings(format!("https://{host}:{port}"));
    settings.ca_file = ca_file.map(|authority| authority.file.clone());
    // Keys are made and proved by slow test builds on busy hosts.
    settings.timeout *= 10;
    settings.connect_timeout *= 10;
    charge(&mut Money::new(settings).unwrap().connection(), 1).await
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_for_this_name_is_accepted() {
    let authority = Authority::new("trusted");
    for (host, versions) in [("localhost", ALL_VERSIONS), ("127.0.0.1", ALL_VERSIONS), ("localhost", &[&TLS12][..])] {
        let (port, ..) = start(authority.issue(host, 2090, versions), vec![Read, paid("mk1")]).await;
        assert_eq!(ask(host, port, Some(&authority)).await.verdict, Paid, "{host}");
    }
}

#[tokio::test]
async fn whoever_cannot_prove_its_name_gets_no_byte_of_a_request() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let pair = KeyPair::generate().unwrap();
    let lonely = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
    #[rustfmt::skip]
    let table = [
        ("another's name", ours.issue("money.example", 2090, ALL_VERSIONS)),
        ("a name for an address", ours.issue("127.0.0.1", 2090, ALL_VERSIONS)),
        ("expired", ours.issue("localhost", 2021, ALL_VERSIONS)),
        ("another authority", other.issue("localhost", 2090, ALL_VERSIONS)),
        ("self-signed", serve(lonely.der().clone(), &pair, ALL_VERSIONS)),
        ("another authority, TLS 1.2", other.issue("localhost", 2090, &[&TLS12])),
    ];
    for (name, config) in table {
        let (port, opened, seen) = start(config, vec![Read, paid("mk1")]).await;
        let answer = ask("localhost", port, Some(&ours)).await;
        assert_eq!((answer.verdict, answer.code.as_ref()), (Fault, "TLS_CERTIFICATE"), "{name}");
        assert_eq!(opened.load(Ordering::SeqCst), 0, "{name}");
        assert!(seen.requests.lock().unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_no_byte_of_a_request() {
    let authority = Authority::new("plain");
    for script in [vec![Send("HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()), Hang], vec![Close]] {
        let server = Server::start(vec![script]).await;
        let answer = ask("127.0.0.1", server.address.port(), Some(&authority)).await;
        assert_eq!((answer.verdict, answer.code.as_ref()), (NotExecuted, "TLS_HANDSHAKE"));
        assert!(server.requests().is_empty());
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_with_the_connect_timeout() {
    let authority = Authority::new("stall");
    let server = Server::start(vec![vec![Hang]]).await;
    let mut settings = settings(format!("https://localhost:{}", server.address.port()));
    settings.ca_file = Some(authority.file.clone());
    let started = Instant::now();
    let answer = charge(&mut Money::new(settings.clone()).unwrap().connection(), 1).await;
    assert_eq!((answer.verdict, answer.code.as_ref()), (NotExecuted, "CONNECT_TIMEOUT"));
    assert!(started.elapsed() >= settings.connect_timeout && started.elapsed() < settings.connect_timeout * 50);
}

#[tokio::test]
async fn over_tls_too_requests_share_a_connection_until_it_is_closed() {
    let authority = Authority::new("shared");
    let config = authority.issue("localhost", 2090, ALL_VERSIONS);
    let (port, opened, seen) = start(config, vec![Read, paid("mk1"), Read, paid("mk2"), Close]).await;
    let mut settings = settings(format!("https://localhost:{port}"));
    settings.ca_file = Some(authority.file.clone());
    settings.timeout *= 10;
    settings.connect_timeout *= 10;
    let mut connection = Money::new(settings).unwrap().connection();
    let mut keys = Vec::new();
    for customer in 1..=4 {
        let answer = charge(&mut connection, customer).await;
        keys.push(server::money_key(&answer).unwrap_or("none").to_owned());
        if customer == 2 {
            // The closing is on its way; until it has arrived, a request that meets it would be unknown.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    assert_eq!(keys, ["mk1", "mk2", "mk1", "mk2"]);
    assert_eq!((opened.load(Ordering::SeqCst), seen.requests.lock().unwrap().len()), (2, 4));
}

#[test]
fn a_ca_file_that_trusts_nobody_is_refused() {
    let file = std::env::temp_dir().join(format!("money-tls-{}-empty.pem", std::process::id()));
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n"]
    {
        std::fs::write(&file, text).unwrap();
        let mut settings = settings("https://money".to_owned());
        settings.ca_file = Some(file.clone());
        assert!(matches!(Money::new(settings), Err(MoneyConfigError::CaFile { .. })), "{text}");
    }
    std::fs::remove_file(&file).unwrap();
    let mut settings = settings("https://money".to_owned());
    settings.ca_file = Some(file);
    assert!(matches!(Money::new(settings), Err(MoneyConfigError::CaFile { .. })));
}

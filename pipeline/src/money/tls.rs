//! TLS: who is trusted, and what a failed handshake means.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, Error as TlsError, RootCertStore};

use super::{ConnectProblem, MoneyConfigError};

/// TLS 1.2 or 1.3, names verified, the system's roots and those of `ca_file` trusted.
pub(super) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, MoneyConfigError> {
    let mut roots = RootCertStore::empty();
    // Single certificates of the system that cannot be read are left out, as every TLS client does.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let fault = |reason: String| MoneyConfigError::CaFile { path: path.to_owned(), reason };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))? {
            let certificate = certificate.map_err(|error| fault(error.to_string()))?;
            roots.add(certificate).map_err(|error| fault(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(fault("it holds no certificate".to_owned()));
        }
    }
    if roots.is_empty() {
        return Err(MoneyConfigError::NoRoots);
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| MoneyConfigError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A certificate that is not accepted is a fault of the configuration, here or there, and does not pass by
/// itself; everything else may.
pub(super) fn problem(error: &io::Error) -> ConnectProblem {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(
            TlsError::InvalidCertificate(_)
            | TlsError::NoCertificatesPresented
            | TlsError::UnsupportedNameType
            | TlsError::InvalidCertRevocationList(_),
        ) => ConnectProblem::TlsCertificate,
        Some(_) | None => ConnectProblem::TlsHandshake,
    }
}

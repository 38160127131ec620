//! Encryption with a certificate and its key from files.

use std::path::Path;
use std::sync::Arc;

use ild_cli::Refusal;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What the server speaks inside (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// TLS 1.2 and 1.3 with the certificates in `certificates`, the server's own first, and its key in `key`,
/// both PEM.
///
/// # Errors
/// Refuses files that hold none, and a key of another certificate.
pub fn acceptor(certificates: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let text = ild_io::read_text(certificates)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
        Refusal::of(certificates)
            .expected("certificates (-----BEGIN CERTIFICATE-----)")
            .found("none that can be read")
            .next("name the PEM file that the hospital's authority has given out, chain included")
    })?;
    let secret = ild_io::read_text(key)?;
    let secret = PrivateKeyDer::from_pem_slice(secret.as_bytes()).map_err(|_| {
        Refusal::of(key)
            .expected("a private key without a password (-----BEGIN PRIVATE KEY-----)")
            .found("none that can be read")
            .next("take a password off with: openssl pkey -in FILE -out NEW")
    })?;
    let versions = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?;
    let config = versions.with_no_client_auth().with_single_cert(chain, secret);
    let mut config = config.map_err(|error| {
        Refusal::of(certificates)
            .expected(format!("the certificate of the key in {}", key.display()))
            .found(error.to_string())
            .next("name the two files that belong together, the server's own certificate first")
    })?;
    config.alpn_protocols = vec![HTTP.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

//! TLS of the API: the certificate of the config, or until there is one a certificate that the gateway makes and signs
//! itself; who may show a certificate; taken up anew when the config or its files change.

mod self_signed;

use crate::access::certificates::fingerprint;
use crate::error::ApiError;
use bulkhead_config::Config;
use parking_lot::RwLock;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// What is spoken over TLS, the better first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
/// HTTP/2 in the handshake.
pub(crate) const HTTP_2: &[u8] = b"h2";

/// A certificate that is in use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownCertificate {
    /// SHA-256 of it, in small hexadecimal digits.
    pub fingerprint: String,
    /// Whether the gateway has signed it itself.
    pub is_self_signed: bool,
}

/// TLS of a running server. Clones share it.
#[derive(Clone)]
pub(crate) struct LiveTls(Arc<RwLock<Tls>>);

/// TLS as one config has it.
#[derive(Clone)]
pub(crate) struct Tls {
    server: Arc<ServerConfig>,
    shown: ShownCertificate,
}

impl LiveTls {
    pub(crate) fn new(tls: Tls) -> Self {
        Self(Arc::new(RwLock::new(tls)))
    }

    /// That of this moment, for one connection.
    pub(crate) fn now(&self) -> Arc<ServerConfig> {
        self.0.read().server.clone()
    }

    /// The certificate that is in use.
    pub(crate) fn shown(&self) -> ShownCertificate {
        self.0.read().shown.clone()
    }

    /// Goes by another; a new certificate is told in the journal.
    pub(crate) fn set(&self, tls: Tls) {
        let mut now = self.0.write();
        if now.shown != tls.shown {
            tracing::info!(fingerprint = %tls.shown.fingerprint, "the API shows another certificate");
        }
        *now = tls;
    }
}

impl Tls {
    /// Takes it from a config. Reads the files it names, and makes a certificate in the data folder where none is named.
    ///
    /// # Errors
    /// [`ApiError::File`], [`ApiError::Credential`] for the key.
    pub(crate) fn of(config: &Config) -> Result<Self, ApiError> {
        let (chain, key, is_self_signed) = match (&config.api.tls.certificate_file, &config.api.tls.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("api.tls.certificate_file", &config.resolve(certificate))?;
                let wrong = |reason| ApiError::Credential { place: "api.tls.key".into(), reason };
                let text = key.reveal(&config.base_dir).map_err(wrong)?;
                let key = PrivateKeyDer::from_pem_slice(text.as_bytes());
                (chain, key.map_err(|_| wrong("it is no private key (PEM)".into()))?, false)
            }
            _ => {
                let (chain, key) = self_signed::of(config)?;
                (chain, key, true)
            }
        };
        let fingerprint = chain.first().map(|first| fingerprint(first)).unwrap_or_default();
        let server = server(config, chain, key)?;
        Ok(Self { server: Arc::new(server), shown: ShownCertificate { fingerprint, is_self_signed } })
    }
}

fn server(
    config: &Config,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, ApiError> {
    let provider = Arc::new(ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let wrong = |error: rustls::Error| ApiError::Tls { reason: error.to_string() };
    let builder = versions.map_err(wrong)?;
    let builder = match &config.api.tls.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            const KEY: &str = "api.tls.client_ca_file";
            let path = config.resolve(file);
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(KEY, &path)?);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated();
            let verifier =
                verifier.build().map_err(|error| ApiError::File { key: KEY, path, reason: error.to_string() })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(wrong)?;
    server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(server)
}

/// The certificates of a file.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ApiError> {
    let wrong = |reason: String| ApiError::File { key, path: path.to_owned(), reason };
    let text = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| wrong(format!("is damaged: {error}")))?;
    if all.is_empty() { Err(wrong("has no certificate (PEM) in it".into())) } else { Ok(all) }
}

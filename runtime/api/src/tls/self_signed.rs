//! A certificate that the gateway makes at its first start and signs itself, kept in the data folder so that its fingerprint
//! stays. Nobody vouches for it: whoever connects compares the fingerprint with the one in the journal.

use super::certificates;
use crate::access::store::{private_folder, replace};
use crate::error::ApiError;
use base64::Engine as _;
use bulkhead_config::Config;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// Both in one file, so that a power cut leaves both or none.
const FILE: &str = "self-signed.pem";
/// Characters of a line of PEM.
const LINE: usize = 64;
const KEY: &str = "gateway.data_dir";

/// The certificate of a config's data folder with its key; made where there is none.
pub(super) fn of(config: &Config) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ApiError> {
    let path = config.accounts_file().with_file_name(FILE);
    if !path.exists() {
        make(config, &path)?;
    }
    let wrong = |reason: String| ApiError::File { key: KEY, path: path.clone(), reason };
    let key = PrivateKeyDer::from_pem_file(&path)
        .map_err(|error| wrong(format!("has no key: {error}; delete it, and the next start makes another")))?;
    Ok((certificates(KEY, &path)?, key))
}

fn make(config: &Config, path: &Path) -> Result<(), ApiError> {
    let wrong = |reason: String| ApiError::File { key: KEY, path: path.to_owned(), reason };
    let failed = |error: rcgen::Error| wrong(format!("cannot be made: {error}"));
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(names(config)).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("bulkhead {}", config.gateway.name));
    let certificate = params.self_signed(&key).map_err(failed)?;
    let text = pem("CERTIFICATE", certificate.der()) + &pem("PRIVATE KEY", &key.serialize_der());
    private_folder(path.parent().unwrap_or(Path::new(".")))
        .and_then(|()| replace(path, text.as_bytes()))
        .map_err(|error| wrong(format!("cannot be written: {error}")))
}

/// The names by which others may come to this machine.
fn names(config: &Config) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !host.is_empty() && host.chars().all(is_name) && host != "localhost" {
        names.push(host);
    }
    let ip = config.api.listen.ip();
    if !ip.is_unspecified() && !ip.is_loopback() {
        names.push(ip.to_string());
    }
    names
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(LINE).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

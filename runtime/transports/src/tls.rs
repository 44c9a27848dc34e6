//! TLS as a client: rustls with ring, the operator's authorities or those of the operating system, and our own
//! certificate for servers that ask for one.

use crate::{Context, TransportError};
use bulkhead_model::transport::Tls;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// The TLS settings as rustls takes them. Reads the files; opens no socket.
pub(crate) fn client_config(settings: &Tls, context: &Context) -> Result<ClientConfig, TransportError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| context.setting_error("tls", "rustls", format!("TLS 1.2 and 1.3: {error}")))?
        .with_root_certificates(roots(settings, context)?);
    match (&settings.certificate_file, &settings.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain = certificates("certificate_file", certificate, context)?;
            let path = context.base_dir.join(key);
            let key_der = PrivateKeyDer::from_pem_file(&path).map_err(|error| {
                certificate_error(context, "key_file", key, format!("expected a private key in PEM: {error}"))
            })?;
            builder.with_client_auth_cert(chain, key_der).map_err(|error| {
                certificate_error(context, "key_file", key, format!("does not belong to the certificate: {error}"))
            })
        }
        (Some(path), None) => {
            Err(certificate_error(context, "certificate_file", path, "needs `key_file` beside it".into()))
        }
        (None, Some(path)) => {
            Err(certificate_error(context, "key_file", path, "needs `certificate_file` beside it".into()))
        }
    }
}

fn roots(settings: &Tls, context: &Context) -> Result<RootCertStore, TransportError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &settings.ca_file {
        for certificate in certificates("ca_file", path, context)? {
            roots.add(certificate).map_err(|error| {
                certificate_error(context, "ca_file", path, format!("holds what is no authority: {error}"))
            })?;
        }
        return Ok(roots);
    }
    // Single certificates of the system that cannot be read are left out, as every client does.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(roots)
}

fn certificates(
    setting: &'static str,
    path: &Path,
    context: &Context,
) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let wrong = |reason: String| certificate_error(context, setting, path, reason);
    let found: Vec<_> = CertificateDer::pem_file_iter(context.base_dir.join(path))
        .and_then(Iterator::collect)
        .map_err(|error| wrong(format!("expected certificates in PEM: {error}")))?;
    if found.is_empty() { Err(wrong("holds no certificate in PEM".into())) } else { Ok(found) }
}

fn certificate_error(context: &Context, setting: &'static str, path: &Path, reason: String) -> TransportError {
    TransportError::Certificate {
        connection: context.connection.clone(),
        role: context.role.clone(),
        setting,
        path: path.display().to_string(),
        reason,
    }
}

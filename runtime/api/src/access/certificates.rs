//! What stands in a client's certificate, as far as the config can name it: its fingerprint, the subject's common name, DNS
//! names. The certificate has been verified by rustls before; here it is only taken apart (X.509, DER).

use super::random::hex;
use bulkhead_config::ClientCertificate;
use sha2::{Digest, Sha256};

/// DER of 2.5.4.3, a common name.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// DER of 2.5.29.17, alternative names of the subject.
const ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];
/// Names read of one certificate.
const NAMES_MAX: usize = 100;

/// A client's certificate, as far as the config can name it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct PeerCertificate {
    /// SHA-256 of it, in small hexadecimal digits.
    pub(crate) fingerprint: String,
    pub(crate) common_names: Vec<String>,
    pub(crate) dns_names: Vec<String>,
}

/// The fingerprint of a certificate: SHA-256 in small hexadecimal digits.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    hex(&Sha256::digest(der))
}

impl PeerCertificate {
    /// Of a certificate in DER. What cannot be read of it fits nothing.
    pub(crate) fn of(der: &[u8]) -> Self {
        let names = names(der).unwrap_or_default();
        Self { fingerprint: fingerprint(der), common_names: names.0, dns_names: names.1 }
    }

    /// Whether the config means this one. A subject with several common names fits none.
    pub(crate) fn fits(&self, known: &ClientCertificate) -> bool {
        match known {
            ClientCertificate::Fingerprint { fingerprint, .. } => self.fingerprint.eq_ignore_ascii_case(fingerprint),
            ClientCertificate::CommonName { common_name, .. } => self.common_names == [common_name.as_str()],
            ClientCertificate::DnsName { dns_name, .. } => {
                self.dns_names.iter().any(|name| name.eq_ignore_ascii_case(dns_name))
            }
        }
    }
}

/// Reads values of DER one after the other.
#[derive(Clone, Copy)]
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    /// The next value: its tag and content.
    fn next(&mut self) -> Option<(u8, Der<'d>)> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if digits.is_empty() || digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, Der(content)))
    }

    /// The next value, which must have this tag.
    fn expect(&mut self, tag: u8) -> Option<Der<'d>> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
/// Version and extensions of a certificate, a DNS name among names: tags of the context.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;

/// Common names and DNS names of a certificate.
fn names(der: &[u8]) -> Option<(Vec<String>, Vec<String>)> {
    let mut body = Der(der).expect(SEQUENCE)?.expect(SEQUENCE)?;
    let (tag, _) = body.next()?;
    // Version is optional; the serial number follows, then the signature's algorithm, issuer and validity.
    let before_subject = if tag == VERSION { 4 } else { 3 };
    for _ in 0..before_subject {
        body.next()?;
    }
    let common_names = common_names(body.expect(SEQUENCE)?)?;
    let mut dns_names = Vec::new();
    while let Some((tag, content)) = body.next() {
        if tag == EXTENSIONS {
            dns_names = alternative_names(content)?;
        }
    }
    Some((common_names, dns_names))
}

fn common_names(mut subject: Der<'_>) -> Option<Vec<String>> {
    let mut found = Vec::new();
    while !subject.0.is_empty() && found.len() < NAMES_MAX {
        let mut set = subject.expect(SET)?;
        while !set.0.is_empty() {
            let mut pair = set.expect(SEQUENCE)?;
            let (kind, (tag, value)) = (pair.expect(OBJECT)?, pair.next()?);
            if kind.0 == COMMON_NAME {
                found.push(text(tag, value.0)?);
            }
        }
    }
    Some(found)
}

/// UTF8String, PrintableString and IA5String; older ones are in no certificate of today.
fn text(tag: u8, bytes: &[u8]) -> Option<String> {
    matches!(tag, 0x0c | 0x13 | 0x16).then(|| String::from_utf8(bytes.to_vec()).ok())?
}

fn alternative_names(mut wrapped: Der<'_>) -> Option<Vec<String>> {
    let mut extensions = wrapped.expect(SEQUENCE)?;
    let mut found = Vec::new();
    while !extensions.0.is_empty() {
        let mut extension = extensions.expect(SEQUENCE)?;
        let kind = extension.expect(OBJECT)?;
        let (mut tag, mut content) = extension.next()?;
        if tag == BOOLEAN {
            (tag, content) = extension.next()?;
        }
        if kind.0 != ALTERNATIVE_NAMES || tag != OCTETS {
            continue;
        }
        let mut names = content.expect(SEQUENCE)?;
        while let Some((tag, name)) = names.next() {
            if tag == DNS_NAME && found.len() < NAMES_MAX {
                found.push(String::from_utf8(name.0.to_vec()).ok()?);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_config::ApiRole;
    use proptest::prelude::*;

    fn certificate(common_name: &str, dns_names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Plant");
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_read_as_they_stand_there() {
        let shown = PeerCertificate::of(&certificate("mes", &["mes.plant.example", "b.example"]));
        assert_eq!(shown.common_names, ["mes"]);
        assert_eq!(shown.dns_names, ["mes.plant.example", "b.example"]);
        let role = ApiRole::Viewer;
        let fits = |known: ClientCertificate| shown.fits(&known);
        assert!(fits(ClientCertificate::CommonName { common_name: "mes".into(), role }));
        assert!(fits(ClientCertificate::DnsName { dns_name: "B.example".into(), role }));
        assert!(fits(ClientCertificate::Fingerprint { fingerprint: shown.fingerprint.to_uppercase(), role }));
        assert!(!fits(ClientCertificate::CommonName { common_name: "mes.plant.example".into(), role }));
        assert!(!fits(ClientCertificate::DnsName { dns_name: "mes".into(), role }));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(change in any::<(prop::sample::Index, u8)>(), cut in any::<prop::sample::Index>()) {
            let mut der = certificate("mes", &["mes.plant.example"]);
            let at = change.0.index(der.len());
            der[at] = change.1;
            der.truncate(cut.index(der.len() + 1));
            _ = PeerCertificate::of(&der);
        }
    }
}

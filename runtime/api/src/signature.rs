//! Signatures of webhooks: HMAC with SHA-256 (RFC 2104) over the body, or over a text with body and time, in a header field.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulkhead_config::{SignatureAlgorithm, SignatureEncoding, WebhookSignature};
use jiff::Timestamp as Moment;

/// What stands for the body and for the time in what is signed.
const BODY: &str = "{body}";
const TIMESTAMP: &str = "{timestamp}";

/// Checks signatures with a secret.
#[derive(Clone)]
pub(crate) struct Signer {
    key: ring::hmac::Key,
    given: WebhookSignature,
}

impl Signer {
    pub(crate) fn new(given: WebhookSignature, secret: &str) -> Self {
        let algorithm = match given.algorithm {
            SignatureAlgorithm::Sha256 => ring::hmac::HMAC_SHA256,
        };
        Self { key: ring::hmac::Key::new(algorithm, secret.as_bytes()), given }
    }

    /// Whether a request is signed, at a time in seconds since 1970. Compared in constant time.
    ///
    /// # Errors
    /// What is missing or wrong, in words that hold nothing secret.
    pub(crate) fn check(&self, headers: &HeaderMap, body: &[u8], now_s: i64) -> Result<(), String> {
        let field = |name: &str| -> Result<String, String> {
            let mut all = headers.get_all(name).iter();
            match (all.next().and_then(|value| value.to_str().ok()), all.next()) {
                (Some(value), None) => Ok(value.trim().to_owned()),
                _ => Err(format!("the request needs one header `{name}`")),
            }
        };
        let written = field(&self.given.header)?;
        let time = self.given.timestamp_header.as_deref().map(field).transpose()?;
        let wrong = || format!("the signature in the header `{}` is not that of this body", self.given.header);
        let signature =
            written.strip_prefix(&self.given.prefix).and_then(|text| self.decode(text)).ok_or_else(wrong)?;
        let (before, behind) = self.given.signed.split_once(BODY).unwrap_or(("", ""));
        let filled = |text: &str| text.replace(TIMESTAMP, time.as_deref().unwrap_or_default());
        let message = [filled(before).as_bytes(), body, filled(behind).as_bytes()].concat();
        ring::hmac::verify(&self.key, &message, &signature).map_err(|_| wrong())?;
        match (&time, &self.given.timestamp_header) {
            (Some(time), Some(header)) => self.check_time(time, header, now_s),
            _ => Ok(()),
        }
    }

    fn check_time(&self, time: &str, header: &str, now_s: i64) -> Result<(), String> {
        let sent_s = time.parse().ok().or_else(|| time.parse::<Moment>().ok().map(Moment::as_second));
        let sent_s: i64 = sent_s.ok_or_else(|| format!("the header `{header}` holds no time"))?;
        let tolerance_s = u64::from(self.given.tolerance_s);
        if sent_s.abs_diff(now_s) > tolerance_s {
            return Err(format!("the time in the header `{header}` is more than {tolerance_s} s from the gateway's"));
        }
        Ok(())
    }

    fn decode(&self, text: &str) -> Option<Vec<u8>> {
        match self.given.encoding {
            SignatureEncoding::Base64 => STANDARD.decode(text).ok(),
            SignatureEncoding::Hex => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let pairs = text.as_bytes().chunks(2);
                pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::random::hex;
    use axum::http::{HeaderName, HeaderValue};
    use bulkhead_model::Secret;

    const SECRET: &str = "It's a Secret to Everybody";

    fn given() -> WebhookSignature {
        WebhookSignature {
            secret: Secret::Text(SECRET.into()),
            header: "X-Hub-Signature-256".into(),
            algorithm: SignatureAlgorithm::Sha256,
            encoding: SignatureEncoding::Hex,
            prefix: "sha256=".into(),
            signed: BODY.into(),
            timestamp_header: None,
            tolerance_s: 300,
        }
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        pairs.iter().map(pair).collect()
    }

    fn mac(message: &str) -> Vec<u8> {
        ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes())
            .as_ref()
            .to_vec()
    }

    #[test]
    fn the_example_of_a_well_known_sender_is_right() {
        // From GitHub's documentation of its webhooks.
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let signer = Signer::new(given(), SECRET);
        let of = |signature: &str, body: &[u8]| signer.check(&headers(&[("x-hub-signature-256", signature)]), body, 0);
        assert_eq!(of(signature, b"Hello, World!"), Ok(()));
        assert_eq!(of(&signature.to_uppercase().replace("SHA256", "sha256"), b"Hello, World!"), Ok(()));
        for (wrong, body) in [
            (signature, "Hello, World"),
            (&signature[7..], "Hello, World!"),
            (&signature[..70], "Hello, World!"),
            ("sha256=", "Hello, World!"),
            ("sha256=zz", "Hello, World!"),
            ("", ""),
        ] {
            let reason = of(wrong, body.as_bytes()).unwrap_err();
            assert!(!reason.contains(SECRET) && reason.contains("X-Hub-Signature-256"), "{reason}");
        }
        assert!(signer.check(&HeaderMap::new(), b"", 0).unwrap_err().contains("needs one header"));
    }

    #[test]
    fn a_signed_time_must_be_near() {
        let timed = WebhookSignature {
            signed: "v0:{timestamp}:{body}".into(),
            timestamp_header: Some("x-time".into()),
            encoding: SignatureEncoding::Base64,
            prefix: String::new(),
            ..given()
        };
        let signer = Signer::new(timed, SECRET);
        let of = |time: &str, now_s| {
            let signature = STANDARD.encode(mac(&format!("v0:{time}:{{}}")));
            signer.check(&headers(&[("x-hub-signature-256", &signature), ("x-time", time)]), b"{}", now_s)
        };
        assert_eq!(of("1000", 1_300), Ok(()));
        assert_eq!(of("1970-01-01T00:16:40Z", 700), Ok(()));
        assert!(of("1000", 1_301).unwrap_err().contains("300 s"));
        assert!(of("soon", 1_000).unwrap_err().contains("no time"));
        let other_time = STANDARD.encode(mac("v0:1000:{}"));
        let moved = headers(&[("x-hub-signature-256", &other_time), ("x-time", "2000")]);
        assert!(signer.check(&moved, b"{}", 2_000).is_err(), "the time is signed, too");
        assert_eq!(hex(&mac("")).len(), 64);
    }
}

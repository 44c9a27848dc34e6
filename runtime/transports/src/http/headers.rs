//! Which header fields a guest may send: not those that carry credentials, name the server or frame the message. Pure.

use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

/// Most header fields in one request.
const FIELDS_MAX: usize = 100;

/// Fields the host sets or that belong to one connection (RFC 9110 §7.6.1): refused.
const REFUSED: [&str; 9] =
    ["authorization", "host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"];

/// Fields by which some servers take another method or another path than the request's own: the grant would hold for what is
/// not done.
const OVERRIDES: [&str; 5] =
    ["x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"];

/// Why a guest's header fields are not sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The host sets this field.
    Field(String),
    /// No valid name or value.
    Invalid(String),
    /// Too many fields.
    TooMany,
}

/// A guest's fields as they are sent. `content-length` is left out: the host knows it. `key` is the field that carries
/// the transport's credentials.
pub(crate) fn filter(fields: &[(String, String)], key: Option<&HeaderName>) -> Result<HeaderMap, Refused> {
    if fields.len() > FIELDS_MAX {
        return Err(Refused::TooMany);
    }
    let mut headers = HeaderMap::with_capacity(fields.len() + 1);
    for (name, value) in fields {
        let invalid = || Refused::Invalid(name.clone());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let is_refused = REFUSED.contains(&name.as_str()) || OVERRIDES.contains(&name.as_str());
        if is_refused || name.as_str().starts_with("proxy-") || key == Some(&name) {
            return Err(Refused::Field(name.to_string()));
        }
        if name != CONTENT_LENGTH {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?);
        }
    }
    Ok(headers)
}

/// The fields of an answer, names in lower case, values that are no UTF-8 made readable.
pub(crate) fn incoming(headers: &HeaderMap) -> Vec<(String, String)> {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn fields_of_the_host_are_refused_in_any_case() {
        let key = HeaderName::from_static("x-api-key");
        for name in [
            "Authorization",
            "HOST",
            "Proxy-Authorization",
            "Transfer-Encoding",
            "X-API-Key",
            "TE",
            "X-HTTP-Method",
            "X-Original-URL",
        ] {
            assert_eq!(filter(&[field(name, "x")], Some(&key)), Err(Refused::Field(name.to_lowercase())));
        }
        assert_eq!(filter(&[field("a b", "x")], None), Err(Refused::Invalid("a b".into())));
        assert_eq!(filter(&[field("a", "x\r\nhost: evil")], None), Err(Refused::Invalid("a".into())));
        assert_eq!(filter(&vec![field("a", "b"); 101], None), Err(Refused::TooMany));
    }

    #[test]
    fn the_rest_is_sent_as_often_as_given() {
        let headers = filter(&[field("X-A", "1"), field("x-a", "2"), field("Content-Length", "7")], None).unwrap();
        assert_eq!(headers.get_all("x-a").iter().count(), 2);
        assert_eq!(headers.len(), 2);
    }
}

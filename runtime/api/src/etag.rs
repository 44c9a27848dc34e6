//! Conditional requests (RFC 9110 §13.1.2): whether a client has an answer already.

use axum::http::{HeaderMap, header};

/// Whether `If-None-Match` names a tag, compared weakly, or `*`.
pub(crate) fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let wanted = opaque(tag);
    let fields = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|one| one.trim() == "*" || opaque(one) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn tags_are_compared_weakly_and_several_can_be_given() {
        let asked = |field: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(field));
            is_known(&headers, "W/\"a1\"")
        };
        assert!(asked("W/\"a1\"") && asked("\"a1\"") && asked("\"b\", W/\"a1\"") && asked("*"));
        assert!(!asked("\"a2\"") && !asked("a1") && !asked(""));
        assert!(!is_known(&HeaderMap::new(), "W/\"a1\""));
    }
}

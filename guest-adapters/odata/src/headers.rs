//! Header fields that the settings may not set: the gateway's own, and what this adapter sets itself.

use crate::settings::Settings;

/// Every mistake, each a sentence that names its key.
pub(crate) fn mistakes(settings: &Settings) -> Vec<String> {
    let named = settings.headers.keys().map(|name| ("headers", name));
    let idempotency = Some(("idempotency_header", &settings.idempotency_header)).filter(|(_, name)| !name.is_empty());
    let mut mistakes: Vec<String> = (named.chain(idempotency))
        .filter_map(|(key, name)| reason(name).map(|reason| format!("{key}: `{name}`: {reason}")))
        .collect();
    if settings.headers.values().any(|value| value.chars().any(char::is_control)) {
        mistakes.push("headers: a value holds a control character".to_owned());
    }
    mistakes
}

fn reason(name: &str) -> Option<&'static str> {
    let is_token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    match name.to_ascii_lowercase().as_str() {
        "authorization" | "proxy-authorization" => Some("credentials belong into the transport's `auth`"),
        "content-type" | "accept" | "prefer" | "if-match" | "if-none-match" | "odata-version" | "odata-maxversion"
        | "x-csrf-token" | "cookie" => Some("this adapter sets it itself"),
        "host" | "content-length" | "connection" | "keep-alive" | "transfer-encoding" | "te" | "trailer"
        | "upgrade" | "expect" => Some("it is the gateway's own"),
        _ if name.is_empty() || !is_token => Some("that is no name of a header field"),
        _ => None,
    }
}

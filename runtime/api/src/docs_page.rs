//! `/docs`: the API's document as a page, by Swagger UI, and `/api/v1/openapi.json`, the document itself. Everything comes from the
//! binary: no request leaves for elsewhere.

use crate::packed::Packed;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::{Problem, no_such_path};
use axum::http::{HeaderMap, HeaderName, Uri, header};
use axum::response::{IntoResponse, Response};

macro_rules! packed {
    ($media_type:literal, $name:literal) => {
        Packed { media_type: $media_type, gzip: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz")) }
    };
}

/// The document.
pub(crate) const DOCUMENT: Packed = packed!("application/json", "openapi.json");
/// Files of Swagger UI, with its licence.
const ASSETS: [(&str, Packed); 4] = [
    ("swagger-ui-bundle.js", packed!("text/javascript; charset=utf-8", "swagger-ui-bundle.js")),
    ("swagger-ui.css", packed!("text/css; charset=utf-8", "swagger-ui.css")),
    ("LICENSE", packed!("text/plain; charset=utf-8", "LICENSE")),
    ("NOTICE", packed!("text/plain; charset=utf-8", "NOTICE")),
];

/// The page.
pub(crate) async fn html() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], include_str!("docs_page/page.html"))
}

/// What it needs.
pub(crate) async fn asset(Name(name): Name, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    Parameters::parse(uri.query(), &[])?;
    if name == "page.js" {
        let script = include_str!("docs_page/page.js");
        return Ok(([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], script).into_response());
    }
    let found = ASSETS.iter().find(|(known, _)| *known == name);
    let (_, packed) = found.ok_or_else(|| no_such_path(uri.path()))?;
    packed.answer(&headers)
}

/// The document.
pub(crate) async fn document(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    Parameters::parse(uri.query(), &[])?;
    DOCUMENT.answer(&headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most bytes that all of it may take in the binary.
    const ALL_MAX_BYTES: usize = 450_000;

    #[test]
    fn everything_is_there_and_small() {
        let all = ASSETS.iter().map(|(_, packed)| packed).chain([&DOCUMENT]);
        let sizes: Vec<usize> = all.map(|packed| packed.gzip.len()).collect();
        assert!(sizes.iter().sum::<usize>() <= ALL_MAX_BYTES, "{sizes:?}");
        for (name, packed) in ASSETS {
            assert!(!packed.unpacked().unwrap().is_empty(), "{name}");
        }
        let document: serde_json::Value = serde_json::from_slice(&DOCUMENT.unpacked().unwrap()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
    }
}

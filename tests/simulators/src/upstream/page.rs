//! The page that shows people what was accepted.

use super::{Accepted, UpstreamStats};
use std::fmt::Write;

/// Rows shown.
pub(crate) const MAX_ROWS: usize = 50;

/// The page; `latest` begins with the newest.
pub(crate) fn render<'a>(stats: &UpstreamStats, latest: impl Iterator<Item = &'a Accepted>) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"2\">\
         <title>Simulated upstream</title><style>body{{font:16px sans-serif;margin:2em}}td,th{{padding:.2em 1em;\
         text-align:left}}td:last-child{{font-family:monospace}}</style><h1>Simulated upstream</h1>\
         <p>{} accepted in {} requests.</p><table><tr><th>Number</th><th>To</th><th>Body</th></tr>",
        stats.accepted, stats.requests
    );
    for accepted in latest.take(MAX_ROWS) {
        let (collection, body) = (escape(&accepted.collection), escape(&accepted.body.to_string()));
        let _ = write!(page, "<tr><td>{}</td><td>{collection}</td><td>{body}</td></tr>", accepted.number);
    }
    page + "</table></html>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_is_text_not_markup() {
        let accepted = Accepted {
            number: 7,
            method: "POST".into(),
            collection: "ingest".into(),
            key: None,
            idempotency_key: None,
            body: serde_json::json!({ "a": "<script>" }),
        };
        let page = render(&UpstreamStats::default(), [&accepted].into_iter());
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
    }
}

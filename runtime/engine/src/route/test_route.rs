//! Routes for tests, from the text of a config.

use bulkhead_config::Route;

/// A route from `boiler` to `erp` with these further keys.
pub(super) fn route(text: &str) -> Route {
    let text = format!(
        "[connections.boiler]\nadapter = \"a\"\n[connections.erp]\nadapter = \"b\"\n[routes.r]\nto = \"erp\"\n{text}"
    );
    let path = std::path::Path::new("gateway.toml");
    let mut loaded = bulkhead_config::parse(&text, path, &bulkhead_config::AnyAdapter).unwrap();
    loaded.config.routes.remove("r").unwrap()
}

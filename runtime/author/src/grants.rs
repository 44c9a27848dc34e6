//! The capabilities that an operator grants, and the kinds of transport that grant each.

/// Each capability with the kinds of transport that grant it.
const GRANTED_BY: [(&str, &[&str]); 5] = [
    ("modbus", &["modbus-tcp", "modbus-rtu"]),
    ("serial", &["serial", "tcp"]),
    ("tcp", &["tcp"]),
    ("mqtt", &["mqtt"]),
    ("http", &["http"]),
];

/// The capabilities that need a grant.
pub(crate) fn capabilities() -> impl Iterator<Item = &'static str> {
    GRANTED_BY.into_iter().map(|(capability, _)| capability)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::Assets;

    #[test]
    fn every_capability_that_needs_a_grant_is_known() {
        let assets = Assets::unpacked().unwrap();
        let text = assets.text("wit/capabilities.wit").unwrap();
        let interfaces = text.lines().filter_map(|line| line.strip_prefix("interface ")?.split(' ').next());
        let mut asked: Vec<&str> = interfaces.filter(|name| bulkhead_bundle::is_capability(name)).collect();
        let mut known: Vec<&str> = capabilities().collect();
        asked.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, asked);
    }
}

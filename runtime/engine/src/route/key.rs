//! What a batch is called, so that an upstream can tell a repetition from something new: log, route, the route's
//! revision, first and last seq. Who has the same key has the same readings.

use bulkhead_config::Route;
use bulkhead_log::LogId;
use bulkhead_model::Seq;

/// Names what a route makes of readings: a batch made under other rules is another batch. The same in every version of
/// the gateway, so that an update does not send again what is on its way under another key.
pub(super) fn revision(route: &Route) -> String {
    let mut hash = Hash::new();
    hash.text(&route.to);
    hash.number(route.select.len() as u64);
    for pattern in &route.select {
        hash.text(pattern);
    }
    hash.number(route.rename.len() as u64);
    for rule in &route.rename {
        hash.text(&rule.points);
        hash.text(&rule.to);
    }
    hash.number(route.convert.len() as u64);
    for rule in &route.convert {
        hash.text(&rule.points);
        hash.number(rule.scale.to_bits());
        hash.number(rule.offset.to_bits());
        hash.number(u64::from(rule.unit.is_some()));
        hash.text(rule.unit.as_deref().unwrap_or_default());
    }
    format!("{:016x}", hash.0)
}

/// The key of a batch of a route.
pub(super) fn batch_key(log: &LogId, route: &str, revision: &str, first: Seq, last: Seq) -> String {
    format!("{log}-{route}-{revision}-{first}-{last}")
}

/// The key of a dead letter that is replayed; the same at each try.
pub(super) fn letter_key(log: &LogId, route: &str, letter: u64) -> String {
    format!("{log}-{route}-letter-{letter}")
}

/// FNV-1a with 64 bits. Each part goes in behind its length, so that no two lists look alike.
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::test_route::route;

    #[test]
    fn the_revision_is_that_of_what_the_route_makes_of_readings_and_of_nothing_else() {
        let plain = revision(&route("select = [\"boiler/*\"]"));
        assert_eq!(plain, "9913daa6c8ab5b5e", "it must stay the same in every version");
        let same = "select = [\"boiler/*\"]\nbatch_max_readings = 7\nretry_first_ms = 10\nreject_tries = 3";
        assert_eq!(revision(&route(same)), plain);
        for other in [
            "select = [\"boiler/a*\"]",
            "select = [\"boiler/*\", \"boiler/*\"]",
            "select = [\"boiler/*\"]\nrename = [{ points = \"boiler/a\", to = \"b\" }]",
            "select = [\"boiler/*\"]\nconvert = [{ points = \"boiler/a\", scale = 2.0 }]",
            "select = [\"boiler/*\"]\nconvert = [{ points = \"boiler/a\", offset = 2.0 }]",
            "select = [\"boiler/*\"]\nconvert = [{ points = \"boiler/a\", unit = \"K\" }]",
        ] {
            assert_ne!(revision(&route(other)), plain, "{other}");
        }
    }
}

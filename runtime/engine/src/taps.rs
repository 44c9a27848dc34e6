//! The taps of an engine's connections, by name. A connection that a reload begins anew tells the same listeners as before: whoever
//! looks on sees it start.

use bulkhead_sandbox::tap::Tap;
use parking_lot::Mutex;
use std::collections::HashMap;

/// The taps by the names of their connections.
#[derive(Default)]
pub(crate) struct Taps {
    by_name: Mutex<HashMap<String, Tap>>,
}

impl Taps {
    /// The tap of a connection.
    pub(crate) fn of(&self, connection: &str) -> Tap {
        self.by_name.lock().entry(connection.to_owned()).or_default().clone()
    }

    /// Forgets those of connections that are no more, unless somebody still listens.
    pub(crate) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        self.by_name.lock().retain(|name, tap| is_there(name) || tap.is_open());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_sandbox::tap::Kinds;

    #[test]
    fn a_listener_stays_with_its_connection_through_a_reload() {
        let taps = Taps::default();
        let listening = taps.of("boiler").listen(Kinds::ALL);
        taps.keep(|_| false);
        assert!(taps.of("boiler").is_open());
        drop(listening);
        taps.keep(|_| false);
        assert!(taps.by_name.lock().is_empty());
    }
}

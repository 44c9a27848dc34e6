//! What mosquitto's log says about QoS 1 messages and their acknowledgements, client by client: the account that a test
//! holds against what the gateway has read.

use std::collections::BTreeMap;

/// Messages between mosquitto and one client, over all starts of the broker.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct BrokerFlow {
    /// PUBLISH packets from the client, those it sent again included.
    pub received: u64,
    /// PUBLISH packets to the client that repeat one (DUP).
    pub sent_again: u64,
    /// PUBACK packets from the client.
    pub acknowledged: u64,
}

/// The flows of all clients, by client id.
#[derive(Debug, Default, Clone)]
pub(crate) struct BrokerFlows(BTreeMap<String, BrokerFlow>);

impl BrokerFlows {
    pub(crate) fn of(&self, client: &str) -> BrokerFlow {
        self.0.get(client).copied().unwrap_or_default()
    }

    /// Takes a line of the log into account, if it is about a message or its acknowledgement: `1795317376: Sending PUBLISH
    /// to line (d1, q1, r0, m21, 'plant/number', ... (13 bytes))`, `Received PUBACK from line (Mid: 21, RC:0)`.
    pub(crate) fn note(&mut self, line: &str) {
        let mut words = line.split_once(": ").map_or(line, |(_, after)| after).split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (way, packet, _, client, first) = (word(), word(), word(), word(), word());
        match (way, packet, first) {
            ("Received", "PUBLISH", _) => self.client(client).received += 1,
            ("Sending", "PUBLISH", "(d1,") => self.client(client).sent_again += 1,
            ("Received", "PUBACK", _) => self.client(client).acknowledged += 1,
            _ => {}
        }
    }

    fn client(&mut self, client: &str) -> &mut BrokerFlow {
        self.0.entry(client.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_repeats_and_acknowledgements_are_counted_by_client() {
        let mut flows = BrokerFlows::default();
        for line in [
            "1795317376: mosquitto version 2.0.11 running",
            "1795317376: Sending CONNACK to line (1, 0)",
            "1795317376: Received PUBLISH from stream (d0, q1, r0, m1, 'plant/number', ... (12 bytes))",
            "1795317376: Sending PUBACK to stream (m1, rc0)",
            "1795317376: Sending PUBLISH to line (d0, q1, r0, m20, 'plant/number', ... (13 bytes))",
            "1795317376: Sending PUBLISH to line (d1, q1, r0, m21, 'plant/number', ... (13 bytes))",
            "1795317376: Received PUBACK from line (Mid: 21, RC:0)",
        ] {
            flows.note(line);
        }
        assert_eq!(flows.of("stream"), BrokerFlow { received: 1, ..BrokerFlow::default() });
        assert_eq!(flows.of("line"), BrokerFlow { received: 0, sent_again: 1, acknowledged: 1 });
        assert_eq!(flows.of("nobody"), BrokerFlow::default());
    }
}

//! The simulated devices of a scenario, as `devices.toml` describes them.

use crate::wait::within;
use anyhow::{Context, Result, bail, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device, Table};
use bulkhead_simulators::mqtt::{Broker, BrokerConfig, QoS};
use bulkhead_simulators::scale::{NmeaTalker, Scale, ScaleMode, Weight};
use bulkhead_simulators::upstream::{Upstream, UpstreamConfig};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// `devices.toml`: devices by the name that stands in the config's `{{…}}`.
pub(super) type DevicesFile = BTreeMap<String, Described>;

/// One device.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Described {
    /// A Modbus TCP device. `size`: how many addresses each table has.
    ModbusTcp {
        unit: u8,
        size: u32,
        #[serde(default)]
        set: Vec<Words>,
    },
    /// A broker. Messages are published once the gateway has subscribed to all of `await_subscriptions`; retained
    /// ones before it starts.
    Mqtt {
        #[serde(default)]
        await_subscriptions: Vec<String>,
        #[serde(default)]
        messages: Vec<Message>,
    },
    /// A scale on a pseudo-terminal that speaks by itself, or when it reads `poll`.
    Scale {
        kilograms: f64,
        #[serde(default)]
        unstable: bool,
        poll: Option<String>,
    },
    /// An NMEA 0183 talker on a pseudo-terminal.
    Nmea { sentences: Vec<String>, wrong_checksum_every: Option<u64> },
    /// An HTTP and OData upstream.
    Upstream {
        key_property: Option<String>,
        #[serde(default)]
        requires_if_match: bool,
    },
}

/// Registers or bits of a Modbus device.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    table: String,
    address: u16,
    words: Vec<u16>,
}

/// A message of a broker. The payload as text, or as hexadecimal bytes where it is none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    topic: String,
    payload: Option<String>,
    payload_hex: Option<String>,
    #[serde(default)]
    retain: bool,
}

/// How often devices that speak by themselves do so.
const SPEAK_EVERY: Duration = Duration::from_millis(50);

/// The running devices.
#[derive(Debug, Default)]
pub(super) struct Devices {
    addresses: BTreeMap<String, String>,
    modbus: Vec<Device>,
    brokers: Vec<(Broker, Vec<String>, Vec<Message>)>,
    scales: Vec<Scale>,
    talkers: Vec<NmeaTalker>,
    upstreams: BTreeMap<String, Upstream>,
}

impl Devices {
    pub(super) async fn start(described: DevicesFile) -> Result<Self> {
        let mut devices = Self::default();
        for (name, device) in described {
            let address = devices.start_one(&name, device).await.with_context(|| format!("device {name}"))?;
            devices.addresses.insert(name, address);
        }
        Ok(devices)
    }

    async fn start_one(&mut self, name: &str, described: Described) -> Result<String> {
        match described {
            Described::ModbusTcp { unit, size, set } => {
                let bank = Bank::new(BankLayout::uniform(size));
                for words in set {
                    bank.set(table(&words.table)?, words.address, &words.words)?;
                }
                let device = Device::builder().unit(unit, bank).start().await?;
                let address = device.address().to_string();
                self.modbus.push(device);
                Ok(address)
            }
            Described::Mqtt { await_subscriptions, messages } => {
                let broker = Broker::start(BrokerConfig::default()).await?;
                let (retained, fresh): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| message.retain);
                for message in &retained {
                    broker.publish(&message.topic, message.bytes()?, QoS::AtLeastOnce, true);
                }
                let address = broker.address().to_string();
                self.brokers.push((broker, await_subscriptions, fresh));
                Ok(address)
            }
            Described::Scale { kilograms, unstable, poll } => {
                let mode = poll.map_or(ScaleMode::Continuous(SPEAK_EVERY), |poll| ScaleMode::Polled(poll.into_bytes()));
                let scale = Scale::start(mode, Weight { kilograms, is_stable: !unstable })?;
                let path = scale.path().display().to_string();
                self.scales.push(scale);
                Ok(path)
            }
            Described::Nmea { sentences, wrong_checksum_every } => {
                let talker = NmeaTalker::start(SPEAK_EVERY, sentences, wrong_checksum_every)?;
                let path = talker.path().display().to_string();
                self.talkers.push(talker);
                Ok(path)
            }
            Described::Upstream { key_property, requires_if_match } => {
                let config = UpstreamConfig { key_property, requires_if_match, ..UpstreamConfig::default() };
                let upstream = Upstream::start(config).await?;
                let url = upstream.url();
                self.upstreams.insert(name.to_owned(), upstream);
                Ok(url)
            }
        }
    }

    /// The text with each `{{name}}` replaced by the address of that device.
    pub(super) fn fill_in(&self, text: &str) -> Result<String> {
        let mut filled = text.to_owned();
        for (name, address) in &self.addresses {
            let place = format!("{{{{{name}}}}}");
            ensure!(filled.contains(&place), "the config never mentions {place}");
            filled = filled.replace(&place, address);
        }
        Ok(filled)
    }

    /// Publishes the brokers' messages, each broker's once it is listened to.
    pub(super) async fn publish(&self) -> Result<()> {
        for (broker, subscriptions, messages) in &self.brokers {
            for filter in subscriptions {
                within(&format!("a subscription to {filter}"), broker.wait_for_subscription(filter)).await?;
            }
            for message in messages {
                broker.publish(&message.topic, message.bytes()?, QoS::AtLeastOnce, false);
            }
        }
        Ok(())
    }

    /// An upstream by its name.
    pub(super) fn upstream(&self, name: &str) -> Result<&Upstream> {
        self.upstreams.get(name).with_context(|| format!("devices.toml has no upstream {name}"))
    }
}

impl Message {
    fn bytes(&self) -> Result<Vec<u8>> {
        match (&self.payload, &self.payload_hex) {
            (Some(text), None) => Ok(text.clone().into_bytes()),
            (None, Some(hex)) => from_hex(hex),
            _ => bail!("a message to {} needs payload or payload_hex", self.topic),
        }
    }
}

fn from_hex(hex: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    ensure!(digits.len().is_multiple_of(2), "{hex} has an odd number of digits");
    let byte = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    digits.chunks(2).map(byte).collect()
}

fn table(name: &str) -> Result<Table> {
    Ok(match name {
        "coil" => Table::Coil,
        "discrete-input" => Table::DiscreteInput,
        "input-register" => Table::InputRegister,
        "holding-register" => Table::HoldingRegister,
        other => bail!("{other} is no table"),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn hexadecimal_payloads_may_have_spaces() {
        assert_eq!(super::from_hex("7b 22 FF").unwrap(), [0x7b, 0x22, 0xff]);
        assert!(super::from_hex("7").is_err());
    }
}

//! What a hostile connection is lent, and whether the other side noticed anything of it.

use super::case::{Expect, Grants};
use anyhow::{Result, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device, Fault};
use bulkhead_simulators::mqtt::{Broker, BrokerConfig};
use bulkhead_simulators::upstream::{Misbehaviour, Upstream, UpstreamConfig};

/// The far side of the hostile connection's transport.
pub(super) enum Stage {
    Nothing,
    Modbus { device: Device, keys: &'static str },
    Mqtt(Broker),
    Http { upstream: Upstream, base: String, keys: &'static str, asks_first: bool },
}

impl Stage {
    pub(super) async fn of(grants: Grants) -> Result<Self> {
        let device = async || Device::builder().unit(1, Bank::new(BankLayout::uniform(100))).start().await;
        Ok(match grants {
            Grants::Nothing => Stage::Nothing,
            Grants::Modbus(keys) => Stage::Modbus { device: device().await?, keys },
            Grants::SilentModbus => {
                let device = device().await?;
                device.faults().always(Fault::DropAnswer);
                Stage::Modbus { device, keys: "timeout_ms = 60000" }
            }
            Grants::Mqtt => Stage::Mqtt(Broker::start(BrokerConfig::default()).await?),
            Grants::Http(base, keys) => {
                let upstream = Upstream::start(UpstreamConfig::default()).await?;
                let base = base.replace("{port}", &upstream.address().port().to_string());
                Stage::Http { upstream, base, keys, asks_first: false }
            }
            Grants::Redirecting(location) => {
                let upstream = Upstream::start(UpstreamConfig::default()).await?;
                let port = upstream.address().port().to_string();
                upstream.always(Misbehaviour::Redirect(location.replace("{port}", &port)));
                let base = format!("http://127.0.0.1:{port}/api");
                Stage::Http { upstream, base, keys: "", asks_first: true }
            }
        })
    }

    /// Its section of the config.
    pub(super) fn transport(&self) -> String {
        let head = format!("\n[connections.{}.transports.device]\n", super::NAME);
        match self {
            Stage::Nothing => String::new(),
            Stage::Modbus { device, keys } => {
                format!("{head}kind = \"modbus-tcp\"\naddress = \"{}\"\n{keys}\n", device.address())
            }
            Stage::Mqtt(broker) => {
                format!("{head}kind = \"mqtt\"\naddress = \"{}\"\npublish = [\"good/#\"]\n", broker.address())
            }
            Stage::Http { base, keys, .. } => format!("{head}kind = \"http\"\nbase_url = \"{base}\"\n{keys}\n"),
        }
    }

    /// Nothing that was refused has reached the other side.
    pub(super) fn is_untouched(&self, expect: &Expect) -> Result<()> {
        if !matches!(expect, Expect::Told { code: "not-granted" | "bad-request" }) {
            return Ok(());
        }
        match self {
            Stage::Nothing => {}
            Stage::Modbus { device, .. } => {
                let requests = device.counters().requests();
                ensure!(requests == 0, "the device got {requests} requests");
            }
            Stage::Mqtt(broker) => {
                let received = broker.stats().received;
                ensure!(received == 0, "the broker got {received} messages");
            }
            Stage::Http { upstream, asks_first, .. } => {
                let stats = upstream.stats();
                ensure!(stats.accepted == 0, "the upstream accepted {}", stats.accepted);
                ensure!(*asks_first || stats.requests == 0, "the upstream got {} requests", stats.requests);
                // A redirect is answered once; whoever followed it would ask once more.
                ensure!(!asks_first || stats.requests == stats.misbehaved, "a redirect was followed");
            }
        }
        Ok(())
    }
}

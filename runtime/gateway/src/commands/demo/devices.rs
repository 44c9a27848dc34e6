//! The simulated devices and the upstream of the demo, put where the config expects them.

use crate::exit::Exit;
use bulkhead_config::Config;
use bulkhead_model::transport::Transport;
use bulkhead_simulators::SimulatorError;
use bulkhead_simulators::modbus::{Bank, BankLayout, Device, Generator, Signal, Table, WordOrder};
use bulkhead_simulators::mqtt::{Broker, BrokerConfig, Publisher, PublisherConfig};
use bulkhead_simulators::scale::{Scale, ScaleMode, Weight};
use bulkhead_simulators::upstream::{Upstream, UpstreamConfig};
use std::net::SocketAddr;
use std::time::Duration;

/// Everything the demo's gateway speaks to. Dropping it stops it.
pub(super) struct Devices {
    pub(super) upstream: Upstream,
    pub(super) descriptions: Vec<String>,
    boiler: Device,
    generator: Generator,
    broker: Broker,
    press: Publisher,
    scale: Scale,
}

/// Which transport of the config each device stands behind.
const BOILER: (&str, &str) = ("boiler", "device");
const BROKER: (&str, &str) = ("press", "broker");
const SCALE: (&str, &str) = ("scale", "device");
const UPSTREAM: (&str, &str) = ("erp", "upstream");

/// Most entities the upstream keeps to show; a demo can run for days.
const STORED_MAX: usize = 1000;

impl Devices {
    /// Starts them at the config's addresses, or at free ones, which the config then gets.
    pub(super) async fn start(config: &mut Config) -> Result<Self, Exit> {
        let (boiler, generator) = start_boiler(transport(config, BOILER)?).await?;
        let broker = start_broker(transport(config, BROKER)?).await?;
        let press = Publisher::start(PublisherConfig::new(
            broker.address(),
            "plant/press-1/telemetry",
            Duration::from_millis(500),
        ));
        let weight = Weight { kilograms: 123.4, is_stable: true };
        let scale = Scale::start(ScaleMode::Continuous(Duration::from_millis(700)), weight)?;
        if let Transport::Serial(serial) = transport(config, SCALE)? {
            serial.line.port = scale.path().to_owned();
        }
        let upstream = start_upstream(transport(config, UPSTREAM)?).await?;
        let descriptions = vec![
            format!("boiler    Modbus TCP device at {}", boiler.address()),
            format!("press     MQTT broker at {} with a publishing device", broker.address()),
            format!("scale     serial line at {}", scale.path().display()),
            format!("erp       upstream that takes OData at {}/", upstream.url()),
        ];
        Ok(Self { upstream, descriptions, boiler, generator, broker, press, scale })
    }

    pub(super) async fn stop(mut self) {
        self.generator.stop().await;
        self.press.stop().await;
        self.boiler.stop().await;
        self.broker.stop().await;
        self.scale.stop().await;
        self.upstream.stop().await;
    }
}

fn transport<'c>(config: &'c mut Config, (connection, role): (&str, &str)) -> Result<&'c mut Transport, Exit> {
    config
        .connections
        .get_mut(connection)
        .and_then(|connection| connection.transports.get_mut(role))
        .ok_or_else(|| Exit::failed(format!("the demo's config needs connections.{connection}.transports.{role}")))
}

/// Runs `start` at the wanted address or, where that is taken, at a free one.
async fn at_or_elsewhere<T, F>(wanted: &str, start: impl Fn(Option<SocketAddr>) -> F) -> Result<T, SimulatorError>
where
    F: Future<Output = Result<T, SimulatorError>>,
{
    match start(wanted.parse().ok()).await {
        Err(SimulatorError::Bind { .. }) => start(None).await,
        outcome => outcome,
    }
}

async fn start_boiler(transport: &mut Transport) -> Result<(Device, Generator), Exit> {
    let Transport::ModbusTcp(settings) = transport else { return Err(wrong_kind("boiler", "modbus-tcp")) };
    let bank = Bank::new(BankLayout::uniform(200));
    bank.set(Table::HoldingRegister, 110, &[550])?;
    let unit = settings.modbus.unit_id;
    let device = at_or_elsewhere(&settings.address, |address| {
        let builder = Device::builder().unit(unit, bank.clone());
        address.map_or(builder, |address| Device::builder().unit(unit, bank.clone()).address(address)).start()
    })
    .await?;
    settings.address = device.address().to_string();
    let sine = |address, offset, seconds| Signal::Sine {
        table: Table::HoldingRegister,
        address,
        order: WordOrder::Abcd,
        offset,
        amplitude: 4.0,
        period: Duration::from_secs(seconds),
    };
    let signals = vec![
        sine(100, 61.5, 30),
        sine(102, 48.0, 45),
        Signal::Counter32 { table: Table::HoldingRegister, address: 104, order: WordOrder::Abcd, step: 1 },
        Signal::Toggle { table: Table::Coil, address: 3, period: Duration::from_secs(10) },
    ];
    let generator = Generator::start(bank, Duration::from_millis(250), signals)?;
    Ok((device, generator))
}

async fn start_broker(transport: &mut Transport) -> Result<Broker, Exit> {
    let Transport::Mqtt(settings) = transport else { return Err(wrong_kind("press", "mqtt")) };
    let broker = at_or_elsewhere(&settings.address, |address| {
        Broker::start(BrokerConfig { address, ..BrokerConfig::default() })
    })
    .await?;
    settings.address = broker.address().to_string();
    Ok(broker)
}

async fn start_upstream(transport: &mut Transport) -> Result<Upstream, Exit> {
    let Transport::Http(settings) = transport else { return Err(wrong_kind("erp", "http")) };
    let after_scheme = settings.base_url.strip_prefix("http://").unwrap_or(&settings.base_url);
    let (authority, path) = after_scheme.split_once('/').unwrap_or((after_scheme, ""));
    let upstream = at_or_elsewhere(authority, |address| {
        Upstream::start(UpstreamConfig { address, max_stored: STORED_MAX, ..UpstreamConfig::default() })
    })
    .await?;
    settings.base_url = format!("{}/{path}", upstream.url());
    Ok(upstream)
}

fn wrong_kind(connection: &str, kind: &str) -> Exit {
    Exit::failed(format!("the demo's connection {connection} must have a transport of kind {kind}"))
}

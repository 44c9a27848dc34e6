//! What the clients meet: a gateway with devices, readings that are known beforehand and credentials; and, where one is built,
//! the example server `odata-memory` with its shop.

use crate::gateway::Gateway;
use crate::http_client::http_client;
use crate::lines::Lines;
use crate::site::Site;
use anyhow::{Context, Result, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device, Table, WordOrder};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Readings of the point `n`: more than two pages.
const NUMBERS: u32 = 2500;
/// The user whose name and password clients send with Basic.
const USER: &str = "bi";
const PASSWORD: &str = "a password of the tests";
/// Addresses of each table of the simulated boiler.
const ADDRESSES: u32 = 200;
/// Its flow temperature, and its setpoint in tenths of a degree.
const FLOW_TEMP: f32 = 61.5;
const SETPOINT: u16 = 450;

/// The connections: `source`, to which this posts readings, and `boiler-1`, which is polled and can be written to.
const CONNECTIONS: &str = r#"
[api.credentials.bi]
username = "bi"
password = { file = "bi.password" }

[connections.source]
adapter = "webhook-json"

[[connections.source.settings.hooks]]
path = "/numbers"
time = { path = "at" }
points = [{ path = "n", type = "integer", unit = "pcs" }]

[[connections.source.settings.hooks]]
path = "/typed"
time = { path = "at" }
points = [
  { path = "count", type = "integer" },
  { path = "weight", type = "decimal", unit = "kg" },
  { path = "ratio", type = "real" },
  { path = "good", type = "boolean" },
  { path = "label", type = "text" },
  { path = "due", type = "time" },
  { path = "odd", type = "real", name = "Pump's Ø [mm] / 50 %", unit = "mm", description = "a name with everything in it" },
]

[connections.boiler-1]
adapter = "modbus-registers"
poll_interval_ms = 1000
wide_set = true

[connections.boiler-1.transports.device]
kind = "modbus-tcp"
address = "{{boiler}}"
allow_write = ["holding-register:110"]

[connections.boiler-1.settings]
points = [
  { name = "flow temp", table = "holding-register", address = 100, type = "f32", unit = "°C" },
  { name = "setpoint", table = "holding-register", address = 110, type = "i16", scale = 0.1, unit = "°C", writable = { min = 5, max = 90 } },
  { name = "pump", table = "coil", address = 3 },
]
"#;

/// The running programs. Dropping it ends them.
#[derive(Debug)]
pub struct World {
    /// The gateway.
    pub gateway: Gateway,
    /// A key with the role operator.
    pub key: String,
    shop: Option<Shop>,
    _boiler: Device,
}

/// The example server.
#[derive(Debug)]
struct Shop {
    url: String,
    _child: Child,
    _complaints: Lines,
}

impl World {
    /// Starts everything; with the shop if a path to its server is given. The readings are committed when this returns.
    ///
    /// # Errors
    /// Where a program cannot be started or refuses what it is given.
    pub async fn start(shop: Option<&Path>) -> Result<Self> {
        let bank = Bank::new(BankLayout::uniform(ADDRESSES));
        bank.set_f32(Table::HoldingRegister, 100, FLOW_TEMP, WordOrder::Abcd)?;
        bank.set(Table::HoldingRegister, 110, &[SETPOINT])?;
        let boiler = Device::builder().unit(1, bank).start().await?;
        let site = Site::new(&CONNECTIONS.replace("{{boiler}}", &boiler.address().to_string()))?;
        site.write_file("bi.password", PASSWORD)?;
        let made = site.command(["key", "create", "clients", "--role", "operator"]).await?.expect_code(0)?;
        let key = made.stdout.trim().to_owned();
        let shop = match shop {
            Some(program) => Some(Shop::start(program).await?),
            None => None,
        };
        let world = Self { gateway: site.run().await?, key, shop, _boiler: boiler };
        world.commit_readings().await?;
        world.wait_for_boiler().await?;
        Ok(world)
    }

    /// The service root of the gateway over plain HTTP.
    #[must_use]
    pub fn root(&self) -> String {
        self.gateway.api.url("/odata/v4/")
    }

    /// `host:port` of the gateway.
    #[must_use]
    pub fn authority(&self) -> String {
        self.gateway.api.url("").trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    /// The service root of the shop, if it runs.
    #[must_use]
    pub fn shop(&self) -> Option<&str> {
        self.shop.as_ref().map(|shop| shop.url.as_str())
    }

    /// The file with the certificate that the gateway has made for itself.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.gateway.site().path("data/access/self-signed.pem")
    }

    /// What a client's program finds in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("BULKHEAD_ODATA", self.root()),
            ("BULKHEAD_ODATA_TLS", self.root().replace("http://", "https://")),
            ("BULKHEAD_CERTIFICATE", self.certificate().display().to_string()),
            // What Node.js and Python's requests trust beside (or instead of) the system's authorities.
            ("NODE_EXTRA_CA_CERTS", self.certificate().display().to_string()),
            ("REQUESTS_CA_BUNDLE", self.certificate().display().to_string()),
            ("BULKHEAD_KEY", self.key.clone()),
            ("BULKHEAD_USER", USER.to_owned()),
            ("BULKHEAD_PASSWORD", PASSWORD.to_owned()),
            ("BULKHEAD_SHOP", self.shop().unwrap_or_default().to_owned()),
        ]
    }

    /// A document of one of the services, such as `$metadata`, as it is saved by somebody who says nothing of versions.
    ///
    /// # Errors
    /// Where it is not answered with 200.
    pub async fn document(&self, url: &str) -> Result<String> {
        let answer = http_client()?.get(url).bearer_auth(&self.key).send().await?.error_for_status()?;
        Ok(answer.text().await?)
    }

    /// Posts to a hook of `source`; all of it must become readings.
    async fn post(&self, hook: &str, body: &Value) -> Result<()> {
        let url = self.gateway.api.url(&format!("/hooks/source/{hook}"));
        let answer = http_client()?.post(url).bearer_auth(&self.key).json(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == 200 && !text.contains("problems"), "{hook} was answered with {status} {text}");
        Ok(())
    }

    async fn commit_readings(&self) -> Result<()> {
        let begin: jiff::Timestamp = "2026-05-04T10:00:00Z".parse()?;
        let numbers = (1..=NUMBERS)
            .map(|n| Ok(json!({ "n": n, "at": begin.checked_add(jiff::Span::new().seconds(n))?.to_string() })))
            .collect::<Result<Vec<Value>>>()?;
        self.post("numbers", &Value::Array(numbers)).await?;
        let typed = json!({
            "at": "2026-05-04T09:00:00.123456789Z", "count": 9_007_199_254_740_993_i64, "weight": "1234567890123.4568",
            "ratio": 0.1, "good": true, "label": "it's 100 % – Größe & \"more\"", "due": "2026-12-24T18:00:00Z", "odd": -2.5,
        });
        self.post("typed", &typed).await
    }

    /// The boiler has been polled.
    async fn wait_for_boiler(&self) -> Result<()> {
        let url = format!("{}LatestReadings/$count?$filter=Connection eq 'boiler-1'", self.root());
        crate::wait::until("the boiler's readings", async || {
            let count = self.document(&url).await?;
            Ok(if count == "3" { Ok(()) } else { Err(count) })
        })
        .await
    }
}

impl Shop {
    async fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().context("odata-memory cannot be started")?;
        let complaints = Lines::capture(child.stderr.take().context("stderr was asked for")?);
        let said = Lines::capture(child.stdout.take().context("stdout was asked for")?);
        let url = said.wait_for("`listening on`", |line| line.strip_prefix("listening on ").map(str::to_owned)).await?;
        Ok(Self { url, _child: child, _complaints: complaints })
    }
}

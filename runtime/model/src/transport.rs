//! Settings of transports: addresses, timing, credentials and what is granted on them. The config file deserializes into
//! these types, and the crate `transports` opens channels from them; neither knows the other.

use crate::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A host-owned channel to a device or a system.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Transport {
    /// Modbus over TCP.
    ModbusTcp(ModbusTcp),
    /// Modbus RTU over a serial line; connections with the same `port` share the bus.
    ModbusRtu(ModbusRtu),
    /// A serial line.
    Serial(Serial),
    /// A TCP byte stream.
    Tcp(Tcp),
    /// An MQTT broker.
    Mqtt(Mqtt),
    /// An HTTP server.
    Http(Http),
}

impl Transport {
    /// The files it names, certificates and those with secrets: what it does hangs on their content, too. Relative ones
    /// start at the config's folder.
    #[must_use]
    pub fn files(&self) -> Vec<&Path> {
        match self {
            Transport::Mqtt(mqtt) => {
                let secret = mqtt.password.as_ref().and_then(Secret::file);
                secret.into_iter().chain(mqtt.tls.iter().flat_map(Tls::files)).collect()
            }
            Transport::Http(http) => {
                let secret = http.auth.as_ref().and_then(|auth| auth.secret().file());
                secret.into_iter().chain(http.tls.files()).collect()
            }
            Transport::ModbusTcp(_) | Transport::ModbusRtu(_) | Transport::Serial(_) | Transport::Tcp(_) => Vec::new(),
        }
    }

    /// The name of its kind, as in the config.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Transport::ModbusTcp(_) => "modbus-tcp",
            Transport::ModbusRtu(_) => "modbus-rtu",
            Transport::Serial(_) => "serial",
            Transport::Tcp(_) => "tcp",
            Transport::Mqtt(_) => "mqtt",
            Transport::Http(_) => "http",
        }
    }
}

/// Waiting times after a failed connect: they double from the first to the last, with jitter.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reconnect {
    /// First wait in milliseconds.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub first_ms: u32,
    /// Longest wait in milliseconds.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub max_ms: u32,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { first_ms: 500, max_ms: 30_000 }
    }
}

/// What the two Modbus transports have in common.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ModbusCommon {
    /// The device's unit id (slave address), 0 to 255.
    pub unit_id: u8,
    /// Longest wait for an answer in milliseconds.
    #[schemars(range(min = 10, max = 60_000))]
    pub timeout_ms: u32,
    /// Least pause between two requests in milliseconds.
    #[schemars(range(max = 10_000))]
    pub request_gap_ms: u32,
    /// Reads of neighbouring spans are merged when at most this many unused registers lie between them.
    #[schemars(range(max = 100))]
    pub gap_fill_registers: u16,
    /// Most registers in one read request.
    #[schemars(range(min = 1, max = 125))]
    pub max_read_registers: u16,
    /// Most bits in one read request.
    #[schemars(range(min = 1, max = 2000))]
    pub max_read_bits: u16,
    /// What may be read: `input-register:7`, `holding-register:100-120`. Absent: everything.
    pub allow_read: Option<Vec<String>>,
    /// What may be written: `coil:3`, `holding-register:100-120`. Default: nothing.
    pub allow_write: Vec<String>,
}

impl Default for ModbusCommon {
    fn default() -> Self {
        Self {
            unit_id: 1,
            timeout_ms: 1000,
            request_gap_ms: 0,
            gap_fill_registers: 8,
            max_read_registers: 125,
            max_read_bits: 2000,
            allow_read: None,
            allow_write: Vec::new(),
        }
    }
}

/// Modbus over TCP.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
pub struct ModbusTcp {
    /// `host:port`; without a port 502.
    pub address: String,
    /// Longest wait for the connect in milliseconds.
    #[serde(default = "default_connect_timeout_ms")]
    #[schemars(range(min = 10, max = 60_000))]
    pub connect_timeout_ms: u32,
    /// Waiting times between connects.
    #[serde(default)]
    pub reconnect: Reconnect,
    /// Unit id, timing, grants.
    #[serde(flatten)]
    pub modbus: ModbusCommon,
}

/// Modbus RTU over a serial line.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
pub struct ModbusRtu {
    /// The line.
    #[serde(flatten)]
    pub line: SerialLine,
    /// Waiting times between tries to open the port.
    #[serde(default)]
    pub reconnect: Reconnect,
    /// Unit id, timing, grants.
    #[serde(flatten)]
    pub modbus: ModbusCommon,
}

/// A serial port and how it is set.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
pub struct SerialLine {
    /// The device file, such as `/dev/ttyUSB0`.
    pub port: PathBuf,
    /// Bits a second.
    #[serde(default = "default_baud")]
    #[schemars(range(min = 50, max = 4_000_000))]
    pub baud: u32,
    /// Parity bit.
    #[serde(default)]
    pub parity: Parity,
    /// Bits a character.
    #[serde(default = "default_data_bits")]
    #[schemars(range(min = 5, max = 8))]
    pub data_bits: u8,
    /// Stop bits.
    #[serde(default = "default_stop_bits")]
    #[schemars(range(min = 1, max = 2))]
    pub stop_bits: u8,
}

/// The parity bit of a character.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    /// None.
    #[default]
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// Where a frame of a byte stream ends.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// After these characters, which are taken off: `{ delimiter = "\r\n" }`.
    Delimiter(String),
    /// After this many bytes: `{ length = 12 }`.
    Length(u32),
    /// After a silence: `{ idle_gap_ms = 20 }`.
    IdleGapMs(u32),
}

impl Default for Framing {
    fn default() -> Self {
        Framing::Delimiter("\n".into())
    }
}

/// A serial line.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
pub struct Serial {
    /// The line.
    #[serde(flatten)]
    pub line: SerialLine,
    /// Where a frame ends.
    #[serde(default)]
    pub framing: Framing,
    /// Longest wait for an answer in milliseconds.
    #[serde(default = "default_timeout_ms")]
    #[schemars(range(min = 10, max = 60_000))]
    pub timeout_ms: u32,
    /// Longest frame in bytes; a longer one is dropped up to its end, and reported.
    #[serde(default = "default_max_frame_bytes")]
    #[schemars(range(min = 1, max = 262_144))]
    pub max_frame_bytes: u32,
    /// Waiting times between tries to open the port.
    #[serde(default)]
    pub reconnect: Reconnect,
}

/// A TCP byte stream, such as a serial device server.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
pub struct Tcp {
    /// `host:port`.
    pub address: String,
    /// Longest wait for the connect in milliseconds.
    #[serde(default = "default_connect_timeout_ms")]
    #[schemars(range(min = 10, max = 60_000))]
    pub connect_timeout_ms: u32,
    /// Where a frame ends.
    #[serde(default)]
    pub framing: Framing,
    /// Longest wait for an answer in milliseconds.
    #[serde(default = "default_timeout_ms")]
    #[schemars(range(min = 10, max = 60_000))]
    pub timeout_ms: u32,
    /// Longest frame in bytes.
    #[serde(default = "default_max_frame_bytes")]
    #[schemars(range(min = 1, max = 262_144))]
    pub max_frame_bytes: u32,
    /// Waiting times between connects.
    #[serde(default)]
    pub reconnect: Reconnect,
}

/// An MQTT broker.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
pub struct Mqtt {
    /// `host:port`; without a port 1883, with TLS 8883.
    pub address: String,
    /// Protocol version.
    #[serde(default)]
    pub version: MqttVersion,
    /// Client id; default: `bulkhead-` with the names of the gateway, the connection and the transport's role.
    #[serde(default)]
    pub client_id: Option<String>,
    /// User name.
    #[serde(default)]
    pub username: Option<String>,
    /// Password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// TLS; absent: none.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Topic filters to subscribe to: what the connection may hear.
    #[serde(default)]
    pub subscribe: Vec<String>,
    /// Topic filters it may publish to. Default: nothing.
    #[serde(default)]
    pub publish: Vec<String>,
    /// Quality of service of the subscriptions, 0 to 2.
    #[serde(default = "default_qos")]
    #[schemars(range(max = 2))]
    pub qos: u8,
    /// Keep-alive in seconds.
    #[serde(default = "default_keep_alive_s")]
    #[schemars(range(min = 5, max = 3600))]
    pub keep_alive_s: u16,
    /// Whether the broker keeps the session (subscriptions, unacknowledged messages) while we are away.
    #[serde(default = "default_true")]
    pub resume_session: bool,
    /// How long it keeps it, in seconds; MQTT 5 only.
    #[serde(default = "default_session_expiry_s")]
    pub session_expiry_s: u32,
    /// Published by the broker when we vanish.
    #[serde(default)]
    pub last_will: Option<LastWill>,
    /// Most QoS 1 and 2 messages the broker may have on the way to us (MQTT 5 receive maximum).
    #[serde(default = "default_receive_maximum")]
    #[schemars(range(min = 1))]
    pub receive_maximum: u16,
    /// Longest payload in bytes; a longer one is dropped, acknowledged and reported.
    #[serde(default = "default_max_frame_bytes")]
    #[schemars(range(min = 1, max = 262_144))]
    pub max_message_bytes: u32,
    /// Longest wait for connect and acknowledgement in milliseconds.
    #[serde(default = "default_connect_timeout_ms")]
    #[schemars(range(min = 10, max = 60_000))]
    pub timeout_ms: u32,
    /// Waiting times between connects.
    #[serde(default)]
    pub reconnect: Reconnect,
}

/// Version of the MQTT protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
pub enum MqttVersion {
    /// MQTT 3.1.1.
    #[default]
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5.
    #[serde(rename = "5")]
    V5,
}

/// A message the broker publishes when a client vanishes.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastWill {
    /// Its topic.
    pub topic: String,
    /// Its text.
    pub payload: String,
    /// Its quality of service.
    #[serde(default)]
    #[schemars(range(max = 2))]
    pub qos: u8,
    /// Whether the broker keeps it.
    #[serde(default)]
    pub retain: bool,
}

/// TLS as a client.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the authorities to trust; absent: those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our certificate, for servers that ask for one.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of its key.
    pub key_file: Option<PathBuf>,
    /// The name to expect in the server's certificate; absent: the host of the address.
    pub server_name: Option<String>,
}

/// An HTTP server.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
pub struct Http {
    /// `https://host:port/path`: every request goes to it or below it, redirects included.
    pub base_url: String,
    /// Methods it may use. Default: those that only read.
    #[serde(default = "default_allow_methods")]
    pub allow_methods: Vec<String>,
    /// Paths below `base_url` it may use, with what is below them: `/orders`. Default: all.
    #[serde(default)]
    pub allow_paths: Vec<String>,
    /// Addresses that the server's name may lead to beside public ones: `loopback`, `link-local`, `private`, `10.1.0.0/16`. An
    /// address in `base_url` itself needs none.
    #[serde(default)]
    pub allow_networks: Vec<String>,
    /// Credentials; absent: none.
    #[serde(default)]
    pub auth: Option<HttpAuth>,
    /// TLS settings.
    #[serde(default)]
    pub tls: Tls,
    /// `http://host:port` or `socks5://…` of a proxy; absent: none, environment variables are not looked at.
    #[serde(default)]
    pub proxy: Option<String>,
    /// Longest wait for the connect in milliseconds.
    #[serde(default = "default_connect_timeout_ms")]
    #[schemars(range(min = 10, max = 60_000))]
    pub connect_timeout_ms: u32,
    /// Longest wait for the whole answer in milliseconds.
    #[serde(default = "default_request_timeout_ms")]
    #[schemars(range(min = 10, max = 600_000))]
    pub timeout_ms: u32,
    /// Most redirects to follow, each inside `base_url`.
    #[serde(default = "default_max_redirects")]
    #[schemars(range(max = 10))]
    pub max_redirects: u8,
    /// Longest answer in bytes.
    #[serde(default = "default_max_response_bytes")]
    #[schemars(range(min = 1, max = 4_194_304))]
    pub max_response_bytes: u32,
}

impl Tls {
    fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.ca_file, &self.certificate_file, &self.key_file].into_iter().flatten().map(PathBuf::as_path)
    }
}

impl HttpAuth {
    /// The password, token, key or client secret.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        match self {
            HttpAuth::Basic { password, .. } => password,
            HttpAuth::Bearer { token } => token,
            HttpAuth::Header { value, .. } => value,
            HttpAuth::OAuth2 { client_secret, .. } => client_secret,
        }
    }
}

/// Credentials for an HTTP server.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HttpAuth {
    /// User name and password (RFC 7617).
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// A token in `Authorization: Bearer` (RFC 6750).
    Bearer {
        /// The token.
        token: Secret,
    },
    /// A key in a header field of its own.
    Header {
        /// The field's name, such as `X-API-Key`.
        name: String,
        /// The key.
        value: Secret,
    },
    /// A token fetched with client id and secret (RFC 6749 §4.4), renewed before it runs out.
    #[serde(rename = "oauth2")]
    OAuth2 {
        /// Where tokens are fetched.
        token_url: String,
        /// Client id.
        client_id: String,
        /// Client secret.
        client_secret: Secret,
        /// Scopes to ask for.
        #[serde(default)]
        scopes: Vec<String>,
    },
}

fn default_allow_methods() -> Vec<String> {
    vec!["GET".into(), "HEAD".into()]
}
fn default_true() -> bool {
    true
}
fn default_baud() -> u32 {
    9600
}
fn default_data_bits() -> u8 {
    8
}
fn default_stop_bits() -> u8 {
    1
}
fn default_timeout_ms() -> u32 {
    1000
}
fn default_connect_timeout_ms() -> u32 {
    5000
}
fn default_request_timeout_ms() -> u32 {
    30_000
}
fn default_max_redirects() -> u8 {
    5
}
fn default_max_response_bytes() -> u32 {
    4_194_304
}
fn default_max_frame_bytes() -> u32 {
    262_144
}
fn default_qos() -> u8 {
    1
}
fn default_keep_alive_s() -> u16 {
    30
}
fn default_session_expiry_s() -> u32 {
    86_400
}
fn default_receive_maximum() -> u16 {
    8192
}

//! The script as its author writes it, in TOML.

use bulkhead_sandbox::capability::{Fault, Remedy};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A script: settings, transports and steps.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Case {
    /// What the adapter is told, as in the config.
    #[serde(default)]
    pub(super) settings: toml::Table,
    /// The wall clock at the beginning, RFC 3339.
    #[serde(default = "default_now")]
    pub(super) now: String,
    /// Transports by role.
    #[serde(default)]
    pub(super) transports: BTreeMap<String, Transport>,
    /// What is asked, in order.
    pub(super) steps: Vec<Step>,
}

fn default_now() -> String {
    "2026-01-01T00:00:00Z".into()
}

/// The far side of a transport.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Transport {
    /// A line that answers in this order.
    Serial {
        /// The answers.
        #[serde(default)]
        answers: Vec<Answer>,
    },
    /// The same over TCP.
    Tcp {
        /// The answers.
        #[serde(default)]
        answers: Vec<Answer>,
    },
    /// A device with these registers. An address that is not here is a fault `illegal-data-address`.
    #[serde(alias = "modbus-tcp", alias = "modbus-rtu")]
    Modbus {
        /// First address (as text: a TOML key) and words.
        #[serde(default)]
        holding_registers: BTreeMap<String, Vec<u16>>,
        /// As `holding_registers`.
        #[serde(default)]
        input_registers: BTreeMap<String, Vec<u16>>,
        /// As `holding_registers`, 0 or 1 each.
        #[serde(default)]
        coils: BTreeMap<String, Vec<u16>>,
        /// As `coils`.
        #[serde(default)]
        discrete_inputs: BTreeMap<String, Vec<u16>>,
        /// What is asked and answered, in this order, as a recording has it; then the tables above count for nothing.
        #[serde(default)]
        answers: Vec<ModbusAnswer>,
    },
    /// A broker that takes everything.
    Mqtt {},
    /// A server that answers in this order.
    Http {
        /// The answers.
        #[serde(default)]
        answers: Vec<HttpAnswer>,
    },
}

/// One exchange on a line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// What the adapter must send; absent: whatever it sends.
    pub(super) request: Option<Bytes>,
    /// What comes back.
    pub(super) answer: Option<Bytes>,
    /// What goes wrong instead.
    pub(super) fault: Option<ScriptedFault>,
}

/// One call of a Modbus device: a read of spans, or changes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModbusAnswer {
    /// The spans that the adapter must read, such as `holding-register:100-101`; absent: whatever it reads.
    pub(super) read: Option<Vec<String>>,
    /// The changes that it must write; absent: it reads.
    pub(super) write: Option<Vec<Written>>,
    /// The words of all spans, one after another.
    #[serde(default)]
    pub(super) words: Vec<u16>,
    /// What goes wrong with single spans or changes.
    #[serde(default)]
    pub(super) faults: Vec<ItemFault>,
    /// What goes wrong with the whole call instead.
    pub(super) fault: Option<ScriptedFault>,
}

/// Words that an adapter writes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// Table and first address, such as `holding-register:100`.
    pub(super) from: String,
    /// The words.
    pub(super) words: Vec<u16>,
}

/// What goes wrong with one span or change.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ItemFault {
    /// Which one, from 0 on.
    pub(super) index: u32,
    #[serde(flatten)]
    pub(super) fault: ScriptedFault,
}

/// One request to a server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpAnswer {
    /// What the adapter must ask, such as `POST /api`; absent: whatever it asks.
    pub(super) request: Option<String>,
    /// HTTP status.
    #[serde(default = "ok")]
    pub(super) status: u16,
    /// Header fields.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub(super) body: Bytes,
    /// What goes wrong instead.
    pub(super) fault: Option<ScriptedFault>,
}

fn ok() -> u16 {
    200
}

/// A fault that a transport brings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptedFault {
    code: String,
    #[serde(default)]
    message: String,
    /// `retry`, `reconnect`, `reject` or `reconfigure`.
    #[serde(default)]
    remedy: ScriptedRemedy,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ScriptedRemedy {
    #[default]
    Retry,
    Reconnect,
    Reject,
    Reconfigure,
}

impl ScriptedFault {
    pub(super) fn fault(&self) -> Fault {
        let remedy = match self.remedy {
            ScriptedRemedy::Retry => Remedy::Retry,
            ScriptedRemedy::Reconnect => Remedy::Reconnect,
            ScriptedRemedy::Reject => Remedy::Reject,
            ScriptedRemedy::Reconfigure => Remedy::Reconfigure,
        };
        Fault::new(remedy, self.code.clone(), self.message.clone())
    }
}

/// Bytes: a text, or `{ hex = "0a ff" }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "TextOrHex")]
pub(super) struct Bytes(pub(super) Vec<u8>);

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrHex {
    Text(String),
    Hex { hex: String },
}

impl TryFrom<TextOrHex> for Bytes {
    type Error = String;

    fn try_from(written: TextOrHex) -> Result<Self, String> {
        let hex = match written {
            TextOrHex::Text(text) => return Ok(Self(text.into_bytes())),
            TextOrHex::Hex { hex } => hex.split_whitespace().collect::<String>(),
        };
        let digits: Option<Vec<u8>> = hex.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 => {
                Ok(Self(digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect()))
            }
            _ => Err(format!("hex: found {hex:?}, expected pairs of hexadecimal digits")),
        }
    }
}

/// One thing that is asked of the adapter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Step {
    /// Time goes on by so many milliseconds.
    Wait(u64),
    /// Its own check.
    Check {},
    /// The points of a group.
    Poll(String),
    /// Frames of a transport.
    Receive {
        /// The transport's role.
        transport: String,
        /// The frames.
        frames: Vec<Frame>,
    },
    /// Values to points, by name.
    Write(BTreeMap<String, toml::Value>),
    /// Readings to take upstream.
    Deliver(Vec<Delivered>),
    /// A request to answer.
    Respond {
        /// `GET`, `POST`, …
        method: String,
        /// The path below the connection's own.
        path: String,
        /// The query.
        #[serde(default)]
        query: String,
        /// Header fields.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body.
        #[serde(default)]
        body: Bytes,
    },
}

/// A frame that arrives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Frame {
    /// The MQTT topic, or the timer's name.
    #[serde(default)]
    pub(super) topic: String,
    /// The bytes.
    #[serde(default)]
    pub(super) payload: Bytes,
    /// `data`, `connected`, `disconnected` or `timer`.
    #[serde(default = "data")]
    pub(super) kind: String,
    /// MQTT's retain flag.
    #[serde(default)]
    pub(super) retained: bool,
    /// MQTT 5 user properties.
    #[serde(default)]
    pub(super) properties: Vec<(String, String)>,
}

fn data() -> String {
    "data".into()
}

/// A reading for a sink.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delivered {
    /// The point's name.
    pub(super) point: String,
    /// Its connection.
    #[serde(default = "source")]
    pub(super) connection: String,
    /// Its value; absent: none.
    pub(super) value: Option<toml::Value>,
    /// Its unit.
    pub(super) unit: Option<String>,
    /// Its status by name.
    #[serde(default = "good")]
    pub(super) status: String,
}

fn source() -> String {
    "source".into()
}

fn good() -> String {
    "Good".into()
}

impl Case {
    /// Parses a script.
    ///
    /// # Errors
    /// In words, with line and column.
    pub(in super::super) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_or_hexadecimal() {
        let answer = |text: &str| toml::from_str::<Answer>(text);
        assert_eq!(answer("answer = \"a\\r\\n\"").unwrap().answer, Some(Bytes(b"a\r\n".to_vec())));
        assert_eq!(answer("answer = { hex = \"0a FF\" }").unwrap().answer, Some(Bytes(vec![10, 255])));
        assert!(answer("answer = { hex = \"0\" }").is_err());
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let error = Case::parse("steps = []\nsetting = {}\n").unwrap_err();
        assert!(error.contains("line 2") && error.contains("`setting`"), "{error}");
    }
}

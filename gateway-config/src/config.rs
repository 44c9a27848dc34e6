//! The config as plain values: the whole file and its global sections. Connections and routes have modules of their own.

use crate::{Api, Connection, Route};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where users and API keys are, in the data folder.
pub const ACCOUNTS_FILE: &str = "access/accounts.json";

/// A config that was checked: every name refers to something, every number is inside of its bounds.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Bulkhead configuration")]
pub struct Config {
    /// The folder of the config file; relative paths in it start here.
    #[serde(skip)]
    pub base_dir: PathBuf,
    /// The files that settings name, as they name them; their content stands in the settings.
    #[serde(skip)]
    pub settings_files: BTreeSet<PathBuf>,
    /// The gateway itself: its name and its folders.
    #[serde(default)]
    pub gateway: Gateway,
    /// The journal.
    #[serde(default)]
    pub logging: Logging,
    /// What runs adapters.
    #[serde(default)]
    pub sandbox: SandboxSettings,
    /// The HTTP API.
    #[serde(default)]
    pub api: Api,
    /// Which adapters may run.
    #[serde(default)]
    pub security: Security,
    /// The log of readings on disk.
    #[serde(default)]
    pub log: Log,
    /// The gateway's own health as points.
    #[serde(default)]
    pub health: Health,
    /// What somebody who looks on at a connection does not see.
    #[serde(default)]
    pub tap: TapSettings,
    /// Connections by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = crate::schema::name()))]
    pub connections: BTreeMap<String, Connection>,
    /// Routes by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = crate::schema::name()))]
    pub routes: BTreeMap<String, Route>,
}

impl Config {
    /// A path of the config as a path of this process: a relative one starts at [`Config::base_dir`].
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.base_dir.join(path)
    }

    /// Every file that the config names beside adapters and folders, as a path of this process: those of settings, and
    /// secrets and certificates of transports and of the API.
    #[must_use]
    pub fn named_files(&self) -> BTreeSet<PathBuf> {
        let transports = self.connections.values().flat_map(|connection| connection.transports.values());
        let of_transports = transports.flat_map(|transport| transport.files());
        let of_hooks = self.connections.values().filter_map(|connection| connection.webhook.signature.as_ref());
        let of_api = self.api.files().chain(of_hooks.filter_map(|signature| signature.secret.file()));
        let of_settings = self.settings_files.iter().map(PathBuf::as_path);
        of_settings.chain(of_transports).chain(of_api).map(|file| self.resolve(file)).collect()
    }

    /// The folder of the log and of everything else the gateway writes.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.resolve(&self.gateway.data_dir)
    }

    /// The file of users and API keys.
    #[must_use]
    pub fn accounts_file(&self) -> PathBuf {
        self.data_dir().join(ACCOUNTS_FILE)
    }

    /// The folder that a running gateway writes backups below: `backup_dir`, or `backups` in the data folder.
    #[must_use]
    pub fn backup_dir(&self) -> PathBuf {
        self.gateway.backup_dir.as_ref().map_or_else(|| self.data_dir().join("backups"), |dir| self.resolve(dir))
    }

    /// The component of a connection's adapter: `<adapters_dir>/<adapter>.wasm`.
    #[must_use]
    pub fn adapter_file(&self, adapter: &str) -> PathBuf {
        self.resolve(&self.gateway.adapters_dir).join(format!("{adapter}.wasm"))
    }
}

/// The gateway itself.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Its name, which tells gateways apart upstream; 1 to 64 of `a-z`, `0-9`, `-` and `_`.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9_-]+$"))]
    pub name: String,
    /// Folder of the log and the gateway's state, relative to the config file.
    pub data_dir: PathBuf,
    /// Folder of the adapters' `.wasm` files, relative to the config file.
    pub adapters_dir: PathBuf,
    /// Folder that backups are written below, relative to the config file. None: `backups` in the data folder.
    pub backup_dir: Option<PathBuf>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { name: "bulkhead".into(), data_dir: "data".into(), adapters_dir: "adapters".into(), backup_dir: None }
    }
}

/// The journal: what the gateway writes about itself.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// Least important lines to write.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// How much a line of the journal matters; each level includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Does not work.
    Error,
    /// Works, but not as it should.
    Warn,
    /// Worth knowing.
    #[default]
    Info,
    /// For people who look for a fault.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// Its name, as in the config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// How a line of the journal looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people, on stderr.
    #[default]
    Plain,
    /// One JSON object a line, on stderr.
    Json,
    /// The systemd journal, with fields.
    Journald,
}

/// What runs adapters.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSettings {
    /// How their code is run. Read at the start only.
    pub engine: SandboxEngine,
}

/// How the code of adapters is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SandboxEngine {
    /// As machine code, made by Cranelift when an adapter is first met.
    #[default]
    Native,
    /// By an interpreter, for processors that Cranelift makes no code for. Slower; adapters are translated all the same.
    Pulley,
}

/// Which adapters may run: whose signatures are believed, which files are pinned, how long an upgrade is on probation.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Whether every adapter needs a signature of one of `trusted_keys`. Nothing of one without is parsed, and nothing older
    /// than the version accepted last is run.
    pub require_signed: bool,
    /// Minisign public keys by name, as the second line of a `.pub` file.
    #[schemars(extend("propertyNames" = crate::schema::name(), "additionalProperties" = {
        "type": "string", "pattern": "^RW[Q-T][A-Za-z0-9+/]{53}$"
    }))]
    pub trusted_keys: BTreeMap<String, String>,
    /// The SHA-256 of adapters by name; another file of that name is refused.
    #[schemars(extend("propertyNames" = crate::schema::name(), "additionalProperties" = {
        "type": "string", "pattern": "^[0-9a-f]{64}$"
    }))]
    pub pins: BTreeMap<String, String>,
    /// How long `bulkhead adapter upgrade` watches a new version, in seconds, before the previous one is let go.
    #[schemars(range(min = 1, max = 86_400))]
    pub upgrade_probation_s: u32,
}

impl Default for Security {
    fn default() -> Self {
        Self { require_signed: false, trusted_keys: BTreeMap::new(), pins: BTreeMap::new(), upgrade_probation_s: 60 }
    }
}

/// The log of readings on disk.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What a commit survives.
    pub durability: Durability,
    /// Longest time a reading waits for its commit, in milliseconds.
    #[schemars(range(min = 1, max = 10_000))]
    pub commit_max_ms: u32,
    /// The same for a few readings that nobody seems to wait for, in milliseconds.
    #[schemars(range(max = 10_000))]
    pub commit_quiet_max_ms: u32,
    /// Most rows in one commit.
    #[schemars(range(min = 1, max = 100_000))]
    pub commit_max_rows: u32,
    /// A segment is sealed at this many rows.
    #[schemars(range(min = 1000, max = 10_000_000))]
    pub segment_max_rows: u32,
    /// A segment is sealed this many seconds after its first commit.
    #[schemars(range(min = 60, max = 31_536_000))]
    pub segment_max_age_s: u32,
    /// Readings older than this many seconds are deleted, a segment at a time.
    #[schemars(range(min = 60, max = 3_153_600_000_u64))]
    pub retention_max_age_s: u64,
    /// The quota: most bytes of all files of the log.
    #[schemars(range(min = 16_777_216, max = 1_125_899_906_842_624_u64))]
    pub max_bytes: u64,
    /// Bytes kept on the disk so that routes still move on when it is full; at most a quarter of the quota.
    #[schemars(range(min = 1_048_576, max = 67_108_864))]
    pub reserve_bytes: u64,
    /// What happens when the quota is used up or the disk is full.
    pub when_full: WhenFull,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            commit_max_ms: 20,
            commit_quiet_max_ms: 750,
            commit_max_rows: 10_000,
            segment_max_rows: 500_000,
            segment_max_age_s: 86_400,
            retention_max_age_s: 31_536_000,
            max_bytes: 4 << 30,
            reserve_bytes: 4 << 20,
            when_full: WhenFull::DropOldest,
        }
    }
}

/// The connection under whose name the gateway's own health is recorded; no other can have it.
pub const HEALTH_CONNECTION: &str = "gateway";

/// The gateway's own health as points of the built-in connection [`HEALTH_CONNECTION`].
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Seconds from one set of readings to the next; 0: none are recorded.
    #[schemars(range(min = 0, max = 86_400))]
    pub interval_s: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { interval_s: 60 }
    }
}

/// What `bulkhead tap` covers beside the config's secrets and the header fields that carry credentials.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TapSettings {
    /// Texts that are covered wherever they stand in what is shown, payloads included.
    #[schemars(length(max = 100), inner(length(min = 4, max = 200)))]
    pub redact: Vec<String>,
    /// Header fields whose values are covered; upper and lower case are the same.
    #[schemars(length(max = 100), inner(length(min = 1, max = 200)))]
    pub redact_headers: Vec<String>,
}

/// What happens to readings for which the log has no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The oldest readings are dropped, a segment at a time.
    #[default]
    DropOldest,
    /// They are refused: polls pause, brokers and callers are not answered and keep them.
    Refuse,
}

/// What a commit of the log survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A power cut: every commit waits for the disk.
    #[default]
    Full,
    /// A crash of the gateway; a power cut may lose the last commits. Less wear on flash.
    Normal,
}

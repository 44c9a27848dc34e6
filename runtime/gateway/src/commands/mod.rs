//! One module a command, and what they share: loading a config and setting up the sandbox.

mod accounts;
pub(crate) mod adapter;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod check;
mod client;
pub(crate) mod config;
pub(crate) mod connections;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod generate;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod poll;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod support_bundle;
pub(crate) mod tap;
pub(crate) mod test;
pub(crate) mod user;
pub(crate) mod write;

use crate::console;
use crate::exit::Exit;
use bulkhead_config::{AdapterSchemas, Config, Diagnostics, Loaded, SandboxEngine};
use bulkhead_engine::Probe;
use bulkhead_log::{Durability, LogConfig, WhenFull};
use bulkhead_model::transport::Transport;
use bulkhead_sandbox::{CodeKind, Compiler, Sandbox, SandboxConfig};
use std::path::Path;
use std::time::Duration;

/// A checked config. What is wrong with it is printed, warnings too.
fn load_config(path: &Path) -> Result<Config, Exit> {
    load_text(path).map(|(_, loaded)| loaded.config)
}

/// The text of a config file, and it checked. What is wrong with it is printed, warnings too.
fn load_text(path: &Path) -> Result<(String, Loaded), Exit> {
    let text = shown_if_wrong(bulkhead_config::read_text(path))?;
    let loaded = checked(bulkhead_config::parse(&text, path, &bulkhead_engine::schemas_in()))?;
    Ok((text, loaded))
}

fn checked(outcome: Result<Loaded, Diagnostics>) -> Result<Loaded, Exit> {
    let loaded = shown_if_wrong(outcome)?;
    if !loaded.warnings.is_empty() {
        console::note_diagnostics(&loaded.warnings);
    }
    Ok(loaded)
}

fn shown_if_wrong<T>(outcome: Result<T, Diagnostics>) -> Result<T, Exit> {
    outcome.map_err(|diagnostics| {
        console::note_diagnostics(&diagnostics);
        Exit::Wrong
    })
}

/// A checked config whose adapters lie in another folder than it says.
fn load_adapters_from(path: &Path, adapters: &Path) -> Result<Config, Exit> {
    let folder = std::path::absolute(adapters)?;
    let schemas = bulkhead_engine::schemas_in();
    let elsewhere = |_: &Path, adapter: &str| schemas.look_up(&folder, adapter);
    let mut config = checked(bulkhead_config::load(path, &elsewhere))?.config;
    config.gateway.adapters_dir = folder.clone();
    Ok(config)
}

/// The sandbox, with its cache of compiled adapters in the data folder. A child of this program compiles.
fn sandbox(config: &Config) -> Result<Sandbox, Exit> {
    let is_pulley = config.sandbox.engine == SandboxEngine::Pulley;
    let code = CodeKind::from(is_pulley);
    let compiler =
        Compiler::this_program(if is_pulley { &["compile-adapter", "--pulley"] } else { &["compile-adapter"] });
    let trust = bulkhead_engine::trust(config)?;
    Ok(SandboxConfig { cache_dir: Some(config.data_dir().join("compiled")), compiler, trust, code }.build()?)
}

/// One connection put up by itself. Compiling its adapter and connecting can take seconds.
async fn open_probe(config: &Config, connection: &str) -> Result<Probe, Exit> {
    refuse_shared_port(config, connection).await?;
    let sandbox = sandbox(config)?;
    let opening = Probe::open(config, sandbox, connection);
    Ok(console::while_waiting("loading the adapter and connecting", opening).await?)
}

/// A serial line has one user: two programs on it take each other's answers.
async fn refuse_shared_port(config: &Config, connection: &str) -> Result<(), Exit> {
    let transports = config.connections.get(connection).into_iter().flat_map(|one| one.transports.values());
    let port = transports.into_iter().find_map(|transport| match transport {
        Transport::Serial(serial) => Some(&serial.line.port),
        Transport::ModbusRtu(rtu) => Some(&rtu.line.port),
        _ => None,
    });
    let Some(port) = port else { return Ok(()) };
    let listen = config.api.listen;
    match tokio::time::timeout(GATEWAY_CONNECT_MAX, tokio::net::TcpStream::connect(listen)).await {
        Ok(Ok(_)) => Err(Exit::failed(format!(
            "a gateway runs at {listen} and uses {}; stop it first, or ask it: http://{listen}/api/v1/connections/{connection}",
            port.display()
        ))),
        _ => Ok(()),
    }
}

/// Longest wait to find out whether a gateway runs.
const GATEWAY_CONNECT_MAX: Duration = Duration::from_secs(2);

/// The settings of the log.
fn log_config(config: &Config) -> LogConfig {
    let given = &config.log;
    LogConfig {
        durability: match given.durability {
            bulkhead_config::Durability::Full => Durability::Full,
            bulkhead_config::Durability::Normal => Durability::Normal,
        },
        commit_max_ms: given.commit_max_ms,
        commit_quiet_max_ms: given.commit_quiet_max_ms,
        commit_max_rows: given.commit_max_rows,
        segment_max_rows: given.segment_max_rows,
        segment_max_age_s: given.segment_max_age_s,
        retention_max_age_s: Some(given.retention_max_age_s),
        max_bytes: Some(given.max_bytes),
        reserve_bytes: given.reserve_bytes,
        when_full: match given.when_full {
            bulkhead_config::WhenFull::DropOldest => WhenFull::DropOldest,
            bulkhead_config::WhenFull::Refuse => WhenFull::Refuse,
        },
        ..LogConfig::new(config.data_dir().join("log"))
    }
}

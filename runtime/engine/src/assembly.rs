//! From a connection's config to its parts: the loaded adapter, its transports, the capabilities they grant.

use crate::error::EngineError;
use crate::reload::inputs::Inputs;
use crate::status::TransportStatus;
use crate::taps::Taps;
use bulkhead_config::{Config, Connection};
use bulkhead_model::transport::Transport;
use bulkhead_sandbox::capability::{Capabilities, Catalogue, Clock, FrameSource, Journal, Link, LinkState, State};
use bulkhead_sandbox::{Adapter, Guest, Limits, PointTable, Role, Sandbox, SandboxError};
use bulkhead_transports::{Buses, Capability, Context};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the connections of one engine have in common.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) config: Arc<Config>,
    pub(crate) sandbox: Sandbox,
    pub(crate) buses: Arc<Buses>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) taps: Arc<Taps>,
}

/// What is a connection's own: where its points, its memory and its journal go.
pub(crate) struct Stores {
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) state: Arc<dyn State>,
    pub(crate) journal: Arc<dyn Journal>,
}

/// A transport under its role.
#[derive(Clone)]
pub(crate) struct NamedLink {
    pub(crate) role: String,
    pub(crate) link: Arc<dyn Link>,
}

/// The parts of a connection, put together but not started.
pub(crate) struct Parts {
    pub(crate) adapter: Arc<Adapter>,
    pub(crate) links: Vec<NamedLink>,
    pub(crate) sources: Vec<(String, Box<dyn FrameSource>)>,
    pub(crate) points: Arc<PointTable>,
    pub(crate) inputs: Inputs,
    capabilities: Capabilities,
    limits: Limits,
    settings: Arc<str>,
}

impl Parts {
    /// A guest of these parts; those of one connection share points and transports.
    pub(crate) fn guest(&self, connection: &str) -> Result<Guest, EngineError> {
        Guest::new(
            self.adapter.clone(),
            self.capabilities.clone(),
            self.points.clone(),
            self.limits,
            self.settings.clone(),
        )
        .map_err(|cause| EngineError::Adapter { connection: connection.to_owned(), cause })
    }
}

/// Loads a connection's adapter and makes its transports. Opens no socket and no device.
pub(crate) async fn assemble(name: &str, around: &Surroundings, stores: Stores) -> Result<Parts, EngineError> {
    let connection = &around.config.connections[name];
    let adapter = load_adapter(name, connection, around).await?;
    let inputs = Inputs::with_adapter(&around.config, connection, adapter.hash());
    let mut capabilities = Capabilities {
        catalogue: stores.catalogue,
        journal: stores.journal,
        clock: around.clock.clone(),
        state: (connection.limits.state_max_kb > 0).then_some(stores.state),
        modbus: BTreeMap::new(),
        serial: BTreeMap::new(),
        tcp: BTreeMap::new(),
        mqtt: BTreeMap::new(),
        http: BTreeMap::new(),
        tap: around.taps.of(name),
    };
    let mut links = Vec::new();
    let mut sources = Vec::new();
    for (role, settings) in &connection.transports {
        let context = Context {
            connection: name.to_owned(),
            role: role.clone(),
            gateway: around.config.gateway.name.clone(),
            base_dir: around.config.base_dir.clone(),
            clock: around.clock.clone(),
            tap: capabilities.tap.clone(),
        };
        let opened = bulkhead_transports::open(settings, context, &around.buses)?;
        grant(&mut capabilities, role, opened.capability);
        links.push(NamedLink { role: role.clone(), link: opened.link });
        // A source that nobody listens to is dropped, so that its transport does not wait for acknowledgements.
        sources.extend(opened.frames.filter(|_| adapter.has(Role::Listener)).map(|source| (role.clone(), source)));
    }
    adapter.check_grants(&capabilities).map_err(|cause| EngineError::Adapter { connection: name.to_owned(), cause })?;
    let settings = connection.settings.text();
    let limits = limits(connection);
    Ok(Parts { adapter, links, sources, points: Arc::default(), inputs, capabilities, limits, settings })
}

async fn load_adapter(name: &str, connection: &Connection, around: &Surroundings) -> Result<Arc<Adapter>, EngineError> {
    let sandbox = around.sandbox.clone();
    let adapter = connection.adapter.clone();
    let path = around.config.adapter_file(&adapter);
    let failed = |cause| EngineError::Adapter { connection: name.to_owned(), cause };
    tokio::task::spawn_blocking(move || sandbox.load(&adapter, &path))
        .await
        .map_err(|error| failed(SandboxError::Setup(format!("the loading thread ended: {error}"))))?
        .map_err(failed)
}

fn grant(capabilities: &mut Capabilities, role: &str, capability: Capability) {
    let role = role.to_owned();
    match capability {
        Capability::Modbus(modbus) => _ = capabilities.modbus.insert(role, modbus),
        Capability::Serial(line) => _ = capabilities.serial.insert(role, line),
        Capability::Tcp(line) => {
            capabilities.serial.insert(role.clone(), line.clone());
            capabilities.tcp.insert(role, line);
        }
        Capability::Mqtt(mqtt) => _ = capabilities.mqtt.insert(role, mqtt),
        Capability::Http(http) => _ = capabilities.http.insert(role, http),
    }
}

fn limits(connection: &Connection) -> Limits {
    let given = &connection.limits;
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    // A transport that may take longer than a host call would never be heard out.
    let longest_request = connection.transports.values().map(request_timeout).max().unwrap_or_default();
    let host_call_timeout = ms(given.host_call_timeout_ms).max(longest_request + REQUEST_MARGIN);
    Limits {
        memory_max_bytes: (given.memory_max_mb as usize) << 20,
        call_timeout: ms(given.call_timeout_ms),
        host_call_timeout,
        call_total_timeout: ms(given.call_total_timeout_ms).max(host_call_timeout + REQUEST_MARGIN),
        requests_per_s: given.requests_per_s,
        rebuild_first: ms(given.restart_first_ms),
        rebuild_max: ms(given.restart_max_ms),
        ..Limits::default()
    }
}

/// What a host call gets beyond its transport's own timeout.
const REQUEST_MARGIN: Duration = Duration::from_secs(1);

/// Longest time one request of a transport may take by its own settings.
fn request_timeout(transport: &Transport) -> Duration {
    let ms = match transport {
        Transport::Http(http) => http.timeout_ms,
        Transport::Mqtt(mqtt) => mqtt.timeout_ms,
        Transport::Serial(serial) => serial.timeout_ms,
        Transport::Tcp(tcp) => tcp.timeout_ms,
        // One host call may carry many requests: these stay under the limit of the call.
        Transport::ModbusTcp(_) | Transport::ModbusRtu(_) => 0,
    };
    Duration::from_millis(u64::from(ms))
}

impl NamedLink {
    pub(crate) fn status(&self) -> TransportStatus {
        let state = self.link.state().borrow().clone();
        let (state, reason) = match state {
            LinkState::Stopped => ("stopped", None),
            LinkState::Connecting => ("connecting", None),
            LinkState::Up => ("up", None),
            LinkState::Down { reason } => ("down", Some(reason)),
        };
        TransportStatus {
            role: self.role.clone(),
            target: self.link.describe(),
            state,
            reason,
            counters: self.link.counters().into_iter().collect(),
        }
    }

    /// Waits until the first connect has worked or failed, at most `limit`.
    pub(crate) async fn settled(&self, limit: Duration) {
        let mut state = self.link.state();
        let settled = state.wait_for(|state| matches!(state, LinkState::Up | LinkState::Down { .. }));
        // Whether it settled or the time is over, the caller goes on; the state tells the rest.
        _ = tokio::time::timeout(limit, settled).await;
    }
}

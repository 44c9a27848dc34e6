//! The host functions a guest can call: each looks the capability up among the granted ones and calls it within a time.

use crate::bindings::bulkhead::adapter as wit;
use crate::budget::Budget;
use crate::capability::{Capabilities, Fault, Remedy};
use crate::convert::point_info_to_model;
use crate::limits::{
    CODE_MAX_BYTES, HANDLES_MAX, LABEL_MAX_BYTES, Limits, MESSAGE_MAX_BYTES, POINTS_MAX, POINTS_MAX_BYTES,
    RANDOM_MAX_BYTES, TIMER_MS, TIMERS_MAX,
};
use crate::meter::Meter;
use crate::pace::Pace;
use crate::points::PointTable;
use crate::stdio::JournalStream;
use crate::tap::{Asked, Asking, Told};
use crate::text::tidy;
use crate::waits::Waits;
use bulkhead_model::{PointInfo, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Changes of the durable memory in a second, and how many may come at once: each is a commit to the disk.
const STATE_WRITES_PER_S: u32 = 50;
const STATE_WRITES_SAVED: u32 = 256;

/// What belongs to one guest instance on the host's side.
pub(crate) struct HostState {
    pub(crate) capabilities: Capabilities,
    pub(crate) points: Arc<PointTable>,
    pub(crate) memory: Budget,
    /// How long the guest has computed in this call.
    pub(crate) meter: Arc<Meter>,
    /// The longest it may.
    pub(crate) compute_max: Duration,
    /// The last line that the guest wrote as an error in this call: where it ends with a trap, this is why.
    pub(crate) last_words: Option<String>,
    /// When the first request of this call went to a device.
    pub(crate) first_request: Option<Timestamp>,
    /// Running timers: name and when they end, on the monotonic clock.
    pub(crate) timers: BTreeMap<String, u64>,
    host_call_timeout: Duration,
    paces: Arc<Mutex<Paces>>,
    wasi: WasiCtx,
    resources: ResourceTable,
}

/// The turns of one guest; an instance that is built anew goes on with them.
#[derive(Debug)]
pub(crate) struct Paces {
    /// Of everything that reaches a transport or the log.
    requests: Pace,
    /// Of changes of the durable memory, each of which is a commit.
    state_writes: Pace,
}

impl Paces {
    pub(crate) fn new(limits: &Limits) -> Arc<Mutex<Self>> {
        let requests = Pace::new(limits.requests_per_s, limits.requests_per_s);
        let state_writes = Pace::new(STATE_WRITES_PER_S, STATE_WRITES_SAVED);
        Arc::new(Mutex::new(Self { requests, state_writes }))
    }
}

impl HostState {
    pub(crate) fn new(
        capabilities: Capabilities,
        points: Arc<PointTable>,
        limits: &Limits,
        paces: Arc<Mutex<Paces>>,
    ) -> Self {
        let memory = Budget::new(limits.memory_max_bytes);
        // No folder, no network, no environment, no arguments; output goes to the journal.
        let wasi = WasiCtxBuilder::new()
            .stdout(JournalStream::new(capabilities.journal.clone(), wit::log::Level::Info))
            .stderr(JournalStream::new(capabilities.journal.clone(), wit::log::Level::Warn))
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM_MAX_BYTES)
            .build();
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(HANDLES_MAX);
        Self {
            capabilities,
            points,
            memory,
            meter: Meter::new(),
            compute_max: limits.call_timeout,
            last_words: None,
            first_request: None,
            timers: BTreeMap::new(),
            host_call_timeout: limits.host_call_timeout,
            paces,
            wasi,
            resources,
        }
    }

    /// What limits the waiting of a WASI guest.
    pub(crate) fn waits(&mut self) -> Waits<'_> {
        Waits { resources: &mut self.resources, limit: self.host_call_timeout }
    }

    /// How long until it is this guest's turn to ask for something that costs others.
    fn turn(&self, of: impl FnOnce(&mut Paces) -> &mut Pace) -> Turn {
        let now_ns = self.capabilities.clock.monotonic_ns();
        Turn(of(&mut self.paces.lock()).take(now_ns))
    }

    fn request_turn(&self) -> Turn {
        self.turn(|paces| &mut paces.requests)
    }

    /// Begins to tell whoever looks on what is asked of the host; see [`crate::tap`].
    fn asking(&self, transport: Option<&str>, asked: impl FnOnce() -> Asked) -> Asking {
        self.capabilities.tap.asks(&self.capabilities.clock, transport, asked)
    }

    fn tell(&self, told: impl FnOnce() -> Told) {
        self.capabilities.tap.tell(&self.capabilities.clock, told);
    }

    /// Notes that a request goes to a device now, unless one of this call did before.
    fn note_request(&mut self) {
        if self.first_request.is_none() {
            self.first_request = Some(self.capabilities.clock.now());
        }
    }
}

/// A turn that comes after some time. It borrows nothing of the state, which may not cross an await.
struct Turn(Duration);

impl Turn {
    async fn come(self) {
        if !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
    }
}

/// Waits for a host call within its limit. It borrows nothing of the state, which may not cross an await.
async fn within<T>(
    limit: Duration,
    what: &str,
    call: impl Future<Output = Result<T, Fault>> + Send,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("{what} was not done within {} ms, the limit of one host call", limit.as_millis());
            Err(Fault::new(Remedy::Retry, "timeout", message))
        }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.resources }
    }
}

/// The object granted under a role, or a fault that names the roles there are.
fn granted<T: ?Sized>(of: &BTreeMap<String, Arc<T>>, role: &str, capability: &str) -> Result<Arc<T>, Fault> {
    of.get(role).cloned().ok_or_else(|| {
        let roles: Vec<&str> = of.keys().map(String::as_str).collect();
        let message =
            format!("no {capability} transport is granted under the role `{role}`; granted: {}", roles.join(", "));
        Fault::new(Remedy::Reconfigure, "no-such-transport", message)
    })
}

/// A declaration with its texts cut to their bounds.
fn bounded(mut info: PointInfo) -> PointInfo {
    for text in [&mut info.unit, &mut info.group].into_iter().flatten() {
        tidy(text, LABEL_MAX_BYTES);
    }
    if let Some(text) = &mut info.description {
        tidy(text, MESSAGE_MAX_BYTES);
    }
    info
}

fn check_declaration(infos: &[PointInfo], table: &PointTable) -> Result<(), Fault> {
    if let Some(bad) = infos.iter().find(|info| !PointInfo::name_is_valid(&info.name)) {
        let mut shown = bad.name.clone();
        tidy(&mut shown, LABEL_MAX_BYTES);
        let message = format!("the point name `{shown}` is not 1 to 255 bytes without control characters");
        return Err(Fault::new(Remedy::Reject, "bad-point-name", message));
    }
    let after = table.size_with(infos);
    if after.points > POINTS_MAX || after.bytes > POINTS_MAX_BYTES {
        let message = format!(
            "the connection would have {} points with {} bytes of names and descriptions: at most {POINTS_MAX} and \
             {POINTS_MAX_BYTES}",
            after.points, after.bytes
        );
        return Err(Fault::new(Remedy::Reject, "too-many-points", message));
    }
    Ok(())
}

impl wit::types::Host for HostState {}

impl wit::points::Host for HostState {
    async fn declare(&mut self, points: Vec<wit::types::PointInfo>) -> Result<Vec<u32>, Fault> {
        let infos: Vec<PointInfo> = points.into_iter().map(|info| bounded(point_info_to_model(info))).collect();
        check_declaration(&infos, &self.points)?;
        self.request_turn().come().await;
        let catalogue = self.capabilities.catalogue.clone();
        let asking = self.asking(None, || Asked::Declare(infos.clone()));
        let declared = within(self.host_call_timeout, "declaring points", catalogue.declare(infos)).await;
        Ok(self.points.add(asking.hear(declared)?))
    }
}

impl wit::log::Host for HostState {
    async fn write(&mut self, level: wit::log::Level, mut message: String) {
        tidy(&mut message, MESSAGE_MAX_BYTES);
        self.tell(|| Told::Says { level, message: message.clone() });
        self.capabilities.journal.write(level, &message);
        if level == wit::log::Level::Error {
            self.last_words = Some(message);
        }
    }

    async fn report(&mut self, point: Option<u32>, mut fault: Fault) {
        tidy(&mut fault.message, MESSAGE_MAX_BYTES);
        tidy(&mut fault.code, CODE_MAX_BYTES);
        let name = point.and_then(|point| self.points.name(point));
        self.tell(|| Told::Reports { point: name.clone(), fault: fault.clone() });
        self.capabilities.journal.report(name.as_deref(), &fault);
    }
}

impl wit::clock::Host for HostState {
    async fn now(&mut self) -> i64 {
        self.capabilities.clock.now().0
    }

    async fn monotonic(&mut self) -> u64 {
        self.capabilities.clock.monotonic_ns()
    }

    async fn set_timer(&mut self, name: String, after_ms: u32) -> bool {
        let is_full = self.timers.len() >= TIMERS_MAX && !self.timers.contains_key(&name);
        if is_full || !TIMER_MS.contains(&after_ms) || name.len() > CODE_MAX_BYTES {
            return false;
        }
        let ends = self.capabilities.clock.monotonic_ns() + u64::from(after_ms) * 1_000_000;
        self.timers.insert(name, ends);
        true
    }
}

fn state_of(capabilities: &Capabilities) -> Result<Arc<dyn crate::capability::State>, Fault> {
    capabilities.state.clone().ok_or_else(|| {
        Fault::new(Remedy::Reconfigure, "not-granted", "a durable memory is not granted to this connection")
    })
}

impl wit::state::Host for HostState {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Fault> {
        let state = state_of(&self.capabilities)?;
        self.request_turn().come().await;
        let asking = self.asking(None, || Asked::State("get", key.clone(), 0));
        asking.hear(within(self.host_call_timeout, "reading state", state.get(key)).await)
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), Fault> {
        let state = state_of(&self.capabilities)?;
        self.turn(|paces| &mut paces.state_writes).come().await;
        let asking = self.asking(None, || Asked::State("set", key.clone(), value.len()));
        asking.hear(within(self.host_call_timeout, "storing state", state.set(key, value)).await)
    }

    async fn remove(&mut self, key: String) -> Result<(), Fault> {
        let state = state_of(&self.capabilities)?;
        self.turn(|paces| &mut paces.state_writes).come().await;
        let asking = self.asking(None, || Asked::State("remove", key.clone(), 0));
        asking.hear(within(self.host_call_timeout, "removing state", state.remove(key)).await)
    }
}

impl wit::modbus::Host for HostState {
    async fn read(&mut self, transport: String, spans: Vec<wit::modbus::Span>) -> Result<wit::modbus::Words, Fault> {
        let modbus = granted(&self.capabilities.modbus, &transport, "Modbus")?;
        self.request_turn().come().await;
        self.note_request();
        let asking = self.asking(Some(&transport), || Asked::ModbusRead(spans.clone()));
        asking.hear(within(self.host_call_timeout, "a Modbus read", modbus.read(spans)).await)
    }

    async fn write(&mut self, transport: String, changes: Vec<wit::modbus::Change>) -> Vec<Result<(), Fault>> {
        let count = changes.len();
        match granted(&self.capabilities.modbus, &transport, "Modbus") {
            Ok(modbus) => {
                self.request_turn().come().await;
                let asking = self.asking(Some(&transport), || Asked::ModbusWrite(changes.clone()));
                let writing = async move { Ok(modbus.write(changes).await) };
                let written = within(self.host_call_timeout, "a Modbus write", writing).await;
                asking.hear_each(written.unwrap_or_else(|fault| vec![Err(fault); count]))
            }
            Err(fault) => vec![Err(fault); count],
        }
    }
}

impl wit::serial::Host for HostState {
    async fn exchange(
        &mut self,
        transport: String,
        request: Vec<u8>,
        framing: Option<wit::types::Framing>,
        timeout_ms: Option<u32>,
        line: Option<wit::serial::LineSettings>,
    ) -> Result<Vec<u8>, Fault> {
        let serial = granted(&self.capabilities.serial, &transport, "serial")?;
        self.request_turn().come().await;
        self.note_request();
        let asking = self.asking(Some(&transport), || Asked::Exchange("serial", request.clone()));
        let exchange = serial.exchange(request, framing, timeout_ms, line);
        asking.hear(within(self.host_call_timeout, "a serial exchange", exchange).await)
    }

    async fn send(&mut self, transport: String, data: Vec<u8>) -> Result<(), Fault> {
        let serial = granted(&self.capabilities.serial, &transport, "serial")?;
        self.request_turn().come().await;
        let asking = self.asking(Some(&transport), || Asked::Send("serial", data.clone()));
        asking.hear(within(self.host_call_timeout, "sending on a serial line", serial.send(data)).await)
    }
}

impl wit::tcp::Host for HostState {
    async fn exchange(
        &mut self,
        transport: String,
        request: Vec<u8>,
        framing: Option<wit::types::Framing>,
        timeout_ms: Option<u32>,
    ) -> Result<Vec<u8>, Fault> {
        let tcp = granted(&self.capabilities.tcp, &transport, "TCP")?;
        self.request_turn().come().await;
        self.note_request();
        let asking = self.asking(Some(&transport), || Asked::Exchange("tcp", request.clone()));
        let exchange = tcp.exchange(request, framing, timeout_ms, None);
        asking.hear(within(self.host_call_timeout, "a TCP exchange", exchange).await)
    }

    async fn send(&mut self, transport: String, data: Vec<u8>) -> Result<(), Fault> {
        let tcp = granted(&self.capabilities.tcp, &transport, "TCP")?;
        self.request_turn().come().await;
        let asking = self.asking(Some(&transport), || Asked::Send("tcp", data.clone()));
        asking.hear(within(self.host_call_timeout, "sending over TCP", tcp.send(data)).await)
    }
}

impl wit::mqtt::Host for HostState {
    async fn publish(&mut self, transport: String, message: wit::mqtt::Message) -> Result<(), Fault> {
        let mqtt = granted(&self.capabilities.mqtt, &transport, "MQTT")?;
        self.request_turn().come().await;
        let asking = self.asking(Some(&transport), || Asked::Publish(message.clone()));
        asking.hear(within(self.host_call_timeout, "publishing", mqtt.publish(message)).await)
    }

    async fn set_will(&mut self, transport: String, message: wit::mqtt::Message) -> Result<(), Fault> {
        let mqtt = granted(&self.capabilities.mqtt, &transport, "MQTT")?;
        self.request_turn().come().await;
        let asking = self.asking(Some(&transport), || Asked::SetWill(message.clone()));
        asking.hear(within(self.host_call_timeout, "setting the last will", mqtt.set_will(message)).await)
    }
}

impl wit::http::Host for HostState {
    async fn request(&mut self, transport: String, request: wit::http::Outgoing) -> Result<wit::http::Incoming, Fault> {
        let http = granted(&self.capabilities.http, &transport, "HTTP")?;
        self.request_turn().come().await;
        self.note_request();
        let asking = self.asking(Some(&transport), || Asked::Request(request.clone()));
        asking.hear(within(self.host_call_timeout, "an HTTP request", http.request(request)).await)
    }
}

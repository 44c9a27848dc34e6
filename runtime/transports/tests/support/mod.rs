//! What the transports' tests share: a clock, an opened and started transport, waiting for a state.

#![allow(dead_code, reason = "each test file uses its own part")]

use bulkhead_model::Timestamp;
use bulkhead_model::transport::Transport;
use bulkhead_sandbox::capability::{ByteLine, Clock, Fault, Frame, FrameSource, Http, Link, LinkState, Modbus, Mqtt};
use bulkhead_sandbox::tap::Tap;
use bulkhead_transports::{Buses, Capability, Context, Opened, TransportError};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::{TcpListener, TcpStream};

/// Longest wait for anything in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_system_time(SystemTime::now())
    }
    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }
}

pub(crate) fn context_in(connection: &str, base_dir: &Path) -> Context {
    Context {
        connection: connection.into(),
        role: "device".into(),
        gateway: "test".into(),
        base_dir: base_dir.into(),
        clock: Arc::new(SystemClock(Instant::now())),
        tap: Tap::default(),
    }
}

pub(crate) fn settings(json: serde_json::Value) -> Transport {
    serde_json::from_value(json).unwrap()
}

pub(crate) fn try_open(json: serde_json::Value, buses: &Buses) -> Result<Opened, TransportError> {
    bulkhead_transports::open(&settings(json), context_in("press", &PathBuf::from("/")), buses)
}

pub(crate) fn opened(json: serde_json::Value, buses: &Buses) -> Opened {
    try_open(json, buses).unwrap()
}

pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}

pub(crate) async fn wait_for(link: &Arc<dyn Link>, what: &str, wanted: impl Fn(&LinkState) -> bool) -> LinkState {
    let mut state = link.state();
    let found = patiently(what, state.wait_for(|state| wanted(state))).await.unwrap();
    found.clone()
}

pub(crate) async fn up(link: &Arc<dyn Link>) {
    wait_for(link, "up", |state| *state == LinkState::Up).await;
}

pub(crate) async fn down(link: &Arc<dyn Link>) -> String {
    match wait_for(link, "down", |state| matches!(state, LinkState::Down { .. })).await {
        LinkState::Down { reason } => reason,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn modbus(opened: &Opened) -> Arc<dyn Modbus> {
    match &opened.capability {
        Capability::Modbus(modbus) => modbus.clone(),
        _ => panic!("no Modbus transport"),
    }
}

pub(crate) fn line(opened: &Opened) -> Arc<dyn ByteLine> {
    match &opened.capability {
        Capability::Serial(line) | Capability::Tcp(line) => line.clone(),
        _ => panic!("no byte line"),
    }
}

pub(crate) fn mqtt(opened: &Opened) -> Arc<dyn Mqtt> {
    match &opened.capability {
        Capability::Mqtt(mqtt) => mqtt.clone(),
        _ => panic!("no MQTT transport"),
    }
}

pub(crate) fn http(opened: &Opened) -> Arc<dyn Http> {
    match &opened.capability {
        Capability::Http(http) => http.clone(),
        _ => panic!("no HTTP transport"),
    }
}

pub(crate) fn counter(link: &Arc<dyn Link>, name: &str) -> u64 {
    link.counters().into_iter().find(|(of, _)| *of == name).unwrap().1
}

/// Takes frames until `enough` of them satisfy a predicate; each batch is acknowledged.
pub(crate) async fn frames_until(
    source: &mut Box<dyn FrameSource>,
    what: &str,
    enough: usize,
    wanted: impl Fn(&Frame) -> bool,
) -> Vec<Frame> {
    let mut found = Vec::new();
    while found.len() < enough {
        let batch = patiently(what, source.next(1000)).await.expect("the transport runs");
        found.extend(batch.frames.into_iter().filter(|frame| wanted(frame)));
        source.acknowledge(batch.ticket).await;
    }
    found
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Fault>) -> (String, String) {
    let fault = result.unwrap_err();
    (fault.code, fault.message)
}

/// Whether a program that a test needs is there; the test fails saying which is missing.
pub(crate) fn need(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    let found = places.map(|place| place.join(program)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("this test needs the program `{program}`, which is not installed"))
}

/// An authority, a certificate for localhost and one for the client, made by openssl.
pub(crate) fn certificates(folder: &Path) {
    let openssl = need("openssl");
    let run = |arguments: &str| {
        let output = Command::new(&openssl).args(arguments.split(' ')).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    for authority in ["ca", "other"] {
        run(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {authority}.key -out {authority}.pem \
             -days 2 -subj /CN={authority}"
        ));
    }
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost").unwrap();
    for name in ["server", "client"] {
        run(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        run(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile names"
        ));
    }
}

/// A peer that takes connections, plays its part on each and hangs up. How long the first `connects` of them took.
pub(crate) async fn hangs_up_on<F: Future<Output = ()>>(
    listener: &TcpListener,
    connects: u32,
    part: impl Fn(TcpStream) -> F,
) -> Duration {
    let begun = Instant::now();
    for _ in 0..connects {
        let (stream, _) = patiently("a connect", listener.accept()).await.unwrap();
        part(stream).await;
    }
    begun.elapsed()
}

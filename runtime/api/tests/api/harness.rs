//! A gateway's API on a port of its own, for one test.

use bulkhead_api::Server;
use bulkhead_config::{AnyAdapter, Config};
use bulkhead_engine::Engine;
use bulkhead_log::{Log, LogConfig};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Status, Timestamp, Value, WriteLimits};
use bulkhead_sandbox::SandboxConfig;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value as Json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The time of the first reading, 2026-01-01T00:00:00Z; each further one is a second later.
pub(crate) const BEGIN_NS: i64 = 1_767_225_600_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// A config with one connection that is switched off, so that nothing of it changes by itself.
pub(crate) const QUIET: &str = r#"
[api]
listen = "127.0.0.1:0"

[connections.boiler]
adapter = "modbus-registers"
enabled = false
"#;

/// A gateway whose API serves.
pub(crate) struct Gateway {
    pub(crate) log: Log,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    engine: Engine,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<(), bulkhead_api::ApiError>>,
    /// Where the config and the data folder are.
    pub(crate) dir: TempDir,
    pub(crate) config: Config,
    pub(crate) certificate: bulkhead_api::ShownCertificate,
}

/// A config from its text.
pub(crate) fn config(text: &str, dir: &std::path::Path) -> Config {
    match bulkhead_config::parse(text, &dir.join("gateway.toml"), &AnyAdapter) {
        Ok(loaded) => loaded.config,
        Err(diagnostics) => panic!("{diagnostics:?}"),
    }
}

impl Gateway {
    /// Starts a gateway on a config.
    pub(crate) async fn start(text: &str) -> Self {
        // Only the first call of the process sets it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let config = config(text, dir.path());
        // Tests append one by one: each append is to be committed at once.
        let log =
            LogConfig { commit_max_ms: 1, retention_max_age_s: Some(3_600), ..LogConfig::new(dir.path().join("log")) }
                .open()
                .unwrap();
        let sandbox = SandboxConfig::default().build().unwrap();
        let engine = Engine::start(Arc::new(config.clone()), log.clone(), sandbox);
        let server = Server::bind(&config, engine.clone()).unwrap();
        let certificate = server.certificate();
        let (address, shutdown) = (server.local_addr(), CancellationToken::new());
        let serving = tokio::spawn(server.run(shutdown.clone()));
        let client = Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
        Self { log, address, client, engine, shutdown, serving, dir, config, certificate }
    }

    /// A gateway with [`QUIET`], the points of [`declare`] and readings of all of them.
    pub(crate) async fn with_readings() -> (Self, Points) {
        let gateway = Self::start(QUIET).await;
        let points = declare(&gateway.log);
        gateway.log.append(every_kind(&points)).await.unwrap();
        (gateway, points)
    }

    /// Tries to have a second server on the same engine.
    pub(crate) fn bind_another(&self, config: &Config) -> Result<Server, bulkhead_api::ApiError> {
        Server::bind(config, self.engine.clone())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> RequestBuilder {
        self.client.post(self.url(path)).header("content-type", "application/json").body(body.to_owned())
    }

    /// The JSON of a successful answer.
    pub(crate) async fn json(&self, path: &str) -> Json {
        let (status, body) = answer(self.get(path)).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// Has retention drop everything committed so far.
    pub(crate) async fn drop_everything(&self) {
        self.log.seal().await.unwrap();
        let log = self.log.clone();
        let in_a_century = Timestamp(BEGIN_NS + 3_153_600_000 * SECOND_NS);
        let dropped = tokio::task::spawn_blocking(move || log.apply_retention(in_a_century)).await.unwrap().unwrap();
        assert_eq!(dropped, 1);
    }

    /// Stops everything; the server must end in time.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.serving).await.expect("the server ends").unwrap().unwrap();
        self.engine.stop().await;
    }
}

/// Status and JSON of an answer.
pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, Json) {
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Json::String(text)))
}

/// One point of each kind that can be typed, and one with a name that needs care in a URL.
pub(crate) struct Points {
    pub(crate) flow: PointId,
    pub(crate) odd: PointId,
    pub(crate) of_kinds: Vec<(PointId, Value)>,
}

pub(crate) const ODD_NAME: &str = "hall/3 °C?#%";

pub(crate) fn declare(log: &Log) -> Points {
    let flow = PointInfo {
        unit: Some("°C".into()),
        group: Some("fast".into()),
        write: Some(WriteLimits { min: Some(10.0), max: Some(90.0) }),
        description: Some("Flow temperature".into()),
        ..PointInfo::new("flow", Kind::Real)
    };
    let values = [
        Value::Boolean(true),
        Value::Integer(-7),
        Value::Real(f64::NAN),
        Value::Decimal("-12.50".into()),
        Value::Text("it's\n\"ok\"".into()),
        Value::Time(BEGIN_NS),
        Value::Duration(1_500_000_000),
        Value::Bytes(vec![0, 255]),
    ];
    let infos: Vec<PointInfo> =
        values.iter().map(|value| PointInfo::new(format!("a_{}", value.kind()), value.kind())).collect();
    let ids = log.declare("boiler", &[vec![flow, PointInfo::new(ODD_NAME, Kind::Integer)], infos].concat()).unwrap();
    Points { flow: ids[0], odd: ids[1], of_kinds: ids[2..].iter().copied().zip(values).collect() }
}

/// A reading with the time that belongs to a number.
pub(crate) fn reading(point: PointId, number: i64, value: Option<Value>) -> Reading {
    let status = if value.is_some() { Status::GOOD } else { Status::BAD_TIMEOUT };
    Reading { point, time: Timestamp(BEGIN_NS + number * SECOND_NS), status, value }
}

fn every_kind(points: &Points) -> Vec<Reading> {
    let mut readings = vec![
        reading(points.flow, 0, Some(Value::Real(61.5))),
        reading(points.odd, 1, Some(Value::Integer(3))),
        reading(points.flow, 2, None),
    ];
    readings.extend(points.of_kinds.iter().zip(3..).map(|((id, value), n)| reading(*id, n, Some(value.clone()))));
    readings
}

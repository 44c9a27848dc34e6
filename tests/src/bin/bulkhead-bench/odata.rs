//! The OData face: pages, a whole log and buckets of time over HTTP, beside the same SQL typed by hand and written by
//! serde_json; and the parser by itself.

use crate::figure::Figure;
use crate::place::{Place, subject};
use anyhow::{Context, Result, ensure};
use bulkhead_api::Server;
use bulkhead_config::{AnyAdapter, Config};
use bulkhead_engine::Engine;
use bulkhead_log::{Log, LogConfig, SqlValue};
use bulkhead_model::{Kind, PointInfo, Reading, Status, Timestamp, Value};
use bulkhead_sandbox::SandboxConfig;
use rusqlite::Connection;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Rows of the log.
const ROWS: i64 = 1_000_000;
/// Points that they are of, in turn.
const POINTS: i64 = 10;
/// Rows of an append.
const BATCH_ROWS: i64 = 10_000;
/// 2026-01-01T00:00:00Z.
const BEGIN_NS: i64 = 1_767_225_600_000_000_000;
/// Time between two rows: a point has one a second.
const STEP_NS: i64 = 100_000_000;
const BUCKET_NS: i64 = 300_000_000_000;
/// Requests behind a rate, so that each takes long enough to be measured.
const PAGES: usize = 20;
/// How often each expression is parsed.
const PARSES: usize = 100_000;
/// Least rates beside the same by hand.
const PAGE_RATIO: f64 = 0.7;
const BUCKET_RATIO_VIRTUAL: f64 = 0.9;
const BUCKET_RATIO_PLAIN: f64 = 0.5;
/// Most memory for a stream, in MB above what was taken before.
const STREAM_MAX_MB: f64 = 16.0;
/// Least expressions a second.
const PARSER_MIN: f64 = 500_000.0;
/// Longest wait for the end of the server.
const END_MAX: Duration = Duration::from_secs(10);

/// A gateway's API in this process, on a log of a million rows, and the same rows in a plain table.
struct Subject {
    runtime: Runtime,
    log: Log,
    engine: Engine,
    address: String,
    shutdown: CancellationToken,
    client: reqwest::Client,
    plain: Connection,
    _dir: tempfile::TempDir,
}

impl Subject {
    fn start(place: &Place) -> Result<Self> {
        let (runtime, dir) = (subject()?, place.folder()?);
        let log = LogConfig::new(dir.path().join("log")).open()?;
        runtime.block_on(fill(&log))?;
        let plain = plain_table(&dir.path().join("plain.db"))?;
        let text = "[api]\nlisten = \"127.0.0.1:0\"\n[health]\ninterval_s = 0\n";
        let config = config(text, dir.path())?;
        let shutdown = CancellationToken::new();
        let (engine, address) = runtime.block_on(async {
            let sandbox = SandboxConfig::default().build()?;
            let engine = Engine::start(Arc::new(config.clone()), log.clone(), sandbox);
            let server = Server::bind(&config, engine.clone())?;
            let address = server.local_addr().to_string();
            tokio::spawn(server.run(shutdown.clone()));
            anyhow::Ok((engine, address))
        })?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { runtime, log, engine, address, shutdown, client, plain, _dir: dir })
    }

    /// Asks and takes the answer piece by piece; how many bytes it had.
    fn ask(&self, path: &str, prefer: &str) -> Result<usize> {
        let url = format!("http://{}/odata/v4/{path}", self.address);
        self.runtime.block_on(async {
            let mut response = self.client.get(url).header("prefer", prefer).send().await?.error_for_status()?;
            let mut bytes = 0;
            while let Some(piece) = response.chunk().await? {
                bytes += piece.len();
            }
            Ok(bytes)
        })
    }

    fn stop(self) -> Result<()> {
        self.shutdown.cancel();
        self.runtime.block_on(async {
            self.engine.stop().await;
            tokio::time::timeout(END_MAX, self.log.close()).await??;
            Ok(())
        })
    }
}

fn config(text: &str, dir: &Path) -> Result<Config> {
    match bulkhead_config::parse(text, &dir.join("gateway.toml"), &AnyAdapter) {
        Ok(loaded) => Ok(loaded.config),
        Err(diagnostics) => anyhow::bail!("{diagnostics:?}"),
    }
}

fn value(row: i64) -> f64 {
    (row % 977) as f64 / 8.0
}

async fn fill(log: &Log) -> Result<()> {
    let infos: Vec<PointInfo> = (0..POINTS).map(|n| PointInfo::new(format!("p{n}"), Kind::Real)).collect();
    let ids = log.declare("bench", &infos)?;
    for first in (0..ROWS).step_by(usize::try_from(BATCH_ROWS)?) {
        let reading = |row: i64| Reading {
            point: ids[usize::try_from(row % POINTS).unwrap_or_default()],
            time: Timestamp(BEGIN_NS + row * STEP_NS),
            status: Status::GOOD,
            value: Some(Value::Real(value(row))),
        };
        log.append((first..first + BATCH_ROWS).map(reading).collect()).await?;
    }
    log.seal().await?;
    Ok(())
}

fn plain_table(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; BEGIN; CREATE TABLE readings(seq INTEGER PRIMARY KEY, point INTEGER NOT NULL, \
         time INTEGER NOT NULL, status INTEGER NOT NULL, value);",
    )?;
    {
        let mut insert = connection.prepare("INSERT INTO readings VALUES (?1, ?2, ?3, 0, ?4)")?;
        for row in 0..ROWS {
            insert.execute((row + 1, row % POINTS, BEGIN_NS + row * STEP_NS, value(row)))?;
        }
    }
    connection.execute_batch("CREATE INDEX readings_by_point_time ON readings(point, time); COMMIT; ANALYZE;")?;
    Ok(connection)
}

/// A row as the page has it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown {
    seq: i64,
    time: String,
    status: i64,
    numeric_value: Option<f64>,
}

impl Shown {
    fn new(seq: i64, time: i64, status: i64, numeric_value: Option<f64>) -> Result<Self> {
        let time = jiff::Timestamp::from_nanosecond(i128::from(time))?.to_string();
        Ok(Self { seq, time, status, numeric_value })
    }
}

const PAGE_SQL: &str = "SELECT r.seq, r.time, r.status, r.value FROM readings r WHERE r.point = ?1 AND r.time >= ?2 \
                        AND r.time < ?3 ORDER BY r.seq LIMIT ?4";

/// The page by hand, over the log's virtual table.
fn page_by_hand(log: &Log, parameters: &[i64; 4]) -> Result<usize> {
    let (sql, mut rows, mut failed) = (log.query()?, Vec::new(), None);
    let parameters: Vec<SqlValue> = parameters.iter().map(|number| SqlValue::Integer(*number)).collect();
    sql.rows(PAGE_SQL, &parameters, |row| {
        let number = |column| row.integer(column).unwrap_or_default();
        let real = match row.value(3) {
            SqlValue::Real(real) => Some(real),
            _ => None,
        };
        match Shown::new(number(0), number(1), number(2), real) {
            Ok(shown) => rows.push(shown),
            Err(error) => failed = Some(error),
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(()), Err)?;
    Ok(serde_json::to_vec(&rows)?.len())
}

/// The page by hand, over the plain table.
fn page_of_plain(connection: &Connection, parameters: &[i64; 4]) -> Result<usize> {
    let mut statement = connection.prepare_cached(PAGE_SQL)?;
    let mut found = statement.query(*parameters)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(Shown::new(row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)?);
    }
    Ok(serde_json::to_vec(&rows)?.len())
}

/// The median of times a second, of several rounds that take turns with others.
fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// How often a second something was done.
fn rate(times: usize, mut work: impl FnMut() -> Result<usize>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..times {
        ensure!(work()? > 0, "nothing was found");
    }
    Ok(times as f64 / start.elapsed().as_secs_f64())
}

fn pages(subject: &Subject, place: &Place, rows: i64) -> Result<Vec<Figure>> {
    let (from, to) = (BEGIN_NS + 1_000 * STEP_NS, BEGIN_NS + ROWS * STEP_NS);
    let time = |ns: i64| jiff::Timestamp::from_nanosecond(i128::from(ns)).map(|time| time.to_string());
    let filter = format!("PointId%20eq%203%20and%20Time%20ge%20{}%20and%20Time%20lt%20{}", time(from)?, time(to)?);
    let path = format!("Readings?$filter={filter}&$select=Seq,Time,Status,NumericValue");
    let (prefer, parameters) = (format!("maxpagesize={rows}"), [3, from, to, rows]);
    let times = PAGES.min(usize::try_from(200_000 / rows)?.max(3));
    let (mut over_http, mut by_hand, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..place.rounds {
        over_http.push(rate(times, || subject.ask(&path, &prefer))? * rows as f64);
        by_hand.push(rate(times, || page_by_hand(&subject.log, &parameters))? * rows as f64);
        plain.push(rate(times, || page_of_plain(&subject.plain, &parameters))? * rows as f64);
    }
    let (over_http, plain) = (median(over_http), median(plain));
    let beside = Figure::of(format!("odata-page-{rows}"), over_http, "rows/s").beside(median(by_hand), PAGE_RATIO);
    let name = format!("odata-page-{rows}-plain");
    let information =
        Figure { reference: Some(plain), ratio: Some(over_http / plain), ..Figure::of(name, over_http, "rows/s") };
    Ok(vec![beside, information])
}

fn stream(subject: &Subject) -> Result<Figure> {
    let path = "Readings?$format=application/x-ndjson";
    // Once before: what a first request takes for good is not the stream's.
    subject.ask("Readings?$top=5000", "maxpagesize=5000")?;
    let idle = memory("VmRSS:")?;
    // proc(5): 5 resets the peak to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5").context("the peak of memory cannot be reset")?;
    let bytes = subject.ask(path, "")?;
    ensure!(bytes > usize::try_from(ROWS)? * 100, "only {bytes} bytes came");
    Ok(Figure::of("odata-stream-memory", memory("VmHWM:")? - idle, "MB").at_most(STREAM_MAX_MB))
}

/// A line of this process's status, in MB.
fn memory(name: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix(name)).context("/proc/self/status has another shape")?;
    let kib: f64 = line.split_whitespace().next().context("a number is missing")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}

fn bucket(subject: &Subject, place: &Place) -> Result<Vec<Figure>> {
    let apply = "compute(Bulkhead.Bucket(Time=Time,Width=duration'PT5M')%20as%20Start)/\
                 groupby((PointId,Start),aggregate(NumericValue%20with%20average%20as%20Mean))";
    let path = format!("Readings?$apply={apply}&$top=1&$count=true");
    let sql = format!(
        "SELECT r.point, r.time / {BUCKET_NS} * {BUCKET_NS} AS start, avg(r.value) FROM readings r GROUP BY 1, 2"
    );
    let expected = usize::try_from(ROWS * STEP_NS / BUCKET_NS * POINTS)?;
    let by_hand = || {
        let rows = subject.log.query()?.collect(&sql, &[], usize::MAX)?;
        ensure!(rows.len().abs_diff(expected) <= POINTS as usize, "{} buckets", rows.len());
        Ok(rows.len())
    };
    let plain = || {
        let mut statement = subject.plain.prepare_cached(&sql)?;
        let rows = statement.query_map([], |row| row.get::<_, f64>(2))?.collect::<rusqlite::Result<Vec<f64>>>()?;
        Ok(rows.len())
    };
    let (mut over_http, mut hands, mut plains) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..place.rounds {
        over_http.push(rate(1, || subject.ask(&path, ""))? * ROWS as f64);
        hands.push(rate(1, by_hand)? * ROWS as f64);
        plains.push(rate(1, plain)? * ROWS as f64);
    }
    let over_http = median(over_http);
    Ok(vec![
        Figure::of("odata-bucket", over_http, "rows/s").beside(median(hands), BUCKET_RATIO_VIRTUAL),
        Figure::of("odata-bucket-plain", over_http, "rows/s").beside(median(plains), BUCKET_RATIO_PLAIN),
    ])
}

/// Expressions as clients write them.
const EXPRESSIONS: [&str; 5] = [
    "Connection eq 'boiler' and Point eq 'flow_temp' and Time ge 2026-11-22T00:00:00Z",
    "NumericValue gt 60.5 or Good eq false",
    "startswith(Point,'flow') and not (Status ge 2147483648)",
    "Seq gt 1234567",
    "PointId in (1,2,3,4) and Time lt 2026-11-23T00:00:00Z and contains(tolower(Unit),'c')",
];

fn parser() -> Result<Figure> {
    let start = Instant::now();
    for _ in 0..PARSES {
        for text in EXPRESSIONS {
            let parsed = bulkhead_odata::expr::parse(std::hint::black_box(text), bulkhead_odata::Limits::default());
            ensure!(std::hint::black_box(parsed).is_ok(), "{text} is not parsed");
        }
    }
    let rate = (PARSES * EXPRESSIONS.len()) as f64 / start.elapsed().as_secs_f64();
    Ok(Figure::of("odata-parser", rate, "expressions/s").at_least(PARSER_MIN))
}

/// The figures.
pub(crate) fn measure(place: &Place) -> Result<Vec<Figure>> {
    let mut figures = vec![parser()?];
    let subject = Subject::start(place)?;
    figures.push(stream(&subject)?);
    for rows in [1_000, 50_000] {
        figures.extend(pages(&subject, place, rows)?);
    }
    figures.extend(bucket(&subject, place)?);
    subject.stop()?;
    Ok(figures)
}

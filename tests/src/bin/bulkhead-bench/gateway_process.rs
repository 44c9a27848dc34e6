//! The gateway as a process of its own, so that its processor time and its memory are not those of simulated devices.

use crate::hand_log::rows_on_disk;
use crate::place::Place;
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::{Connection, OpenFlags};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Pause between two looks at the gateway's log.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Longest wait for an answer of the API.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Longest wait for the process to end.
const END_MAX: Duration = Duration::from_secs(10);

/// Ticks in which the kernel tells processor time: Linux fixes them towards programs, whatever its own timer does.
const TICKS_A_SECOND: f64 = 100.0;

/// A running gateway.
pub(crate) struct GatewayProcess {
    child: Child,
    dir: PathBuf,
    started: Instant,
    /// Where its API is.
    address: SocketAddr,
    /// What its config begins with.
    head: String,
}

/// What a process has used.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// When this was.
    pub(crate) at: Instant,
    /// Processor time since its start, in seconds.
    pub(crate) processor_s: f64,
    /// Resident memory, in bytes.
    pub(crate) resident_bytes: u64,
    /// That part of it which belongs to no file, in bytes: not the program's own code.
    pub(crate) anonymous_bytes: u64,
}

impl GatewayProcess {
    /// Runs the gateway on connections in a folder, which holds its config and its data.
    pub(crate) fn start(place: &Place, dir: &Path, connections: &str) -> Result<Self> {
        Self::start_with(place, &place.adapters, dir, connections)
    }

    /// The same with the adapters of another folder.
    pub(crate) fn start_with(place: &Place, adapters: &Path, dir: &Path, connections: &str) -> Result<Self> {
        let address = free_address()?;
        let adapters = serde_json::to_string(adapters)?;
        let head = format!(
            "[gateway]\nadapters_dir = {adapters}\n[api]\nlisten = \"{address}\"\n[logging]\nlevel = \"warn\"\n\
             [health]\ninterval_s = 0\n"
        );
        let config = dir.join("gateway.toml");
        std::fs::write(&config, format!("{head}{connections}"))?;
        let mut command = Command::new(place.gateway()?);
        command.arg("run").arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let child = command.spawn().context("the gateway does not start")?;
        Ok(Self { child, dir: dir.to_owned(), started, address, head })
    }

    /// How long it took from the start of the process until all its connections run.
    pub(crate) fn all_running(&mut self, connections: usize, longest: Duration) -> Result<Duration> {
        let mut state = String::new();
        while self.started.elapsed() < longest {
            if let Ok(answer) = self.ask("GET", "/api/v1/connections") {
                if answer.matches("\"state\":\"running\"").count() == connections {
                    return Ok(self.started.elapsed());
                }
                state = answer;
            }
            ensure!(self.child.try_wait()?.is_none(), "the gateway has ended");
            std::thread::sleep(LOOK_EVERY);
        }
        anyhow::bail!("within {} ms not all {connections} connections ran: {state}", longest.as_millis())
    }

    /// Has it take up a config with other connections.
    pub(crate) fn reload(&self, connections: &str) -> Result<()> {
        std::fs::write(self.dir.join("gateway.toml"), format!("{}{connections}", self.head))?;
        let answer = self.ask("POST", "/api/v1/config/reload")?;
        ensure!(answer.contains("\"restarted\":[{"), "the reload restarted nothing: {answer}");
        Ok(())
    }

    /// The body of the API's answer to a request without a body.
    fn ask(&self, method: &str, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let host = self.address;
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the API's answer has no body")?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "{method} {path}: {head} {body}");
        Ok(body.to_owned())
    }

    /// How long it took from the start of the process until its log held a committed reading.
    pub(crate) fn first_commit(&mut self, longest: Duration) -> Result<Duration> {
        let log = self.log();
        while self.started.elapsed() < longest {
            if holds_rows(&log) {
                return Ok(self.started.elapsed());
            }
            ensure!(self.child.try_wait()?.is_none(), "the gateway has ended");
            std::thread::sleep(LOOK_EVERY);
        }
        anyhow::bail!("nothing was committed within {} ms", longest.as_millis())
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let (at, stat) = (Instant::now(), std::fs::read_to_string(process.join("stat"))?);
        // The name before is in parentheses and may hold anything; user and system time are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok());
        let ticks = ticks(14).zip(ticks(15)).context("/proc/…/stat has another shape")?;
        let status = std::fs::read_to_string(process.join("status"))?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            kib.map(|kib| kib * 1024).with_context(|| format!("/proc/…/status has no {name}"))
        };
        Ok(Usage {
            at,
            processor_s: (ticks.0 + ticks.1) / TICKS_A_SECOND,
            resident_bytes: bytes("VmRSS")?,
            anonymous_bytes: bytes("RssAnon")?,
        })
    }

    /// Ends it in order; how many rows its log holds.
    pub(crate) fn stop(mut self) -> Result<u64> {
        kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGTERM)?;
        let ended = Instant::now();
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None => ensure!(ended.elapsed() < END_MAX, "the gateway did not end within {} s", END_MAX.as_secs()),
            }
            std::thread::sleep(LOOK_EVERY);
        };
        ensure!(status.success(), "the gateway ended with {status}");
        rows_on_disk(&self.log())
    }

    fn log(&self) -> PathBuf {
        self.dir.join("data/log")
    }
}

/// An address of this machine that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Whether the newest segment of a log that another process writes has a row.
fn holds_rows(log: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(log) else { return false };
    let segments = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let newest = segments.filter(|path| path.to_string_lossy().ends_with(".open.db")).max();
    let row = newest.and_then(|path| {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        connection.query_row("SELECT seq FROM readings LIMIT 1", [], |row| row.get::<_, i64>(0)).ok()
    });
    row.is_some()
}

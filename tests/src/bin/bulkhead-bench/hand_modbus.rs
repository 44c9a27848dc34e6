//! Modbus by hand: one tokio-modbus client a device, in a loop, its registers straight into the log by hand.

use crate::hand_log::{HandLog, HandRow, HandValue};
use crate::modbus::REGISTERS;
use crate::rounds::rate_over;
use anyhow::{Context, Result, anyhow};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_modbus::Slave;
use tokio_modbus::client::{Reader, tcp};

/// Registers in one request: the most that Modbus allows.
const REQUEST_REGISTERS: u16 = 125;

/// Reads all devices again and again into a log in an empty folder; rows a second.
pub(crate) async fn run(dir: &Path, devices: &[SocketAddr], warm_up: Duration, time: Duration) -> Result<f64> {
    let (log, writer) = HandLog::start(dir)?;
    let mut loops = JoinSet::new();
    for (number, &device) in devices.iter().enumerate() {
        let first_point = u32::try_from(number)? * u32::from(REGISTERS);
        loops.spawn(read_on(device, first_point, log.clone()));
    }
    let committed = log.committed();
    let rate = tokio::select! {
        rate = rate_over(&committed, warm_up, time) => rate,
        Some(ended) = loops.join_next() => ended?.and(Err(anyhow!("reading by hand ended"))),
    };
    loops.shutdown().await;
    drop(log);
    tokio::task::spawn_blocking(|| writer.join()).await??;
    rate
}

async fn read_on(device: SocketAddr, first_point: u32, log: HandLog) -> Result<()> {
    let stream = TcpStream::connect(device).await?;
    stream.set_nodelay(true)?;
    let mut client = tcp::attach_slave(stream, Slave(1));
    loop {
        let time = now_ns();
        let mut rows = Vec::with_capacity(REGISTERS.into());
        for address in (0..REGISTERS).step_by(REQUEST_REGISTERS.into()) {
            let count = REQUEST_REGISTERS.min(REGISTERS - address);
            let words = client.read_holding_registers(address, count).await?.context("the device refuses")?;
            rows.extend(words.into_iter().enumerate().map(|(offset, word)| HandRow {
                point: first_point + u32::from(address) + offset as u32,
                time,
                status: 0,
                value: HandValue::Integer(word.into()),
            }));
        }
        // Several appends may be on the way; the log holds back when its queue is full.
        drop(log.submit(rows).await?);
    }
}

/// The wall clock, in nanoseconds since the Unix epoch.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

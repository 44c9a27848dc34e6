//! What a service manager is told: that the gateway is up, that it lives, that it hangs, that it stops.

use anyhow::{Context, Result, ensure};
use bulkhead_tests::{NUMBERS, Site, gateway_binary, program, within};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::process::Command;

/// How long the manager of these tests waits for a sign of life, in microseconds.
const WATCHDOG_USEC: u64 = 4_000_000;
/// How long each sync takes once the disk hangs, in microseconds: longer than the test looks.
const HANG_USEC: u64 = 600_000_000;

/// A service manager: the socket that is told.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn at(path: &Path) -> Result<Self> {
        Ok(Self { socket: UnixDatagram::bind(path)? })
    }

    async fn told(&self) -> Result<String> {
        let mut bytes = [0; 1024];
        let length = self.socket.recv(&mut bytes).await?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// What is told until something is; that is the last.
    async fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let mut all = Vec::new();
        let heard = async {
            loop {
                let said = self.told().await?;
                let is_it = wanted(&said);
                all.push(said);
                if is_it {
                    return anyhow::Ok(());
                }
            }
        };
        let outcome = within(what, heard).await;
        outcome.with_context(|| format!("heard instead: {all:?}"))??;
        Ok(all)
    }
}

const ALIVE: &str = "WATCHDOG=1";

#[tokio::test]
async fn a_service_manager_hears_that_it_is_up_that_it_lives_that_its_disk_hangs_and_that_it_stops() -> Result<()> {
    let config = format!("{NUMBERS}\n[health]\ninterval_s = 1\n");
    let site = Site::new(&config)?;
    let path = site.path("notify");
    let manager = Manager::at(&path)?;
    let site = site.with_variable("NOTIFY_SOCKET", path.to_str().context("the path")?);
    let gateway = site.with_variable("WATCHDOG_USEC", &WATCHDOG_USEC.to_string()).run().await?;
    manager.until("READY=1", |said| said == "READY=1").await?;
    // By then everything is up: a client is answered.
    ensure!(gateway.api.get("/readyz").await?.0 == 200);
    let status = manager.until("its status", |said| said.contains("1 of 1 connections run")).await?;
    ensure!(status.iter().all(|said| !said.contains("stuck")), "{status:?}");
    for _ in 0..3 {
        manager.until("a sign of life", |said| said == ALIVE).await?;
    }

    gateway.hang_up()?;
    // systemd takes it for the answer to its own request by the moment that stands in it.
    let reloading = |said: &str| said.starts_with("RELOADING=1\nMONOTONIC_USEC=");
    let said = manager.until("that it reads its config again", reloading).await?;
    let since_boot_us: u64 = said.last().and_then(|said| said.rsplit('=').next()).context("a moment")?.parse()?;
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let uptime_s: f64 = uptime.split(' ').next().context("an uptime")?.parse()?;
    let apart_s = uptime_s - Duration::from_micros(since_boot_us).as_secs_f64();
    ensure!((-1.0..60.0).contains(&apart_s), "{since_boot_us} µs is not now: {uptime}");
    manager.until("that it has read it", |said| said == "READY=1").await?;

    let pid = gateway.pid()?.to_string();
    let inject = format!("inject=fsync,fdatasync:delay_enter={HANG_USEC}");
    let mut disk = Command::new(program("strace")?);
    disk.args(["-f", "-p", &pid, "-e", "trace=fsync,fdatasync", "-e", &inject, "-o", "/dev/null"]);
    let mut disk = disk.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    let stuck = |said: &str| said.starts_with("STATUS=stuck:") && said.contains("the log's writer");
    manager.until("that the writer hangs", stuck).await?;
    let limit = Duration::from_micros(WATCHDOG_USEC);
    let alive = tokio::time::timeout(limit, manager.until("nothing", |said| said == ALIVE)).await;
    ensure!(alive.is_err(), "it called itself alive while its disk hung: {alive:?}");
    gateway.journal.wait_for("the reason", |line| line.contains("stuck: the log's writer").then_some(())).await?;

    disk.start_kill()?;
    within("strace to end", disk.wait()).await??;
    manager.until("a sign of life after the disk came back", |said| said == ALIVE).await?;
    gateway.terminate().await?;
    manager.until("that it stops", |said| said.starts_with("STOPPING=1")).await?;
    Ok(())
}

#[tokio::test]
async fn the_unit_is_one_that_systemd_takes() -> Result<()> {
    let analyze = program("systemd-analyze")?;
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/bulkhead.service");
    let text = std::fs::read_to_string(unit)?;
    ensure!(text.contains("Type=notify") && text.contains("WatchdogSec="), "{text}");
    let folder = tempfile::tempdir()?;
    let here = folder.path().join("bulkhead.service");
    let binary = gateway_binary()?;
    std::fs::write(&here, text.replace("/usr/bin/bulkhead", binary.to_str().context("the path")?))?;
    let mut verify = Command::new(analyze);
    verify.arg("verify").arg("--man=no").arg(&here);
    let output = within("systemd-analyze", verify.output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.trim().is_empty(), "{said}");
    Ok(())
}

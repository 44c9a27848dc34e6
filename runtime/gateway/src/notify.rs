//! What the gateway tells the service manager (systemd's notify protocol, sd_notify(3)): datagrams of `NAME=value` lines
//! to the socket named in `NOTIFY_SOCKET`. Without one nothing is said.

use nix::time::{ClockId, clock_gettime};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// The way to the service manager. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifier {
    manager: Option<Arc<Manager>>,
}

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// The service manager that started this process, if one did and wants to be told.
    pub(crate) fn from_environment() -> Self {
        let Some(name) = std::env::var("NOTIFY_SOCKET").ok().filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        match Self::to(&name) {
            Ok(notifier) => notifier,
            Err(error) => {
                tracing::warn!("the service manager cannot be told anything: NOTIFY_SOCKET is {name:?}: {error}");
                Self::default()
            }
        }
    }

    /// To a socket: a path, or an abstract name behind `@`.
    fn to(name: &str) -> std::io::Result<Self> {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold the gateway up.
        socket.set_nonblocking(true)?;
        Ok(Self { manager: Some(Arc::new(Manager { socket, address })) })
    }

    /// Everything is up.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// The gateway stops.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    /// The config is being read anew; [`Notifier::ready`] ends that. systemd wants the moment on the monotonic clock.
    pub(crate) fn reloading(&self, monotonic: Duration) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic.as_micros()));
    }

    /// A line for people: `systemctl status` shows it.
    pub(crate) fn status(&self, line: &str) {
        self.send(&format!("STATUS={}", line.replace(['\n', '\r'], " ")));
    }

    /// The gateway gets on.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, lines: &str) {
        let Some(manager) = &self.manager else { return };
        if let Err(error) = manager.socket.send_to_addr(lines.as_bytes(), &manager.address) {
            tracing::debug!("the service manager was not told {lines:?}: {error}");
        }
    }
}

/// The moment on the monotonic clock that all processes share.
pub(crate) fn monotonic() -> Duration {
    // The kernel refuses only clocks that it does not know.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// How long the service manager waits for a sign of life before it ends the process; none: it does not watch.
pub(crate) fn watchdog_limit() -> Option<Duration> {
    let variable = |name: &str| std::env::var(name).ok();
    limit_of(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID").as_deref(), std::process::id())
}

/// The limit by what the environment says; it may be meant for another process.
fn limit_of(usec: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let usec = usec?.parse().ok().filter(|usec| *usec > 0 && is_ours)?;
    Some(Duration::from_micros(usec))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_manager_at_a_path_or_an_abstract_name_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("bulkhead-notify-test-{}", std::process::id());
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
            (UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(), format!("@{name}")),
        ];
        for (socket, name) in sockets {
            let notifier = Notifier::to(&name).unwrap();
            notifier.ready();
            notifier.status("two\nlines");
            notifier.reloading(Duration::from_millis(7));
            notifier.stopping();
            let expected =
                ["READY=1", "STATUS=two lines", "RELOADING=1\nMONOTONIC_USEC=7000", "STOPPING=1\nSTATUS=stopping"];
            for expected in expected {
                assert_eq!(told(&socket), expected);
            }
        }
        Notifier::default().ready();
    }

    #[test]
    fn the_watchdog_is_ours_only_when_it_is_meant_for_this_process() {
        assert_eq!(limit_of(Some("2000000"), Some("7"), 7), Some(Duration::from_secs(2)));
        assert_eq!(limit_of(Some("2000000"), None, 7), Some(Duration::from_secs(2)));
        for (usec, pid) in [(None, None), (Some("2000000"), Some("8")), (Some("0"), None), (Some("x"), None)] {
            assert_eq!(limit_of(usec, pid, 7), None);
        }
    }
}

//! The connections beside a hostile one: how evenly their devices are polled, seen from the devices.

use anyhow::Result;
use bulkhead_simulators::modbus::{Bank, BankLayout, Device};
use parking_lot::Mutex;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How many there are.
pub(super) const NEIGHBOURS: usize = 4;
/// How often each is polled.
pub const INTERVAL: Duration = Duration::from_millis(50);

/// Simulated devices that gateways poll, and the times between their polls.
#[derive(Debug)]
pub struct Neighbours {
    devices: Vec<Device>,
    watchers: Vec<JoinHandle<()>>,
    intervals: Arc<Mutex<Vec<Duration>>>,
}

impl Neighbours {
    /// Starts them.
    ///
    /// # Errors
    /// Where a device finds no port.
    pub async fn start() -> Result<Self> {
        let intervals = Arc::new(Mutex::new(Vec::new()));
        let (mut devices, mut watchers) = (Vec::new(), Vec::new());
        for _ in 0..NEIGHBOURS {
            let device = Device::builder().unit(1, Bank::new(BankLayout::uniform(100))).start().await?;
            let (counters, intervals) = (device.counters().clone(), intervals.clone());
            watchers.push(tokio::spawn(async move {
                let mut last: Option<Instant> = None;
                loop {
                    let known = counters.requests();
                    counters.wait_until(|now| now.requests() > known).await;
                    let now = Instant::now();
                    if let Some(before) = last.replace(now) {
                        intervals.lock().push(now - before);
                    }
                }
            }));
            devices.push(device);
        }
        Ok(Self { devices, watchers, intervals })
    }

    /// Their part of a config.
    #[must_use]
    pub fn config(&self) -> String {
        self.devices.iter().enumerate().fold(String::new(), |mut text, (number, device)| {
            // Writing to a text cannot fail.
            _ = write!(
                text,
                "[connections.n{number}]\nadapter = \"modbus-registers\"\npoll_interval_ms = {}\n\n\
                 [connections.n{number}.transports.device]\nkind = \"modbus-tcp\"\naddress = \"{}\"\n\n\
                 [connections.n{number}.settings]\npoints = [{{ name = \"r1\", table = \"holding-register\", address = 1 }}]\n\n",
                INTERVAL.as_millis(),
                device.address()
            );
            text
        })
    }

    /// Forgets the times so far.
    pub fn forget(&self) {
        self.intervals.lock().clear();
    }

    /// How many times there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.intervals.lock().len()
    }

    /// The 99th percentile of the times since [`Neighbours::forget`], and how many there are.
    #[must_use]
    pub fn p99(&self) -> Duration {
        let mut times = self.intervals.lock().clone();
        times.sort_unstable();
        // The smallest that is no less than 99 in 100 of them.
        let place = (times.len() * 99).div_ceil(100).saturating_sub(1);
        times.get(place).copied().unwrap_or(Duration::MAX)
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        self.watchers.iter().for_each(JoinHandle::abort);
    }
}

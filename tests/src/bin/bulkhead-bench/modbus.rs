//! Simulated Modbus devices of 1,000 contiguous holding registers, polled again at once: device → adapter → committed
//! log, in registers a second.

use crate::figure::Figure;
use crate::hand_modbus;
use crate::in_process::InProcess;
use crate::place::{Place, field, subject};
use crate::rounds::{in_turn, rate_over};
use anyhow::{Context, Result};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device, Table};
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Registers of a device.
pub(crate) const REGISTERS: u16 = 1_000;
/// Time before a rate is measured.
const WARM_UP: Duration = Duration::from_millis(1_500);
/// Time over which it is measured: several segments of the log are filled and sealed in it.
const TIME: Duration = Duration::from_secs(4);
/// Part of the reference that is to be reached.
const RATIO_MIN: f64 = 0.7;

/// The figures for so many devices.
pub(crate) fn measure(place: &Place, count: usize) -> Result<Vec<Figure>> {
    let field = field()?;
    let devices = Devices::start(&field, count)?;
    let addresses = devices.addresses();
    let by_hand = || -> Result<f64> {
        let subject = subject()?;
        let dir = place.folder()?;
        subject.block_on(hand_modbus::run(dir.path(), &addresses, WARM_UP, TIME))
    };
    let gateway = || {
        let subject = subject()?;
        let dir = place.folder()?;
        let text = config(&addresses, 10);
        subject.block_on(async {
            let running = InProcess::start(place, dir.path(), &text, |config| {
                config.connections.values_mut().for_each(|connection| connection.poll_interval_ms = 0);
            })?;
            let rate = rate_over(&running.committed(), WARM_UP, TIME).await;
            let rate = rate.with_context(|| running.trouble());
            running.stop().await?;
            rate
        })
    };
    let (reference, measured) = in_turn(place.rounds, "registers/s", by_hand, gateway)?;
    let name = format!("modbus-{count}");
    Ok(vec![Figure::of(name, measured, "registers/s").beside(reference, RATIO_MIN)])
}

/// Simulated devices.
pub(crate) struct Devices {
    devices: Vec<Device>,
    banks: Vec<Bank>,
}

impl Devices {
    /// Starts them, each with values of its own.
    pub(crate) fn start(field: &Runtime, count: usize) -> Result<Self> {
        let (mut devices, mut banks) = (Vec::new(), Vec::new());
        for number in 0..count {
            let bank = Bank::new(BankLayout::uniform(REGISTERS.into()));
            let words: Vec<u16> = (0..REGISTERS).map(|register| register.wrapping_mul(37) ^ number as u16).collect();
            bank.set(Table::HoldingRegister, 0, &words)?;
            devices.push(field.block_on(Device::builder().unit(1, bank.clone()).start())?);
            banks.push(bank);
        }
        Ok(Self { devices, banks })
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.devices.iter().map(Device::address).collect()
    }

    /// Starts to count, from zero, how often each register is read.
    pub(crate) fn count_reads(&self) {
        self.banks.iter().for_each(|bank| bank.count_reads(Table::HoldingRegister));
    }

    /// How often each register of each device was read.
    pub(crate) fn reads(&self) -> Vec<u64> {
        self.banks.iter().flat_map(|bank| bank.reads(Table::HoldingRegister)).collect()
    }
}

/// A config with one connection for each device, every register a point.
pub(crate) fn config(devices: &[SocketAddr], poll_interval_ms: u32) -> String {
    let mut text = String::new();
    for (number, address) in devices.iter().enumerate() {
        let connection = format!("connections.d{number}");
        // Writing to a text does not fail.
        _ = write!(
            text,
            "[{connection}]\nadapter = \"modbus-registers\"\npoll_interval_ms = {poll_interval_ms}\n\
             [{connection}.transports.device]\nkind = \"modbus-tcp\"\naddress = \"{address}\"\n\
             [{connection}.settings]\npoints = [\n"
        );
        for register in 0..REGISTERS {
            _ = writeln!(text, "{{ name = \"r{register}\", table = \"holding-register\", address = {register} }},");
        }
        text += "]\n";
    }
    text
}

//! Simulated Modbus devices, after the Modbus Application Protocol Specification V1.1b3, the Messaging on TCP/IP Guide
//! V1.0b and the Serial Line Guide V1.02.
//!
//! A [`Bank`] holds the four tables of one unit and is shared: the test writes what the device shows and reads what was
//! written to it. A [`Device`] serves banks over TCP, a [`RtuDevice`] over any byte stream, usually a pseudo-terminal.
//! [`Faults`] has either misbehave, [`Generator`] makes values move.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), bulkhead_simulators::SimulatorError> {
//! use bulkhead_simulators::modbus::{Bank, BankLayout, Device, Fault, Table};
//!
//! let bank = Bank::new(BankLayout::uniform(100));
//! bank.set(Table::HoldingRegister, 10, &[615])?;
//! let mut device = Device::builder().unit(1, bank.clone()).start().await?;
//! println!("listening on {}", device.address());
//! device.faults().next(Fault::DropAnswer, 2); // the next two requests stay unanswered
//! device.stop().await;
//! # Ok(())
//! # }
//! ```

mod bank;
mod counters;
mod fault;
mod pdu;
mod rtu;
mod signal;
mod tcp;

pub use bank::{Bank, BankLayout, Table, WordOrder};
pub use counters::Counters;
pub use fault::{Fault, FaultRule, Faults};
pub use pdu::exception;
pub use rtu::{DEFAULT_SILENT_INTERVAL, RtuDevice, crc16};
pub use signal::{Generator, Signal};
pub use tcp::{Device, DeviceBuilder};

//! What can go wrong when a simulator starts or is told something.

use crate::modbus::Table;
use std::net::SocketAddr;

/// An error of a simulator itself, as opposed to a fault it was asked to show.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address could not be listened on.
    #[error("cannot listen on {address}: is the port taken? Give port 0 to have a free one chosen")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A pseudo-terminal could not be made.
    #[error("cannot make a pseudo-terminal: {step} failed")]
    Pty {
        /// The step that failed.
        step: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A pseudo-terminal could not be written to.
    #[error("cannot write to the pseudo-terminal {path}")]
    Write {
        /// The path of its other end.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Registers that the simulated device does not have.
    #[error("the simulated device has no {table:?} {address}..{}: widen its layout", u32::from(*address) + u32::from(*count))]
    NoSuchRegister {
        /// The table.
        table: Table,
        /// Address of the first.
        address: u16,
        /// How many.
        count: u16,
    },
    /// The simulator was stopped.
    #[error("the simulator is stopped")]
    Stopped,
}

//! What a byte line runs over: a serial port or a TCP stream, behind one set of operations.

use crate::address::Address;
use crate::serial_port::{LineMode, describe, open_port, set_mode};
use serial2_tokio::SerialPort;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where a line leads.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Serial { path: PathBuf, mode: LineMode },
    Tcp { address: Address, connect_timeout: Duration },
}

/// An open line.
pub(crate) enum Port {
    Serial { port: SerialPort, path: PathBuf, mode: LineMode },
    Tcp { stream: TcpStream, address: Address },
}

/// `serial /dev/ttyUSB0 9600 8N1`, `tcp 10.0.0.5:4001`.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Serial { path, mode } => write!(f, "serial {} {mode}", path.display()),
            Place::Tcp { address, .. } => write!(f, "tcp {address}"),
        }
    }
}

impl Place {
    /// Opens the line; the error is a sentence.
    pub(crate) async fn open(&self) -> Result<Port, String> {
        match self {
            Place::Serial { path, mode } => {
                Ok(Port::Serial { port: open_port(path, *mode)?, path: path.clone(), mode: *mode })
            }
            Place::Tcp { address, connect_timeout } => {
                let connect = TcpStream::connect((address.host.as_str(), address.port));
                match tokio::time::timeout(*connect_timeout, connect).await {
                    Ok(Ok(stream)) => {
                        stream.set_nodelay(true).map_err(|error| format!("{address}: {error}"))?;
                        Ok(Port::Tcp { stream, address: address.clone() })
                    }
                    Ok(Err(error)) => Err(format!("cannot connect to {address}: {error}")),
                    Err(_) => {
                        let limit = connect_timeout.as_millis();
                        Err(format!("cannot connect to {address}: no answer within {limit} ms"))
                    }
                }
            }
        }
    }

    /// Whether a reader that is too slow loses bytes: nobody tells a serial device to wait.
    pub(crate) fn cannot_wait(&self) -> bool {
        matches!(self, Place::Serial { .. })
    }
}

impl Port {
    /// Waits for bytes. The error, also for an end, is a sentence. Safe to drop and call again.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        let read = match self {
            Port::Serial { port, .. } => port.read(buffer).await,
            Port::Tcp { stream, .. } => stream.read(buffer).await,
        };
        match read {
            Ok(0) => Err(match self {
                Port::Serial { path, .. } => format!("serial port {} is gone; was it unplugged?", path.display()),
                Port::Tcp { address, .. } => format!("{address} closed the connection"),
            }),
            Ok(count) => Ok(count),
            Err(error) => Err(self.describe(&error)),
        }
    }

    pub(crate) async fn write_all(&mut self, data: &[u8]) -> Result<(), String> {
        let written = match self {
            Port::Serial { port, .. } => port.write_all(data).await,
            Port::Tcp { stream, .. } => stream.write_all(data).await,
        };
        written.map_err(|error| self.describe(&error))
    }

    /// Sets the line for one exchange; nothing over TCP. Returns the settings to go back to.
    pub(crate) fn set_mode(&mut self, wanted: LineMode) -> Result<Option<LineMode>, String> {
        match self {
            Port::Serial { port, path, mode } if *mode != wanted => {
                set_mode(port, path, wanted)?;
                Ok(Some(std::mem::replace(mode, wanted)))
            }
            _ => Ok(None),
        }
    }

    fn describe(&self, error: &std::io::Error) -> String {
        match self {
            Port::Serial { path, .. } => describe(path, error),
            Port::Tcp { address, .. } => format!("{address}: {error}"),
        }
    }
}

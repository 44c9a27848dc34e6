//! Serial ports: settings in words and as the driver wants them, opening, and what an error means.

use bulkhead_model::transport::{Parity, SerialLine};
use bulkhead_sandbox::capability::{LineSettings, Parity as LineParity};
use serial2_tokio::{CharSize, SerialPort, Settings, StopBits};
use std::io;
use std::path::Path;

/// How a line is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineMode {
    pub(crate) baud: u32,
    pub(crate) parity: Parity,
    pub(crate) data_bits: u8,
    pub(crate) stop_bits: u8,
}

impl From<&SerialLine> for LineMode {
    fn from(line: &SerialLine) -> Self {
        Self { baud: line.baud, parity: line.parity, data_bits: line.data_bits, stop_bits: line.stop_bits }
    }
}

impl From<&LineSettings> for LineMode {
    fn from(line: &LineSettings) -> Self {
        let parity = match line.parity {
            LineParity::None => Parity::None,
            LineParity::Even => Parity::Even,
            LineParity::Odd => Parity::Odd,
        };
        Self { baud: line.baud, parity, data_bits: line.data_bits, stop_bits: line.stop_bits }
    }
}

/// `9600 8N1`.
impl std::fmt::Display for LineMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{} {}{parity}{}", self.baud, self.data_bits, self.stop_bits)
    }
}

impl LineMode {
    /// Whether a serial line can be set so; else what is wrong.
    pub(crate) fn check(self) -> Result<(), (&'static str, String, &'static str)> {
        if !(5..=8).contains(&self.data_bits) {
            return Err(("data_bits", self.data_bits.to_string(), "5, 6, 7 or 8"));
        }
        if !(1..=2).contains(&self.stop_bits) {
            return Err(("stop_bits", self.stop_bits.to_string(), "1 or 2"));
        }
        if self.baud == 0 {
            return Err(("baud", self.baud.to_string(), "bits a second, such as 9600"));
        }
        Ok(())
    }

    fn apply(self, settings: &mut Settings) -> io::Result<()> {
        settings.set_raw();
        settings.set_baud_rate(self.baud)?;
        settings.set_char_size(match self.data_bits {
            5 => CharSize::Bits5,
            6 => CharSize::Bits6,
            7 => CharSize::Bits7,
            _ => CharSize::Bits8,
        });
        settings.set_parity(match self.parity {
            Parity::None => serial2_tokio::Parity::None,
            Parity::Even => serial2_tokio::Parity::Even,
            Parity::Odd => serial2_tokio::Parity::Odd,
        });
        settings.set_stop_bits(if self.stop_bits == 2 { StopBits::Two } else { StopBits::One });
        Ok(())
    }
}

/// Opens a port with its line set and its input empty; the error is a sentence.
pub(crate) fn open_port(path: &Path, mode: LineMode) -> Result<SerialPort, String> {
    let port = SerialPort::open(path, |mut settings: Settings| {
        // A pseudo-terminal, as in tests and behind device servers, has no parity and takes the rest.
        mode.apply(&mut settings)?;
        Ok(settings)
    })
    .or_else(|error| open_as_it_takes(path, mode, error))
    .map_err(|error| describe(path, &error))?;
    port.discard_buffers().map_err(|error| describe(path, &error))?;
    Ok(port)
}

/// Drivers of pseudo-terminals refuse parity and character sizes they cannot do; they have no wire, so nothing is lost by
/// leaving these out. A real port that refuses its settings is an error.
fn open_as_it_takes(path: &Path, mode: LineMode, error: io::Error) -> io::Result<SerialPort> {
    let is_pseudo_terminal = std::fs::canonicalize(path).is_ok_and(|real| real.starts_with("/dev/pts"));
    if !is_pseudo_terminal {
        return Err(error);
    }
    SerialPort::open(path, |mut settings: Settings| {
        settings.set_raw();
        settings.set_baud_rate(mode.baud)?;
        Ok(settings)
    })
}

/// Sets an open port's line anew.
pub(crate) fn set_mode(port: &mut SerialPort, path: &Path, mode: LineMode) -> Result<(), String> {
    let mut settings = port.get_configuration().map_err(|error| describe(path, &error))?;
    mode.apply(&mut settings).map_err(|error| describe(path, &error))?;
    port.set_configuration(&settings).map_err(|error| format!("{} does not take {mode}: {error}", path.display()))
}

/// An error of a port in words an engineer can act on.
pub(crate) fn describe(path: &Path, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "; is the device plugged in, and is its name right?",
        io::ErrorKind::PermissionDenied => "; may the gateway's user open it (group dialout)?",
        io::ErrorKind::InvalidInput => "; does the port take these line settings?",
        _ => "",
    };
    format!("serial port {}: {error}{hint}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_engineers_write_them_and_wrong_ones_are_named() {
        let mode = LineMode { baud: 19_200, parity: Parity::Even, data_bits: 7, stop_bits: 2 };
        assert_eq!(mode.to_string(), "19200 7E2");
        assert!(mode.check().is_ok());
        assert_eq!(LineMode { stop_bits: 3, ..mode }.check().unwrap_err().0, "stop_bits");
        assert_eq!(LineMode { data_bits: 9, ..mode }.check().unwrap_err().0, "data_bits");
    }

    #[test]
    fn a_missing_port_is_named_with_a_hint() {
        let mode = LineMode { baud: 9600, parity: Parity::None, data_bits: 8, stop_bits: 1 };
        let reason = open_port(Path::new("/nowhere/ttyUSB9"), mode).unwrap_err();
        assert!(reason.contains("/nowhere/ttyUSB9") && reason.contains("plugged in"), "{reason}");
    }
}

//! `mbpoll`: a Modbus master that others wrote, as an independent look at a device.

use crate::programs::program;
use crate::wait::within;
use anyhow::{Result, ensure};
use tokio::process::Command;

/// Runs mbpoll and returns what it printed.
///
/// # Errors
/// Where it is not installed or fails.
pub async fn mbpoll(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program("mbpoll")?);
    command.args(arguments).kill_on_drop(true);
    let output = within("mbpoll", command.output()).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "mbpoll {arguments:?}: {text}{complaints}");
    Ok(text)
}

/// Reads over Modbus TCP: `kind` is mbpoll's `-t`, such as `4` for holding registers or `4:float`; the values as mbpoll
/// prints them.
///
/// # Errors
/// As [`mbpoll`].
pub async fn mbpoll_registers(port: &str, unit: u8, kind: &str, address: u16, count: u16) -> Result<Vec<String>> {
    let (unit, address, count) = (unit.to_string(), address.to_string(), count.to_string());
    let arguments = ["-m", "tcp", "-p", port, "-a", &unit, "-0", "-1", "-B", "-r", &address, "-c", &count, "-t", kind];
    let text = mbpoll(&[&arguments[..], &["127.0.0.1"]].concat()).await?;
    let values: Vec<String> = text.lines().filter_map(value).collect();
    ensure!(!values.is_empty(), "mbpoll printed no value: {text}");
    Ok(values)
}

/// The value of a line such as `[110]: \t625`; a negative 16-bit number also stands in brackets: `64302 (-1234)`.
fn value(line: &str) -> Option<String> {
    let (place, value) = line.split_once("]:")?;
    place.starts_with('[').then(|| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_are_what_stands_behind_the_address() {
        assert_eq!(super::value("[110]: \t625").as_deref(), Some("625"));
        assert_eq!(super::value("-- Polling slave 1..."), None);
    }
}

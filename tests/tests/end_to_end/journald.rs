//! The systemd journal: what the gateway sends to the journal's socket, in the journal's own protocol. A mount namespace
//! gives the gateway a `/run` in which the test holds that socket.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device};
use bulkhead_tests::{Site, gateway_binary, program, within};
use std::collections::BTreeMap;
use std::process::Stdio;
use tokio::net::UnixDatagram;
use tokio::process::Command;

/// Puts the folder `$1` where the journal's socket is looked for, then becomes the gateway `$2` with the config `$3`.
const IN_ITS_OWN_RUN: &str = "mount -t tmpfs run /run && mkdir -p /run/systemd/journal && \
    mount --bind \"$1\" /run/systemd/journal && exec \"$2\" run -c \"$3\"";
/// Longest entry.
const ENTRY_MAX_BYTES: usize = 64 * 1024;

#[tokio::test]
async fn the_systemd_journal_gets_connection_device_and_point_as_fields() -> Result<()> {
    let device = Device::builder().unit(1, Bank::new(BankLayout::uniform(60))).start().await?;
    let address = device.address();
    let site = Site::new(&format!(
        "[logging]\nformat = \"journald\"\n\n[connections.boiler]\nadapter = \"modbus-registers\"\n\n\
         [connections.boiler.transports.device]\nkind = \"modbus-tcp\"\naddress = \"{address}\"\n\n\
         [connections.boiler.settings]\npoints = [{{ name = \"absent\", table = \"holding-register\", address = 99 }}]\n",
    ))?;
    let folder = site.path("journal");
    std::fs::create_dir(&folder)?;
    let socket = UnixDatagram::bind(folder.join("socket"))?;
    let mut command = Command::new(program("unshare")?);
    // Root may mount; others may in a user namespace of their own.
    command.args(["--mount", "--map-root-user", "sh", "-c", IN_ITS_OWN_RUN, "sh"]);
    command.arg(&folder).arg(gateway_binary()?).arg(site.path("gateway.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut gateway = command.spawn().context("unshare cannot be started")?;
    let entry = async {
        loop {
            let mut bytes = vec![0; ENTRY_MAX_BYTES];
            let length = socket.recv(&mut bytes).await?;
            let fields = fields(&bytes[..length]).context("an entry that is not in the journal's protocol")?;
            if fields.get("BULKHEAD_CODE").is_some_and(|code| code == "illegal-data-address") {
                return anyhow::Ok(fields);
            }
        }
    };
    let entry = within("an entry about the refused register", entry);
    let entry = tokio::select! {
        entry = entry => entry??,
        status = gateway.wait() => {
            let output = gateway.wait_with_output().await?;
            anyhow::bail!("the gateway ended with {}: {}", status?, String::from_utf8_lossy(&output.stderr));
        }
    };
    let field = |name: &str| entry.get(name).map_or("", String::as_str);
    ensure!(field("BULKHEAD_CONNECTION") == "boiler" && field("BULKHEAD_POINT") == "absent", "{entry:?}");
    ensure!(field("BULKHEAD_DEVICE").contains(&address.to_string()), "{entry:?}");
    ensure!(field("SYSLOG_IDENTIFIER") == "bulkhead" && field("PRIORITY") == "4", "{entry:?}");
    ensure!(field("MESSAGE").contains("holding-register 99"), "{entry:?}");
    gateway.kill().await?;
    Ok(())
}

/// The fields of an entry: `NAME=value` and a line end, or the name, a line end, the value's length (u64, little-endian),
/// the value and a line end.
fn fields(mut entry: &[u8]) -> Option<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    while let Some(end) = entry.iter().position(|&byte| byte == b'\n') {
        let (line, rest) = (std::str::from_utf8(&entry[..end]).ok()?, &entry[end + 1..]);
        let (name, value, rest) = match line.split_once('=') {
            Some((name, value)) => (name, value, rest),
            None => {
                let (length, rest) = rest.split_first_chunk()?;
                let (value, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
                (line, std::str::from_utf8(value).ok()?, rest.strip_prefix(b"\n")?)
            }
        };
        fields.insert(name.to_owned(), value.to_owned());
        entry = rest;
    }
    entry.is_empty().then_some(fields)
}

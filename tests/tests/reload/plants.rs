//! Configs and devices that these tests share.

use anyhow::Result;
use bulkhead_simulators::modbus::{Bank, BankLayout, Device};
use bulkhead_simulators::upstream::Upstream;

/// A Modbus device with all registers.
pub(crate) async fn device() -> Result<Device> {
    Ok(Device::builder().unit(1, Bank::new(BankLayout::uniform(100))).start().await?)
}

/// A connection that polls one register of a device.
pub(crate) fn polled(name: &str, device: &Device, interval_ms: u32) -> String {
    with_transport(name, &format!("kind = \"modbus-tcp\"\naddress = \"{}\"", device.address()), interval_ms)
}

/// A connection that polls one register over a transport.
pub(crate) fn with_transport(name: &str, transport: &str, interval_ms: u32) -> String {
    format!(
        "[connections.{name}]\nadapter = \"modbus-registers\"\npoll_interval_ms = {interval_ms}\n\n\
         [connections.{name}.transports.device]\n{transport}\n\n[connections.{name}.settings]\n\
         points = [{{ name = \"r1\", table = \"holding-register\", address = 1 }}]\n\n"
    )
}

/// A sink that sends seq and value of each reading.
pub(crate) fn sink(name: &str, upstream: &Upstream) -> String {
    format!(
        r#"
[connections.{name}]
adapter = "http-json"

[connections.{name}.transports.upstream]
kind = "http"
base_url = "{}"
allow_methods = ["POST"]

[connections.{name}.settings]
path = "/ingest"
body = '''[{{% for reading in readings %}}{{"seq": {{{{ reading.seq }}}}, "n": {{{{ reading.value }}}}}}{{% if not loop.last %}},{{% endif %}}{{% endfor %}}]'''
"#,
        upstream.url()
    )
}

/// How many trials a test does: what `BULKHEAD_SOAK_TRIALS` says, else so many.
pub(crate) fn trials(in_the_suite: u64) -> u64 {
    let given = std::env::var("BULKHEAD_SOAK_TRIALS").ok();
    given.and_then(|given| given.parse().ok()).unwrap_or(in_the_suite)
}

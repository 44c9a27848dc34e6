//! Serial lines with garbage and torn pieces: reported and counted, never read as a value.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::scale::{Scale, ScaleMode, Weight};
use bulkhead_tests::Gateway;
use serde_json::json;
use std::time::Duration;

/// How often the scale speaks.
const SPEAK_EVERY: Duration = Duration::from_millis(50);

struct Weighing {
    scale: Scale,
    gateway: Gateway,
}

impl Weighing {
    async fn start() -> Result<Self> {
        let weight = Weight { kilograms: 123.4, is_stable: true };
        let scale = Scale::start(ScaleMode::Continuous(SPEAK_EVERY), weight)?;
        let config = format!(
            r#"
[connections.scale]
adapter = "serial-text"

[connections.scale.transports.device]
kind = "serial"
port = "{}"
framing = {{ delimiter = "\r\n" }}
max_frame_bytes = 64

[[connections.scale.settings.patterns]]
regex = '^ST,GS,(?<weight>[-+ 0-9.]+)kg$'
points = [{{ name = "weight", unit = "kg" }}]
"#,
            scale.path().display()
        );
        let gateway = Gateway::start(&config).await?;
        gateway.reading("a first weight", |reading| reading.is_of("scale/weight") && reading.is_good()).await?;
        Ok(Self { scale, gateway })
    }

    /// Sends bytes between two lines; they must be counted under this code, and no reading may come of them.
    async fn reports(self, bytes: &[u8], code: &str) -> Result<()> {
        let Self { scale, gateway } = self;
        scale.write_raw(bytes).await?;
        let counted = |scale: &bulkhead_tests::Connection| scale.faults.contains_key(code);
        let connection = gateway.connection("scale", code, counted).await?;
        let fault = connection.last_fault.context("no fault was kept")?;
        ensure!(fault.code == code && !fault.message.is_empty(), "{fault:?}");
        gateway.journal.wait_for_texts(&["scale", code]).await?;
        let reached = gateway.api.readings().await?.last().map_or(0, |reading| reading.seq);
        let newer = |reading: &bulkhead_tests::Reading| reading.seq > reached && reading.is_good();
        gateway.reading("a weight afterwards", newer).await?;
        let readings = gateway.api.readings().await?;
        let wrong = readings.iter().find(|reading| reading.value != json!(123.4));
        ensure!(wrong.is_none(), "invented: {wrong:?}");
        gateway.terminate().await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_torn_line_is_no_smaller_number() -> Result<()> {
    Weighing::start().await?.reports(b"ST,GS,+001\r\n", "unmatched-line").await
}

#[tokio::test]
async fn a_line_torn_before_its_end_spoils_only_itself() -> Result<()> {
    Weighing::start().await?.reports(b"ST,GS,+0", "unmatched-line").await
}

#[tokio::test]
async fn bytes_that_are_no_text_are_reported() -> Result<()> {
    Weighing::start().await?.reports(b"\xff\xfe\x80\r\n", "bad-encoding").await
}

#[tokio::test]
async fn a_line_longer_than_the_bound_is_dropped_and_told() -> Result<()> {
    let Weighing { scale, gateway } = Weighing::start().await?;
    scale.write_raw(&[b'x'; 300]).await?;
    scale.write_raw(b"\r\n").await?;
    let dropped = |scale: &bulkhead_tests::Connection| {
        scale.transports[0].counters.iter().any(|(name, count)| name == "frames_too_long_total" && *count == 1)
    };
    gateway.connection("scale", "a dropped frame", dropped).await?;
    let readings = gateway.api.readings().await?;
    ensure!(readings.iter().all(|reading| reading.value == json!(123.4)), "invented: {readings:?}");
    gateway.terminate().await?;
    Ok(())
}

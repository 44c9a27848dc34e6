//! A real device's traffic as a fixture: recorded from a running gateway, replayed by `bulkhead adapter test` in the real sandbox,
//! and failing at the byte that was changed.

use crate::plants::{Tap, scale_at, weighing};
use anyhow::{Context, Result, ensure};
use bulkhead_tests::{CommandOutput, Gateway, Pymodbus, SerialPair, adapters, run_command, until};
use std::path::{Path, PathBuf};

/// A folder for recordings, and the adapter they are replayed on.
struct Fixture {
    folder: tempfile::TempDir,
    adapter: PathBuf,
}

impl Fixture {
    fn of(adapter: &str) -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, adapter: adapters()?.join(format!("{adapter}.wasm")) })
    }

    fn script(&self) -> PathBuf {
        self.folder.path().join("recorded.toml")
    }

    fn text(&self) -> Result<String> {
        std::fs::read_to_string(self.script()).context("the script")
    }

    fn edit(&self, from: &str, to: &str) -> Result<()> {
        let text = self.text()?;
        ensure!(text.contains(from), "{from} is not in:\n{text}");
        Ok(std::fs::write(self.script(), text.replacen(from, to, 1))?)
    }

    async fn test(&self, more: &[&str]) -> Result<CommandOutput> {
        let shown = |path: &Path| path.to_str().map(str::to_owned).context("a path that is text");
        let (adapter, cases) = (shown(&self.adapter)?, shown(self.folder.path())?);
        let mut arguments = vec!["adapter", "test", "--component", &adapter, "--cases", &cases];
        arguments.extend(more);
        run_command(arguments, None).await
    }
}

const BOILER: &str = r#"
poll_interval_ms = 200

[connections.boiler.settings]
points = [
  { name = "flow_temp", table = "holding-register", address = 100, type = "f32", unit = "°C" },
  { name = "name", table = "holding-register", address = 120, type = "string", length = 4 },
  { name = "level", table = "input-register", address = 0 },
  { name = "setpoint", table = "holding-register", address = 200, type = "i16", scale = 0.1, writable = { min = 5, max = 90 } },
  { name = "absent", table = "holding-register", address = 900 },
]
"#;

#[tokio::test]
async fn a_recorded_modbus_device_is_a_fixture_and_a_changed_word_is_named() -> Result<()> {
    let device = Pymodbus::tcp().await?;
    let gateway = Gateway::start(&format!(
        "[connections.boiler]\nadapter = \"modbus-registers\"\n{BOILER}\n[connections.boiler.transports.device]\n\
         kind = \"modbus-tcp\"\naddress = \"{}\"\ntimeout_ms = 5000\nallow_write = [\"holding-register:200\"]\n",
        device.address()
    ))
    .await?;
    gateway.connection("boiler", "polls", |boiler| boiler.counters["polls"] > 1).await?;
    let fixture = Fixture::of("modbus-registers")?;
    let script = fixture.script();
    let tap = Tap::start(&gateway, &["boiler", "--json", "--record", script.to_str().context("text")?]).await?;
    let polled = |line: &serde_json::Value| line["kind"] == "return" && line["call"] == "poll";
    tap.line("a poll", polled).await?;
    gateway.command(["write", "boiler", "setpoint", "62.5"]).await?.expect_code(0)?;
    let set = |line: &serde_json::Value| {
        let readings = line["readings"].as_array().into_iter().flatten();
        polled(line) && readings.into_iter().any(|one| one["point"] == "setpoint" && one["value"] == 62.5)
    };
    tap.line("the value that was written", set).await?;
    let notes = tap.notes.clone();
    ensure!(tap.interrupt().await? == Some(0), "{}", notes.last());

    let text = fixture.text()?;
    ensure!(
        text.contains("setpoint = 62.5") && text.contains("[625]") && text.contains("illegal-data-address"),
        "{text}"
    );
    let passed = fixture.test(&[]).await?.expect_code(0)?;
    ensure!(passed.stdout.contains("ok      recorded"), "{passed}");

    let expected = std::fs::read_to_string(fixture.folder.path().join("recorded.expected.json"))?;
    let expected: serde_json::Value = serde_json::from_str(&expected)?;
    let readings: Vec<_> =
        expected["steps"].as_array().into_iter().flatten().flat_map(|s| s["readings"].as_array()).flatten().collect();
    ensure!(readings.iter().any(|one| one["point"] == "flow_temp" && one["value"] == 61.5), "{expected:#}");
    ensure!(readings.iter().any(|one| one["point"] == "name" && one["value"] == "PUMP-7 A"), "{expected:#}");
    ensure!(readings.iter().any(|one| one["point"] == "absent" && one["status"] != "Good"), "{expected:#}");

    // One word of the device's answer is another.
    fixture.edit("4711", "4712")?;
    let failed = fixture.test(&[]).await?.expect_code(1)?;
    let (place, why) = failed.stdout.split_once('\n').context("a place and what differs")?;
    ensure!(place.contains("recorded: steps[") && place.contains(".did[0].answer.words["), "{failed}");
    ensure!(why.contains("expected 4711") && why.contains("found    4712"), "{failed}");
    let updated = fixture.test(&["--update"]).await?.expect_code(0)?;
    ensure!(updated.stdout.contains("written recorded"), "{updated}");
    fixture.test(&[]).await?.expect_code(0)?;
    Ok(())
}

#[tokio::test]
async fn a_recorded_serial_device_is_a_fixture_and_a_changed_byte_is_named() -> Result<()> {
    let line = SerialPair::start().await?;
    scale_at(&line)?;
    let gateway = Gateway::start(&weighing(&line, "READ", 50)).await?;
    let fixture = Fixture::of("serial-text")?;
    let script = fixture.script();
    let tap = Tap::start(&gateway, &["scale", "--json", "--record", script.to_str().context("text")?]).await?;
    until("three polls", async || {
        let polls = tap.lines.all().iter().filter(|line| line.contains(r#""point":"weight""#)).count();
        Ok(if polls >= 3 { Ok(()) } else { Err(format!("{polls} polls")) })
    })
    .await?;
    let notes = tap.notes.clone();
    ensure!(tap.interrupt().await? == Some(0), "{}", notes.last());
    let recorded = fixture.text()?;
    ensure!(recorded.matches("request = \"READ\\r\\n\", answer = \"ST,GS,+").count() >= 3, "{recorded}");
    fixture.test(&[]).await?.expect_code(0)?;

    // A byte of the answer, then a byte of the request.
    fixture.edit("\"ST,GS,+", "\"ST,GS,-")?;
    let failed = fixture.test(&[]).await?.expect_code(1)?;
    ensure!(failed.stdout.contains(".did[0].answer\n    expected \"ST,GS,+"), "{failed}");
    ensure!(failed.stdout.contains("found    \"ST,GS,-"), "{failed}");
    std::fs::write(fixture.script(), &recorded)?;
    fixture.edit("answers = [\n  { request = \"READ", "answers = [\n  { request = \"REED")?;
    let failed = fixture.test(&[]).await?.expect_code(1)?;
    let named = "expects \"REED\\r\\n\", which differs at byte 2: expected 45, sent 41";
    ensure!(
        failed.stdout.contains("the adapter sent \"READ\\r\\n\" on device") && failed.stdout.contains(named),
        "{failed}"
    );
    Ok(())
}

#[tokio::test]
async fn a_recording_never_replaces_a_file_and_needs_a_call() -> Result<()> {
    let line = SerialPair::start().await?;
    scale_at(&line)?;
    let gateway = Gateway::start(&weighing(&line, "READ", 60_000)).await?;
    gateway.connection("scale", "its first poll", |scale| scale.counters["polls"] > 0).await?;
    let fixture = Fixture::of("serial-text")?;
    let script = fixture.script();
    let script = script.to_str().context("text")?;
    let empty = gateway.command(["tap", "scale", "--for", "1s", "--record", script]).await?.expect_code(1)?;
    ensure!(empty.stderr.contains("nothing was recorded"), "{empty}");
    std::fs::write(script, "mine")?;
    let kept = gateway.command(["tap", "scale", "--for", "1s", "--record", script]).await?.expect_code(1)?;
    ensure!(kept.stderr.contains("is there already") && std::fs::read_to_string(script)? == "mine", "{kept}");
    Ok(())
}

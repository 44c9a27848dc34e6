//! The config's file changes, or somebody asks for it to be read again.

use crate::plants::{device, polled};
use anyhow::{Result, ensure};
use bulkhead_simulators::modbus::Device;
use bulkhead_simulators::upstream::{Upstream, UpstreamConfig};
use bulkhead_tests::{Gateway, Site, http_sink, until};
use std::path::Path;

/// Puts a new file in the place of another, as most editors do.
fn put_in_place(site: &Site, text: &str) -> Result<()> {
    site.write_file("gateway.toml.swp", text)?;
    Ok(std::fs::rename(site.path("gateway.toml.swp"), site.path("gateway.toml"))?)
}

#[tokio::test]
async fn a_changed_connection_begins_anew_and_the_others_and_pulling_clients_notice_nothing() -> Result<()> {
    let (kept, changed) = (device().await?, device().await?);
    let plant = |interval_ms| polled("kept", &kept, 20) + &polled("changed", &changed, interval_ms);
    let gateway = Gateway::start(&plant(20)).await?;
    let mut stream = gateway.events().await?;
    stream.until("a reading", |reading| reading.is_of("changed/r1")).await?;

    let text = gateway.site().config()?;
    put_in_place(gateway.site(), &text.replace(&plant(20), &plant(30)))?;
    gateway.journal.wait_for_texts(&["reload: restarted: connections.changed (its section changed)"]).await?;
    gateway.journal.wait_for_texts(&["reload: kept: connections.kept"]).await?;
    gateway.journal.wait_for_texts(&["reload: the config was applied", "took_ms="]).await?;
    let polls = kept.counters().requests();
    gateway.connection("changed", "polls anew", |one| one.counters["polls"] >= 5).await?;
    stream.until("a reading of the time after", |reading| reading.is_of("changed/r1")).await?;
    ensure!(kept.counters().requests() > polls, "the kept connection goes on");
    ensure!(kept.counters().connections() == 1, "its device saw no new connection");
    ensure!(changed.counters().connections() == 2, "the other one's saw one");
    let one = gateway.api.connection("kept").await?;
    ensure!(one.counters["instances"] == 1 && one.counters["polls"] >= 5, "{one:?}");
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_link_turned_to_another_folder_and_a_signal_have_the_file_read() -> Result<()> {
    let (first, second) = (device().await?, device().await?);
    let site = Site::new(&polled("first", &first, 50))?;
    let text = site.config()?;
    // As Kubernetes mounts a config map: gateway.toml -> ..data/gateway.toml, ..data -> a folder with a date.
    let folder = |name: &str, text: &str| -> Result<()> {
        std::fs::create_dir(site.path(name))?;
        site.write_file(&format!("{name}/gateway.toml"), text)
    };
    folder("one", &text)?;
    folder("two", &(text.clone() + &polled("second", &second, 50)))?;
    std::fs::remove_file(site.path("gateway.toml"))?;
    std::os::unix::fs::symlink("one", site.path("..data"))?;
    std::os::unix::fs::symlink("..data/gateway.toml", site.path("gateway.toml"))?;
    let gateway = site.run().await?;

    let turned = gateway.site().path("..data.new");
    std::os::unix::fs::symlink("two", &turned)?;
    std::fs::rename(&turned, gateway.site().path("..data"))?;
    gateway.journal.wait_for_texts(&["reload: added: connections.second"]).await?;
    gateway.connection("second", "it polls", |one| one.counters["polls"] >= 1).await?;

    gateway.hang_up()?;
    gateway.journal.wait_for_texts(&["reload: kept: connections.first, connections.second"]).await?;
    ensure!(first.counters().connections() == 1 && second.counters().connections() == 1, "nothing began anew");
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_config_with_mistakes_is_refused_whole_and_a_rollback_brings_the_file_back() -> Result<()> {
    let (kept, never) = (device().await?, device().await?);
    let gateway = Gateway::start(&polled("kept", &kept, 20)).await?;
    let good = gateway.site().config()?;
    let wrong = good.clone() + &polled("never", &never, 20) + "[routes.up]\nselect = [\"kept/*\"]\nto = \"nobody\"\n";
    put_in_place(gateway.site(), &wrong)?;
    gateway.journal.wait_for_texts(&["reload: the config has mistakes and is refused"]).await?;
    let told = gateway.journal.wait_for_texts(&["routes.up.to: found \"nobody\""]).await?;

    let checked = gateway.site().command(["check"]).await?.expect_code(2)?;
    let reloaded = gateway.command(["reload"]).await?.expect_code(2)?;
    let mistake = "routes.up.to: found \"nobody\", expected the name of a connection";
    for text in [&told, &checked.stderr.replace("\n", " "), &reloaded.stderr] {
        ensure!(text.contains(mistake) || text.contains("nobody"), "{text}");
    }
    ensure!(never.counters().connections() == 0, "nothing of a refused config is opened");
    ensure!(kept.counters().connections() == 1, "the running one stays");

    let back = gateway.command(["rollback", "--json"]).await?.expect_code(0)?.json()?;
    ensure!(back["kept"] == serde_json::json!(["connections.kept"]), "{back}");
    ensure!(gateway.site().config()? == good, "the file holds what runs again");
    ensure!(std::fs::read_to_string(gateway.site().path("data/config/undone.toml"))? == wrong, "and nothing is lost");
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_rollback_goes_further_back_each_time_with_and_without_a_running_gateway() -> Result<()> {
    let device = device().await?;
    let gateway = Gateway::start(&polled("plc", &device, 20)).await?;
    let text = gateway.site().config()?;
    let with = |interval: &str| text.replace("poll_interval_ms = 20", &format!("poll_interval_ms = {interval}"));
    for interval in ["30", "40", "50"] {
        gateway.site().write_file("gateway.toml", &with(interval))?;
        gateway.command(["reload"]).await?.expect_code(0)?;
        ensure!(gateway.site().config()? == with(interval));
    }
    gateway.command(["rollback"]).await?.expect_code(0)?;
    ensure!(gateway.site().config()? == with("40"), "{}", gateway.site().config()?);
    let (site, _) = gateway.terminate().await?;

    let output = site.command(["rollback", "--json"]).await?.expect_code(0)?;
    ensure!(output.json()?["through"] == "file" && site.config()? == with("30"), "{output}");
    // A config that is right and yet cannot be run: its API has no place to listen on.
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let elsewhere = with("60").replace("127.0.0.1:0", &taken.local_addr()?.to_string());
    site.write_file("gateway.toml", &elsewhere)?;
    site.command(["run"]).await?.expect_code(1)?;
    drop(taken);
    site.command(["rollback"]).await?.expect_code(0)?;
    ensure!(site.config()? == with("30"), "what could not start was never kept: {}", site.config()?);
    site.command(["rollback"]).await?.expect_code(0)?;
    ensure!(site.config()? == text, "the first of all");
    let none = site.command(["rollback"]).await?.expect_code(1)?;
    ensure!(none.stderr.contains("no config before"), "{none}");
    Ok(())
}

#[tokio::test]
async fn what_lies_behind_a_config_counts_too_and_what_cannot_follow_is_named() -> Result<()> {
    let device = device().await?;
    let (site, adapters) = with_own_adapters(&polled("plc", &device, 20))?;
    let gateway = site.run().await?;
    gateway.connection("plc", "it polls", |plc| plc.counters["polls"] >= 1).await?;
    // The same component with a custom section more is another file.
    let file = adapters.join("modbus-registers.wasm");
    let mut bytes = std::fs::read(&file)?;
    bytes.extend_from_slice(&[0, 2, 1, b'x']);
    std::fs::write(adapters.join("new"), bytes)?;
    std::fs::rename(adapters.join("new"), &file)?;
    gateway.hang_up()?;
    gateway.journal.wait_for_texts(&["restarted: connections.plc (its adapter's file changed)"]).await?;

    let text = gateway.site().config()? + "\n[log]\ncommit_max_ms = 7\n[logging]\nlevel = \"debug\"\n";
    gateway.site().write_file("gateway.toml", &text)?;
    let output = gateway.command(["reload"]).await?.expect_code(0)?;
    ensure!(output.stdout.contains("takes effect at the next start: log"), "{output}");
    ensure!(output.stdout.contains("kept: connections.plc"), "{output}");
    gateway.site().write_file("gateway.toml", &text.replace("poll_interval_ms = 20", "poll_interval_ms = 30"))?;
    gateway.command(["reload"]).await?.expect_code(0)?;
    gateway.journal.wait_for_texts(&["DEBUG", "connecting"]).await?;
    gateway.terminate().await?;
    Ok(())
}

/// A connection that takes its points from a file.
fn listed(name: &str, device: &Device, file: &str) -> String {
    format!(
        "[connections.{name}]\nadapter = \"modbus-registers\"\npoll_interval_ms = 20\n\n\
         [connections.{name}.transports.device]\nkind = \"modbus-tcp\"\naddress = \"{}\"\n\n\
         [connections.{name}.settings]\npoints_csv = \"{file}\"\n\n",
        device.address()
    )
}

/// A list of points with an address each.
fn list(points: &[(&str, u16)]) -> String {
    let lines = points.iter().map(|(name, address)| format!("{name};holding-register;{address}\n"));
    std::iter::once("name;table;address\n".to_owned()).chain(lines).collect()
}

#[tokio::test]
async fn a_file_that_the_config_names_is_watched_and_only_who_uses_it_begins_anew() -> Result<()> {
    let (device, upstream) = (device().await?, Upstream::start(UpstreamConfig::default()).await?);
    let secured = "auth = { kind = \"bearer\", token = { file = \"erp.token\" } }";
    let sink = http_sink("erp", &upstream.url(), secured);
    let site = Site::new(&format!("{}{}{sink}", listed("plc", &device, "plc.csv"), polled("press", &device, 20)))?;
    site.write_file("plc.csv", &list(&[("a", 1)]))?;
    site.write_file("erp.token", "first")?;
    let gateway = site.run().await?;
    gateway.connection("plc", "it polls", |plc| plc.counters["polls"] >= 1).await?;

    gateway.site().write_file("plc.csv", &list(&[("a", 1), ("b", 2)]))?;
    gateway.journal.wait_for_texts(&["reload: restarted: connections.plc (its section changed)"]).await?;
    gateway.journal.wait_for_texts(&["reload: kept: connections.erp, connections.press"]).await?;
    gateway.reading("the new point", |reading| reading.is_of("plc/b") && reading.is_good()).await?;

    gateway.site().write_file("erp.token", "second")?;
    gateway.journal.wait_for_texts(&["reload: restarted: connections.erp (a file that its transports name"]).await?;
    gateway.journal.wait_for_texts(&["reload: kept: connections.plc, connections.press"]).await?;

    // What is wrong is refused, and what runs goes on with what it had read.
    std::fs::write(gateway.site().path("plc.csv"), b"name;table;address\na;holding-register;1\n\xff")?;
    gateway.journal.wait_for_texts(&["expected a readable file: line 3 is not UTF-8"]).await?;
    let status = gateway.api.json("/api/v1/config/status").await?;
    ensure!(status["refused"].is_string(), "{status}");
    gateway.reading("the former point", |reading| reading.is_of("plc/b") && reading.is_good()).await?;
    gateway.site().write_file("plc.csv", &list(&[("c", 3)]))?;
    gateway.reading("the newest point", |reading| reading.is_of("plc/c") && reading.is_good()).await?;
    let refused = until("nothing to be refused", async || {
        let status = gateway.api.json("/api/v1/config/status").await?;
        Ok(if status["refused"].is_null() { Ok(()) } else { Err(status.to_string()) })
    });
    refused.await?;
    gateway.terminate().await?;
    Ok(())
}

/// A site whose adapters are copies that a test may change.
fn with_own_adapters(connections: &str) -> Result<(Site, std::path::PathBuf)> {
    let site = Site::new(connections)?;
    let given = bulkhead_tests::adapters()?;
    let own = site.path("adapters");
    std::fs::create_dir(&own)?;
    std::fs::copy(given.join("modbus-registers.wasm"), own.join("modbus-registers.wasm"))?;
    let text = site.config()?.replace(&given.display().to_string(), &Path::new("adapters").display().to_string());
    site.write_file("gateway.toml", &text)?;
    Ok((site, own))
}

//! `bulkhead demo`: simulated devices, an upstream, and the gateway between them, with a live table of points.

mod devices;
mod screen;

use crate::cli::DemoArguments;
use crate::commands::load_adapters_from;
use crate::commands::run::{Offers, RunningGateway, stop_signal};
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_config::Config;
use devices::Devices;
use std::path::PathBuf;
use std::time::Duration;

/// How often the live table is drawn.
const REDRAW: Duration = Duration::from_secs(1);

pub(crate) async fn demo(arguments: &DemoArguments) -> Result<(), Exit> {
    let mut config = load_adapters_from(&arguments.config, &arguments.adapters)?;
    let data = DataFolder::new()?;
    config.gateway.data_dir = data.0.clone();
    config.logging.level = bulkhead_config::LogLevel::Warn;
    // The table is of the devices' points.
    config.health.interval_s = 0;
    let devices = Devices::start(&mut config).await?;
    free_api_address(&mut config);
    // The demo's config stands in no file: nothing changes its levels, and there is nothing to make a backup of.
    let offers = Offers { recent: journal::start(&config)?.recent, file: None };
    console::note("loading the adapters (compiling them takes some seconds the first time)");
    let stop = stop_signal()?;
    let gateway = RunningGateway::start(config, offers).await?;
    console::note_lines(&screen::addresses(&gateway, &devices));
    let outcome = match arguments.once {
        Some(readings) => once(readings, Duration::from_secs(arguments.once_timeout_s), &gateway, &devices).await,
        None => {
            screen::show_until(stop.cancelled(), REDRAW, &gateway, &devices).await;
            Ok(())
        }
    };
    let stopped = gateway.stop().await;
    devices.stop().await;
    outcome.and(stopped)
}

/// Waits until so many readings were accepted upstream, or says what the matter is.
async fn once(readings: u64, limit: Duration, gateway: &RunningGateway, devices: &Devices) -> Result<(), Exit> {
    let accepted = devices.upstream.wait_until(|stats| stats.accepted >= readings);
    tokio::pin!(accepted);
    let deadline = tokio::time::sleep(limit);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            stats = &mut accepted => {
                console::say_lines(&screen::table(gateway));
                console::say(&format!("{} readings were accepted upstream", stats.accepted));
                return Ok(());
            }
            () = &mut deadline => {
                console::say_lines(&screen::table(gateway));
                let accepted = devices.upstream.stats().accepted;
                let reasons = screen::troubles(gateway);
                return Err(Exit::failed(format!(
                    "only {accepted} of {readings} readings were accepted upstream within {} s{reasons}", limit.as_secs()
                )));
            }
            () = tokio::time::sleep(2 * REDRAW) => {
                console::note(&format!("{} of {readings} readings accepted upstream", devices.upstream.stats().accepted));
            }
        }
    }
}

/// Takes a free port where the API's own is taken, so that a demo beside a running gateway works.
fn free_api_address(config: &mut Config) {
    if std::net::TcpListener::bind(config.api.listen).is_err() {
        config.api.listen.set_port(0);
    }
}

/// The demo's data, gone when it ends.
struct DataFolder(PathBuf);

impl DataFolder {
    fn new() -> Result<Self, Exit> {
        let folder = std::env::temp_dir().join(format!("bulkhead-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .map_err(|error| Exit::failed(format!("the folder {} cannot be made: {error}", folder.display())))?;
        Ok(Self(folder))
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // What is left behind lies in the folder for temporary files.
        _ = std::fs::remove_dir_all(&self.0);
    }
}

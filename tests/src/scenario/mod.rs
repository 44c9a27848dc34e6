//! Scenarios: folders with a config, simulated devices and what must come out.
//!
//! `gateway.toml` holds connections and routes, with `{{device}}` where a device's address belongs; `devices.toml` says
//! what is simulated; `expected.json` says what the gateway must show and what its upstreams must have accepted. Other
//! files are put beside the config. A scenario passes when everything expected is there, and nothing else in the parts
//! that are compared.

mod devices;
mod expected;

use crate::site::Site;
use crate::wait::until;
use anyhow::{Context, Result};
use devices::{Devices, DevicesFile};
use expected::Expected;
use std::path::{Path, PathBuf};

/// Files with a meaning of their own; all others are put beside the config.
const OWN_FILES: [&str; 3] = ["gateway.toml", "devices.toml", "expected.json"];

/// The folder of a scenario.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    crate::programs::root().join("tests/scenarios").join(name)
}

/// The names of all scenarios, sorted.
///
/// # Errors
/// Where the folder cannot be read.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder(""))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Runs a scenario.
///
/// # Errors
/// Says what differs from what was expected, or what could not be started.
pub async fn run(name: &str) -> Result<()> {
    let folder = folder(name);
    let read = |file: &str| {
        let path = folder.join(file);
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    };
    let described: DevicesFile = toml::from_str(&read("devices.toml")?).context("devices.toml")?;
    let expected: Expected = serde_json::from_str(&read("expected.json")?).context("expected.json")?;
    let devices = Devices::start(described).await?;
    let site = Site::new(&devices.fill_in(&read("gateway.toml")?)?)?;
    put_files(&folder, &site)?;
    let gateway = site.run().await?;
    devices.publish().await?;
    let outcome = until("what the scenario expects", async || {
        let differences = expected.differences(&gateway.api, &devices).await?;
        Ok(if differences.is_empty() { Ok(()) } else { Err(differences) })
    });
    outcome.await.with_context(|| format!("scenario {name}; {}", gateway.situation()))?;
    gateway.terminate().await.map(|_| ())
}

fn put_files(folder: &Path, site: &Site) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !OWN_FILES.contains(&name.as_str()) {
            std::fs::copy(entry.path(), site.path(&name))?;
        }
    }
    Ok(())
}

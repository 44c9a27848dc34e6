//! Other people's clients of the OData service, each run as it is: `cargo xtask test-clients`. The program of a client lies in
//! `tests/clients/<name>`; what it needs from npm or PyPI is installed by xtask. [`recorded`] replays requests that clients were
//! seen to send, which needs nobody's package, and which the ordinary tests do too.

pub mod recorded;

mod cap;
mod program;
mod world;

pub use program::{Check, checks};
pub use world::World;

use anyhow::{Context, Result};
use std::path::Path;

/// The client that is a service, too.
const CAP: &str = "cap";

/// A client.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Its name, and that of its folder.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// All of them, in the order in which they run.
pub const CLIENTS: [Client; 7] = [
    Client { name: "sap-cloud-sdk", about: "SAP Cloud SDK: a client generated from $metadata" },
    Client { name: "odata2ts", about: "odata2ts: a client and query builder generated from $metadata" },
    Client { name: "openui5", about: "OpenUI5: the ODataModel V4 of SAPUI5, in a headless Chromium" },
    Client { name: "pages", about: "the gateway's own pages, / and /docs, in a headless Chromium" },
    Client { name: "odatapy", about: "odatapy: its client, with values typed by $metadata" },
    Client { name: "sqlalchemy-odata", about: "sqlalchemy-odata: sets as tables of SQL" },
    Client { name: CAP, about: "SAP CAP: it reads from the gateway, and the sink `odata` writes to it" },
];

/// Runs a client whose files and packages are in the folder of its name below `folder`.
///
/// # Errors
/// Where it cannot be run to its end; what its checks found is in their list.
pub async fn run(client: &Client, folder: &Path, world: &World) -> Result<Vec<Check>> {
    let folder = folder.join(client.name);
    let models = folder.join("models");
    std::fs::create_dir_all(&models).with_context(|| format!("{} cannot be made", models.display()))?;
    let roots = [("gateway", Some(world.root())), ("shop", world.shop().map(str::to_owned))];
    for (name, root) in roots.into_iter().filter_map(|(name, root)| Some((name, root?))) {
        let path = models.join(format!("{name}.edmx"));
        let metadata = world.document(&format!("{root}$metadata")).await?;
        std::fs::write(&path, metadata).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let mut found = checks(&folder, &world.environment()).await?;
    if client.name == CAP {
        found.extend(cap::checks(&folder).await);
    }
    Ok(found)
}

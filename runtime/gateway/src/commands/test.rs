//! `bulkhead test`: the adapter's own check against the real device or system.

use super::{load_config, open_probe};
use crate::cli::ConnectionArguments;
use crate::exit::Exit;
use crate::{console, journal};
use std::sync::Arc;

pub(crate) async fn test(arguments: &ConnectionArguments) -> Result<(), Exit> {
    let config = Arc::new(load_config(&arguments.config.config)?);
    journal::start_quiet();
    let mut probe = open_probe(config, &arguments.connection).await?;
    let found = console::while_waiting("waiting for the adapter's check", probe.check()).await;
    let transports = probe.transports();
    probe.close().await;
    if arguments.json {
        let found = match &found {
            Ok(found) => serde_json::json!({ "ok": true, "found": found, "transports": transports }),
            Err(error) => serde_json::json!({ "ok": false, "error": error.to_string(), "transports": transports }),
        };
        console::say(&serde_json::to_string_pretty(&found)?);
        return if found["ok"] == true {
            Ok(())
        } else {
            Err(Exit::failed(format!("connection {} failed", arguments.connection)))
        };
    }
    for transport in &transports {
        let reason = transport.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        console::say(&format!("{}  {}  {}{reason}", transport.role, transport.target, transport.state));
    }
    console::say(&format!("{}: {}", arguments.connection, found?));
    Ok(())
}

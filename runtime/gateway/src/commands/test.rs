//! `bulkhead test`: the adapter's own check against the real device or system.

use super::{load_config, open_probe};
use crate::cli::ConnectionArguments;
use crate::exit::Exit;
use crate::{console, journal};

pub(crate) async fn test(arguments: &ConnectionArguments) -> Result<(), Exit> {
    let config = load_config(&arguments.config.config)?;
    journal::start_quiet();
    let mut probe = open_probe(&config, &arguments.connection).await?;
    let found = console::while_waiting("waiting for the adapter's check", probe.check()).await;
    let transports = probe.transports();
    probe.close().await;
    let found = found.map_err(|error| error.to_string()).and_then(|found| {
        match transports.iter().find(|one| one.state == "down") {
            None => Ok(found),
            Some(down) => {
                let reason = down.reason.as_deref().unwrap_or("without a reason");
                Err(format!(
                    "connection {}: its transport {} ({}) is down: {reason}",
                    arguments.connection, down.role, down.target
                ))
            }
        }
    });
    if arguments.json {
        let found = match &found {
            Ok(found) => serde_json::json!({ "ok": true, "found": found, "transports": transports }),
            Err(error) => serde_json::json!({ "ok": false, "error": error, "transports": transports }),
        };
        console::say_json(&found)?;
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
    let found = found.map_err(Exit::failed)?;
    console::say(&format!("{}: {found}", arguments.connection));
    Ok(())
}

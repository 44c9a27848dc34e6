//! `bulkhead check`: every mistake of a config at once, without touching a socket or a device.

use crate::cli::CheckArguments;
use crate::console;
use crate::exit::Exit;

pub(crate) fn check(arguments: &CheckArguments) -> Result<(), Exit> {
    let path = &arguments.config.config;
    let schemas = bulkhead_engine::schemas_in();
    let (diagnostics, config) = match bulkhead_config::load(path, &schemas) {
        Ok(loaded) => (loaded.warnings, Some(loaded.config)),
        Err(diagnostics) => (diagnostics, None),
    };
    if arguments.json {
        console::say_json(&diagnostics)?;
    } else if !diagnostics.is_empty() {
        console::note_diagnostics(&diagnostics);
    }
    let Some(config) = config else { return Err(Exit::Wrong) };
    if !arguments.json {
        let (connections, routes) = (config.connections.len(), config.routes.len());
        console::say(&format!("{} is right (connections: {connections}, routes: {routes})", path.display()));
    }
    Ok(())
}

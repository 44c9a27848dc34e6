//! `bulkhead adapter list`: what is in the gateway's folder, judged as the gateway judges it.

use super::install::config_alone;
use crate::cli::ListArguments;
use crate::console;
use crate::exit::Exit;
use bulkhead_engine::AdapterStatus;
use serde_json::json;

pub(super) fn list(arguments: &ListArguments) -> Result<(), Exit> {
    let config = config_alone(&arguments.config.config)?;
    let rows = bulkhead_engine::adapters_of(&config)?;
    if arguments.json {
        console::say_json(&json!(rows))?;
    } else if rows.is_empty() {
        let folder = config.resolve(&config.gateway.adapters_dir);
        console::say(&format!("there is no adapter in {}", folder.display()));
    } else {
        let header = ["adapter", "version", "id", "signed by", "used by", "state"];
        console::say_lines(&console::table(header, rows.into_iter().map(cells)));
    }
    Ok(())
}

fn cells(row: AdapterStatus) -> [String; 6] {
    let text = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let users = Some(row.used_by.join(", ")).filter(|users| !users.is_empty());
    let state = if row.on_probation { format!("{}, on probation", row.state) } else { row.state };
    [row.name, text(row.version), text(row.id), text(row.signed_by), text(users), state]
}

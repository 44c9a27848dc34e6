//! What the commands about users and keys share: where the file is. It is found by the config's data folder alone, also where
//! the config has mistakes: that nobody is known yet is one of them, and adapters may not be installed yet.

use crate::cli::ConfigArgument;
use crate::console;
use crate::exit::Exit;
use bulkhead_api::{AccountStore, AuditLog, AuditRecord};
use bulkhead_engine::SystemClock;
use bulkhead_sandbox::capability::Clock;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The users and keys of a config's data folder.
pub(super) fn store(argument: &ConfigArgument) -> Result<AccountStore, Exit> {
    data_dir(argument).map(|dir| AccountStore::in_folder(&dir))
}

/// The data folder of a config.
pub(super) fn data_dir(argument: &ConfigArgument) -> Result<PathBuf, Exit> {
    text(argument).map(|text| bulkhead_config::data_dir_of(&text, &argument.config))
}

/// The names of a config's connections; none where it has mistakes for which some could be missing.
pub(super) fn connection_names(argument: &ConfigArgument) -> Result<Option<BTreeSet<String>>, Exit> {
    text(argument).map(|text| bulkhead_config::connection_names_of(&text))
}

fn text(argument: &ConfigArgument) -> Result<String, Exit> {
    super::shown_if_wrong(bulkhead_config::read_text(&argument.config))
}

/// Records a change in the audit log. The change is made; that it cannot be recorded is told.
pub(super) fn recorded(argument: &ConfigArgument, what: String, detail: Option<Json>) -> Result<(), Exit> {
    let record = AuditRecord::of_command(SystemClock::default().now().0, what, detail);
    if let Err(error) = AuditLog::in_folder(&data_dir(argument)?).append(vec![record]) {
        console::note(&format!("note: {error}"));
    }
    Ok(())
}

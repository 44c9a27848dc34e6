//! `/api/v1/adapters`: what is in the gateway's folder of adapters, as `bulkhead adapter list` shows it.

use crate::app::Shared;
use crate::parameters::Parameters;
use crate::problem::{Problem, chain, task_failed};
use axum::Json;
use axum::http::{StatusCode, Uri};
use bulkhead_engine::AdapterStatus;
use serde::Serialize;
use std::sync::Arc;

/// Adapters, by name.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Adapters {
    /// Every file of the folder.
    adapters: Vec<ShownAdapter>,
}

/// An adapter in the folder.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Adapter"))]
struct ShownAdapter {
    /// Its maker's name for it; null: it is not admitted, or has no manifest.
    id: Option<String>,
    /// How its last upgrade ended; null: there was none, or it is on probation.
    last_upgrade: Option<ShownUpgrade>,
    /// Its name: that of its file.
    name: String,
    /// Whether it is on probation after an upgrade.
    on_probation: bool,
    /// The hash of its file, hexadecimal; null: it is not admitted.
    sha256: Option<String>,
    /// The name of the key that signed it; null: nobody that is believed.
    signed_by: Option<String>,
    /// `admitted`, or why not.
    state: String,
    /// The connections that use it.
    used_by: Vec<String>,
    /// Its version; null as for `id`.
    version: Option<String>,
}

/// How an upgrade ended.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Upgrade"))]
struct ShownUpgrade {
    /// Whether the new version stayed.
    is_kept: bool,
    /// The version that was on probation.
    version: Option<String>,
    /// Why.
    why: String,
}

/// All adapters. Each file is read and hashed: one request at a time has this done.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<Adapters>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let place = Arc::clone(&state.adapters).try_acquire_owned().map_err(|_| {
        let detail = "the adapters are being looked at for another request; try again in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(None)
    })?;
    let config = state.engine.config();
    let looked = tokio::task::spawn_blocking(move || {
        let _place = place;
        bulkhead_engine::adapters_of(&config)
    });
    let found = looked.await.map_err(|error| task_failed(&error))?.map_err(|error| {
        tracing::error!("the adapters cannot be listed: {}", chain(&error));
        Problem::internal("the adapters cannot be listed; the journal says why")
    })?;
    Ok(Json(Adapters { adapters: found.into_iter().map(shown).collect() }))
}

fn shown(adapter: AdapterStatus) -> ShownAdapter {
    let AdapterStatus { name, version, id, sha256, signed_by, state, used_by, last_upgrade, on_probation } = adapter;
    let last_upgrade = last_upgrade.map(|ended| ShownUpgrade {
        is_kept: ended.is_kept,
        version: ended.new.version.map(|version| version.to_string()),
        why: ended.why,
    });
    ShownAdapter { id, last_upgrade, name, on_probation, sha256, signed_by, state, used_by, version }
}

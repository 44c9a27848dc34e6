//! `/api/v1/backup`: begins a backup below the configured folder and says what the newest one is at. The folder is the
//! operator's choice in the config; a request chooses the last name of the path only.

use crate::app::{App, Shared};
use crate::limits::WRITE_BODY_MAX_BYTES;
use crate::moment;
use crate::parameters::Parameters;
use crate::problem::{Problem, chain};
use crate::write::{check_media_type, read_body};
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri};
use bulkhead_engine::{BackupJob, BackupRefused, BackupState, Backups};
use bulkhead_log::BackupStage;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a request asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
}

/// Begins a backup: `{"name": "…"}`. Answered with 202 at once; ask for its state until it is no longer `running`.
pub(crate) async fn begin(
    state: Shared,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    Parameters::parse(uri.query(), &[])?;
    check_media_type(&headers)?;
    let body = read_body(body, WRITE_BODY_MAX_BYTES).await?;
    let wanted: Wanted = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request("bad-body", format!("expected {{\"name\": \"…\"}}: {error}")))?;
    let job = backups(&state)?.begin(&wanted.name)?;
    Ok((StatusCode::ACCEPTED, Json(shown(&job))))
}

/// The newest backup since the gateway started.
pub(crate) async fn newest(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let none = || Problem::not_found("no-backup", "no backup was begun since the gateway started");
    backups(&state)?.newest().map(|job| Json(shown(&job))).ok_or_else(none)
}

fn backups(app: &App) -> Result<&Backups, Problem> {
    let nowhere = || Problem::not_found("no-backup", "this gateway makes no backups");
    app.operations.backups.as_ref().ok_or_else(nowhere)
}

fn shown(job: &BackupJob) -> Value {
    let mut shown = json!({ "name": job.name, "dir": job.dir });
    match &job.state {
        BackupState::Running(progress) => {
            shown["state"] = "running".into();
            if let Some(progress) = progress {
                shown["stage"] = match progress.stage {
                    BackupStage::Copying => "copying".into(),
                    BackupStage::Checking => "checking".into(),
                };
                shown["bytes_done"] = progress.bytes_done.into();
                shown["bytes_total"] = progress.bytes_total.into();
            }
        }
        BackupState::Done(report) => {
            shown["state"] = "done".into();
            shown["log"] = report.log_id.clone().into();
            shown["begun"] = moment::rfc3339(report.begun.0).into();
            shown["last_seq"] = report.last_seq.into();
            shown["readings"] = report.rows.into();
            shown["segments"] = report.segments.into();
            shown["files"] = report.files.into();
            shown["bytes"] = report.bytes.into();
        }
        BackupState::Failed(error) => {
            shown["state"] = "failed".into();
            shown["reason"] = chain(error).into();
        }
    }
    shown
}

impl From<BackupRefused> for Problem {
    fn from(refused: BackupRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            BackupRefused::BadName { .. } => Self::bad_request("bad-name", detail),
            BackupRefused::Exists { .. } => Self::new(StatusCode::CONFLICT, "backup-exists", detail),
            BackupRefused::Running { .. } => Self::new(StatusCode::CONFLICT, "backup-running", detail),
        }
    }
}

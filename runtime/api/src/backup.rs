//! `/api/v1/backup`: begins a backup below the configured folder and says what the newest one is at. The folder is the
//! operator's choice in the config; a request chooses the last name of the path only.

use crate::app::{App, Shared};
use crate::limits::WRITE_BODY_MAX_BYTES;
use crate::moment;
use crate::parameters::Parameters;
use crate::problem::{Problem, chain, task_failed};
use crate::write::{check_media_type, read_body};
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri};
use bulkhead_engine::{BackupJob, BackupRefused, BackupState, Backups};
use bulkhead_log::BackupStage;
use serde::{Deserialize, Serialize};

/// What a request asks for.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "NewBackup"))]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The last name of its folder.
    #[cfg_attr(test, schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")))]
    name: String,
}

/// What a backup is at.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Backup"))]
pub(crate) struct ShownBackup {
    /// The folder that it makes.
    dir: String,
    /// Its name.
    name: String,
    #[serde(flatten)]
    state: ShownState,
}

/// How far it has got.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
#[serde(tag = "state", rename_all = "lowercase")]
enum ShownState {
    /// It is being made.
    Running {
        /// `copying` or `checking`.
        #[serde(skip_serializing_if = "Option::is_none")]
        stage: Option<&'static str>,
        /// Bytes of the stage that are done.
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes_done: Option<u64>,
        /// Bytes of the stage.
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes_total: Option<u64>,
    },
    /// It is there and was compared with what it is of.
    Done {
        /// Its moment.
        #[cfg_attr(test, schemars(schema_with = "crate::contract::moment"))]
        begun: String,
        /// Its bytes.
        bytes: u64,
        /// Its files.
        files: usize,
        /// The last seq in it.
        last_seq: u64,
        /// The id of the log that it is of.
        log: String,
        /// Readings in it.
        readings: u64,
        /// Segments in it.
        segments: usize,
    },
    /// It is not there.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Begins a backup: `{"name": "…"}`. Answered with 202 at once; ask for its state until it is no longer `running`.
pub(crate) async fn begin(
    state: Shared,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<ShownBackup>), Problem> {
    Parameters::parse(uri.query(), &[])?;
    check_media_type(&headers)?;
    let body = read_body(body, WRITE_BODY_MAX_BYTES).await?;
    let wanted: Wanted = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request("bad-body", format!("expected {{\"name\": \"…\"}}: {error}")))?;
    let backups = backups(&state)?.clone();
    let begun = tokio::task::spawn_blocking(move || backups.begin(&wanted.name));
    let job = begun.await.map_err(|error| task_failed(&error))??;
    Ok((StatusCode::ACCEPTED, Json(shown(&job))))
}

/// The newest backup since the gateway started.
pub(crate) async fn newest(state: Shared, uri: Uri) -> Result<Json<ShownBackup>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let none = || Problem::not_found("no-backup", "no backup was begun since the gateway started");
    backups(&state)?.newest().map(|job| Json(shown(&job))).ok_or_else(none)
}

fn backups(app: &App) -> Result<&Backups, Problem> {
    let nowhere = || Problem::not_found("no-backup", "this gateway makes no backups");
    app.operations.backups.as_ref().ok_or_else(nowhere)
}

fn shown(job: &BackupJob) -> ShownBackup {
    let state = match &job.state {
        BackupState::Running(progress) => ShownState::Running {
            stage: progress.as_ref().map(|progress| match progress.stage {
                BackupStage::Copying => "copying",
                BackupStage::Checking => "checking",
            }),
            bytes_done: progress.as_ref().map(|progress| progress.bytes_done),
            bytes_total: progress.as_ref().map(|progress| progress.bytes_total),
        },
        BackupState::Done(report) => ShownState::Done {
            begun: moment::rfc3339(report.begun.0),
            bytes: report.bytes,
            files: report.files,
            last_seq: report.last_seq,
            log: report.log_id.clone(),
            readings: report.rows,
            segments: report.segments,
        },
        BackupState::Failed(error) => ShownState::Failed { reason: chain(error) },
    };
    ShownBackup { dir: job.dir.to_string_lossy().into_owned(), name: job.name.clone(), state }
}

impl From<BackupRefused> for Problem {
    fn from(refused: BackupRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            BackupRefused::BadName { .. } => Self::bad_request("bad-name", detail),
            BackupRefused::Exists { .. } => Self::new(StatusCode::CONFLICT, "backup-exists", detail),
            BackupRefused::NoRoom { .. } => Self::new(StatusCode::INSUFFICIENT_STORAGE, "no-room", detail),
            BackupRefused::Running { .. } => Self::new(StatusCode::CONFLICT, "backup-running", detail),
        }
    }
}

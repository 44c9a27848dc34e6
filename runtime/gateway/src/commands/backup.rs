//! `bulkhead backup`: through the running gateway where there is one, else directly on the data folder of a stopped one.

use super::client::{ANSWER_MAX, GatewayClient, moment_for_names};
use super::{load_config, log_config};
use crate::cli::BackupArguments;
use crate::console::counted;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_config::Config;
use bulkhead_engine::BackupContents;
use bulkhead_log::{BackupProgress, BackupReport, BackupStage};
use bulkhead_model::printable;
use serde_json::{Value as Json, json};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the running gateway is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How long a backup works before it says how far it is, and how long until it says so again.
const QUIET: Duration = Duration::from_secs(2);

pub(crate) async fn backup(arguments: &BackupArguments) -> Result<(), Exit> {
    let config_file = &arguments.config.config;
    let config = load_config(config_file)?;
    journal::start_quiet();
    let contents = BackupContents::of(&config, config_file)?;
    let default = || format!("{}-{}", config.gateway.name, moment_for_names());
    let name = arguments.name.clone().unwrap_or_else(default);
    let mut made = match through_gateway(&name, &config).await? {
        Some(made) => made,
        None => directly(&name, &config, &contents).await?,
    };
    let elsewhere = contents.elsewhere.iter().map(|(named, name)| json!({ "named": named, "name": name }));
    made["files_elsewhere"] = elsewhere.collect();
    made["secrets_elsewhere"] = json!(contents.config.references);
    made["secrets_covered"] = contents.config.inline.into();
    match arguments.json {
        true => console::say_json(&made)?,
        false => console::say_lines(&sentences(&made)),
    }
    Ok(())
}

/// Has the running gateway make it. None: no gateway runs at the config's address.
async fn through_gateway(name: &str, config: &Config) -> Result<Option<Json>, Exit> {
    let client = GatewayClient::new(config, ANSWER_MAX)?;
    let Some(begun) = client.post("/api/v1/backup", &json!({ "name": name })).await? else { return Ok(None) };
    begun.done()?;
    let mut teller = Teller::new();
    loop {
        let gone = || Exit::failed("the gateway ended while it made the backup; there is none");
        let job = client.get("/api/v1/backup").await?.ok_or_else(gone)?.done()?;
        if job["name"] != name {
            return Err(Exit::failed("the gateway was started anew while it made the backup; there is none"));
        }
        match job["state"].as_str() {
            Some("running") => {
                let bytes = |member: &str| job[member].as_u64().unwrap_or(0);
                teller.tell(job["stage"].as_str().unwrap_or("waiting"), bytes("bytes_done"), bytes("bytes_total"));
            }
            Some("done") => return Ok(Some(job)),
            _ => {
                let reason = job["reason"].as_str().unwrap_or("without a reason");
                return Err(Exit::failed(format!("no backup was made: {reason}")));
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Opens the log of a gateway that does not run, and makes a backup of it.
async fn directly(name: &str, config: &Config, contents: &BackupContents) -> Result<Json, Exit> {
    console::note("no gateway runs at the config's api.listen; opening its log directly");
    refuse_foreign_folder(&config.data_dir())?;
    let dir = destination(name, config)?;
    let (settings, files) = (log_config(config), contents.files.clone());
    let work = tokio::task::spawn_blocking(move || {
        let log = settings.open()?;
        if let Err(refused) = bulkhead_engine::check_room(&dir, &log) {
            return Ok((log, Err(Exit::from(refused))));
        }
        let mut teller = Teller::new();
        let made = log.backup_to(&dir, &files, &mut |progress| teller.tell_progress(progress));
        Ok::<_, bulkhead_log::LogError>((log, made.map_err(Exit::from)))
    });
    let (log, made) = work.await??;
    log.close().await?;
    Ok(shown(name, &made?))
}

/// Where a name leads: below the backup folder. With no gateway running a path is good, too.
fn destination(name: &str, config: &Config) -> Result<PathBuf, Exit> {
    let dir = if name.contains('/') { PathBuf::from(name) } else { config.backup_dir().join(name) };
    match dir.file_name() {
        Some(last) if !name.ends_with(".partial") && last != ".." => Ok(dir),
        _ => Err(Exit::failed(format!("{name:?} is no name for a backup"))),
    }
}

/// What this process writes in the data folder would belong to its user, and the gateway's could not open it any more.
pub(super) fn refuse_foreign_folder(data_dir: &Path) -> Result<(), Exit> {
    let (Ok(folder), Ok(own)) = (std::fs::metadata(data_dir), std::fs::metadata("/proc/self")) else { return Ok(()) };
    if folder.uid() == own.uid() {
        return Ok(());
    }
    Err(Exit::failed(format!(
        "{} belongs to user {}, this is user {}: run this as that user, for example with `sudo -u bulkhead`",
        data_dir.display(),
        folder.uid(),
        own.uid()
    )))
}

/// A backup as the API shows it.
fn shown(name: &str, made: &BackupReport) -> Json {
    json!({
        "name": name,
        "dir": made.dir,
        "state": "done",
        "log": made.log_id,
        "begun": super::poll::time(made.begun),
        "last_seq": made.last_seq,
        "readings": made.rows,
        "segments": made.segments,
        "files": made.files,
        "bytes": made.bytes,
    })
}

fn sentences(made: &Json) -> String {
    let text = |member: &str| made[member].as_str().unwrap_or_default().to_owned();
    let number = |member: &str| made[member].as_u64().unwrap_or(0);
    let mut lines = vec![
        format!("{}: whole, read back and compared", text("dir")),
        format!(
            "  {} up to seq {} in {} of log {}; {} in {}",
            counted(number("readings"), "reading"),
            number("last_seq"),
            counted(number("segments"), "segment"),
            text("log"),
            megabytes(number("bytes")),
            counted(number("files"), "file")
        ),
    ];
    for file in made["files_elsewhere"].as_array().into_iter().flatten() {
        let part = |member: &str| file[member].as_str().unwrap_or_default();
        lines.push(format!("  {} is in it as {}", part("named"), part("name")));
    }
    for reference in made["secrets_elsewhere"].as_array().into_iter().flatten() {
        lines.push(format!("  not in it, keep it elsewhere: the secret in {}", reference.as_str().unwrap_or_default()));
    }
    if number("secrets_covered") > 0 {
        let covered = counted(number("secrets_covered"), "secret");
        lines.push(format!("  not in it, covered in its copy of the config: {covered} of the config itself"));
    }
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}

/// Bytes for people.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Says on stderr how far something is, once it takes long.
pub(super) struct Teller {
    next: Instant,
}

impl Teller {
    pub(super) fn new() -> Self {
        Self { next: Instant::now() + QUIET }
    }

    pub(super) fn tell_progress(&mut self, progress: BackupProgress) -> ControlFlow<()> {
        let stage = match progress.stage {
            BackupStage::Copying => "copying",
            BackupStage::Checking => "checking",
        };
        self.tell(stage, progress.bytes_done, progress.bytes_total);
        ControlFlow::Continue(())
    }

    fn tell(&mut self, stage: &str, done: u64, total: u64) {
        if Instant::now() >= self.next {
            console::note(&format!("{stage} … {} of {}", megabytes(done), megabytes(total)));
            self.next = Instant::now() + QUIET;
        }
    }
}

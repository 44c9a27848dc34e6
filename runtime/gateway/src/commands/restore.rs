//! `bulkhead restore`: checks a backup and makes a log of it in the data folder of a gateway that is stopped.

use super::backup::{Teller, megabytes, refuse_foreign_folder};
use crate::cli::RestoreArguments;
use crate::console::counted;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_log::{BackupReport, LogError, Restore, Restored, verify_backup};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

pub(crate) async fn restore(arguments: &RestoreArguments) -> Result<(), Exit> {
    journal::start_quiet();
    let backup = arguments.backup.clone();
    let Some(data_dir) = arguments.to.clone() else {
        let check = move || {
            let mut teller = Teller::new();
            verify_backup(&backup, &mut |progress| teller.tell_progress(progress))
        };
        let checked = tokio::task::spawn_blocking(check).await??;
        return print(arguments, &held(&checked), &[whole(&checked)]);
    };
    if data_dir.is_dir() {
        refuse_foreign_folder(&data_dir)?;
    }
    std::fs::create_dir_all(&data_dir)
        .map_err(|error| Exit::failed(format!("the folder {} cannot be made: {error}", data_dir.display())))?;
    let config = match &arguments.config_to {
        Some(to) => files_to_put(&arguments.backup.join("config"), to)?,
        None => Vec::new(),
    };
    let how = Restore { replace: arguments.replace, continue_after: arguments.continue_after };
    let target = data_dir.join("log");
    let work = move || {
        let mut teller = Teller::new();
        bulkhead_log::restore(&backup, &target, how, &mut |progress| teller.tell_progress(progress))
    };
    let restored = tokio::task::spawn_blocking(work).await?.map_err(|error| match error {
        LogError::Occupied { .. } => Exit::failed(format!("{error}: `--replace` does that")),
        error => error.into(),
    })?;
    put(&config)?;
    let put: Vec<&Path> = config.iter().map(|(_, to)| to.as_path()).collect();
    let mut outcome = done(&restored);
    outcome["config"] = json!(put);
    print(arguments, &outcome, &sentences(arguments, &restored, &put))
}

/// What is to be copied where; refuses before anything is done when one of the files is there already.
fn files_to_put(from: &Path, to: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Exit> {
    let failed = |dir: &Path, error| Exit::failed(format!("the folder {} cannot be read: {error}", dir.display()));
    let mut files = Vec::new();
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = folders.pop() {
        for entry in std::fs::read_dir(&from).map_err(|error| failed(&from, error))? {
            let entry = entry.map_err(|error| failed(&from, error))?;
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push((entry.path(), target));
            } else if target.symlink_metadata().is_ok() {
                let is_there = format!("{} is there already and is not replaced: nothing was done", target.display());
                return Err(Exit::failed(is_there));
            } else {
                files.push((entry.path(), target));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn put(files: &[(PathBuf, PathBuf)]) -> Result<(), Exit> {
    for (from, to) in files {
        let copied = to.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::copy(from, to));
        copied.map_err(|error| {
            Exit::failed(format!("the log is restored, but {} cannot be written: {error}", to.display()))
        })?;
    }
    Ok(())
}

fn print(arguments: &RestoreArguments, outcome: &Json, sentences: &[String]) -> Result<(), Exit> {
    match arguments.json {
        true => console::say_json(outcome)?,
        false => sentences.iter().for_each(|sentence| console::say(sentence)),
    }
    Ok(())
}

fn whole(backup: &BackupReport) -> String {
    format!(
        "{}: whole: {} up to seq {} in {} of log {}, begun {}; {} in {}",
        backup.dir.display(),
        counted(backup.rows, "reading"),
        backup.last_seq,
        counted(backup.segments as u64, "segment"),
        backup.log_id,
        super::poll::time(backup.begun),
        megabytes(backup.bytes),
        counted(backup.files as u64, "file")
    )
}

fn sentences(arguments: &RestoreArguments, restored: &Restored, put: &[&Path]) -> Vec<String> {
    let mut lines = vec![
        whole(&restored.backup),
        format!(
            "{}: restored as log {}; its next reading is seq {}",
            restored.dir.display(),
            restored.log_id,
            restored.next_seq
        ),
    ];
    if let Some(aside) = &restored.set_aside {
        lines.push(format!("  the log that was there is now {}", aside.display()));
    }
    lines.extend(put.iter().map(|file| format!("  put back: {}", file.display())));
    if !put.is_empty() {
        lines.push(
            "  no secret is in it: put back the files that hold them, and those that are `*` in the config".to_owned(),
        );
    }
    let left: &[&str] = if put.is_empty() { &["config", "adapters"] } else { &["adapters"] };
    let beside = left.iter().map(|name| arguments.backup.join(name));
    for dir in beside.filter(|dir| dir.is_dir()) {
        lines.push(format!("  left where it is, take from it what you need: {}", dir.display()));
    }
    lines
}

fn held(backup: &BackupReport) -> Json {
    json!({
        "dir": backup.dir,
        "log": backup.log_id,
        "begun": super::poll::time(backup.begun),
        "last_seq": backup.last_seq,
        "readings": backup.rows,
        "segments": backup.segments,
        "files": backup.files,
        "bytes": backup.bytes,
    })
}

fn done(restored: &Restored) -> Json {
    json!({
        "backup": held(&restored.backup),
        "dir": restored.dir,
        "log": restored.log_id,
        "next_seq": restored.next_seq,
        "set_aside": restored.set_aside,
    })
}

//! `bulkhead restore`: checks a backup and makes a log of it in the data folder of a gateway that is stopped.

use super::backup::{Teller, megabytes, refuse_foreign_folder};
use crate::cli::RestoreArguments;
use crate::console::counted;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_log::{BackupReport, Restore, Restored, verify_backup};
use serde_json::{Value as Json, json};
use std::path::Path;

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
    let how = Restore { replace: arguments.replace, continue_after: arguments.continue_after };
    let target = data_dir.join("log");
    let work = move || {
        let mut teller = Teller::new();
        bulkhead_log::restore(&backup, &target, how, &mut |progress| teller.tell_progress(progress))
    };
    let restored = tokio::task::spawn_blocking(work).await??;
    print(arguments, &done(&restored), &sentences(arguments, &restored))
}

fn print(arguments: &RestoreArguments, outcome: &Json, sentences: &[String]) -> Result<(), Exit> {
    match arguments.json {
        true => console::say(&serde_json::to_string_pretty(outcome)?),
        false => console::say(&sentences.join("\n")),
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

fn sentences(arguments: &RestoreArguments, restored: &Restored) -> Vec<String> {
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
    let beside = ["config", "adapters"].map(|name| arguments.backup.join(name));
    let beside: Vec<&Path> = beside.iter().map(|dir| dir.as_path()).filter(|dir| dir.is_dir()).collect();
    for dir in beside {
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

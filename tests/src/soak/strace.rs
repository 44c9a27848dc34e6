//! Killing the gateway at one exact system call, with strace and no change in the gateway: `inject=…:signal=KILL:when=N`
//! kills a process as one of its threads enters its Nth call of that name. Which file it was about to touch is the last
//! thing strace writes.

use crate::programs::program;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::Path;

/// Sealed segments of which one is to be removed: the oldest go first.
const SEALED_MAX: usize = 3;

/// A system call at which to kill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aim {
    call: &'static str,
    /// The gateway is killed at one of these calls of a thread, counted from 1.
    pub(crate) range: RangeInclusive<u64>,
    /// The files the call must be about; none: any.
    names: Vec<String>,
}

/// Where in its work the log was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Site {
    /// While a segment was made: its file is there, its tables are not.
    Create,
    /// As rows were written to the open segment's WAL.
    Append,
    /// As they were synced.
    Commit,
    /// While a segment was sealed, before it counts.
    Seal,
    /// As the sealed segment got its name.
    Rename,
    /// While state.db was written: a cursor, the bounds of a batch, the reservation of seqs.
    Cursor,
    /// As the open twin of a sealed segment was removed.
    Twin,
    /// As a sealed segment was removed for the quota.
    Drop,
}

impl Site {
    pub(crate) const ALL: [Site; 8] =
        [Site::Create, Site::Append, Site::Commit, Site::Seal, Site::Rename, Site::Cursor, Site::Twin, Site::Drop];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Site::Create => "create",
            Site::Append => "append",
            Site::Commit => "commit",
            Site::Seal => "seal",
            Site::Rename => "rename",
            Site::Cursor => "cursor",
            Site::Twin => "twin",
            Site::Drop => "drop",
        }
    }

    /// The system call to wait for, and on which of the log's files: at the start of a life some of them are known.
    pub(crate) fn aim(self, log: &[String]) -> Aim {
        let open = log.iter().filter_map(|name| name.strip_suffix(".open.db"));
        let named = |suffix: &str| open.clone().map(|start| format!("{start}{suffix}")).collect();
        let (call, range, names) = match self {
            // The name of the next segment is not known. The thread that starts the gateway truncates the shared memory
            // of at most two databases; the third is that of a new segment.
            Site::Create => ("ftruncate", 3..=4, Vec::new()),
            Site::Commit => ("fsync", 8..=50, Vec::new()),
            // Whether the newest segment goes on or a new one begins is not known; fewer such calls are made at the start.
            Site::Append => ("pwrite64", 100..=600, Vec::new()),
            Site::Seal => ("pwrite64", 1..=200, named(".tmp")),
            Site::Rename => ("rename", 1..=3, Vec::new()),
            Site::Cursor => ("pwrite64", 1..=40, vec!["state.db-wal".to_owned()]),
            Site::Twin => ("unlink", 1..=1, named(".open.db")),
            Site::Drop => {
                let sealed = log.iter().filter(|name| is_sealed(name)).take(SEALED_MAX);
                ("unlink", 1..=1, sealed.cloned().collect())
            }
        };
        Aim { call, range, names }
    }

    /// Where the gateway was when it was killed, by what strace wrote; none: elsewhere, or it was not killed by strace.
    pub(crate) fn hit(trace: &str) -> Option<Site> {
        // The call that was killed has no result; calls of other threads that end with it were `resumed`.
        let killed = trace.lines().rfind(|line| line.ends_with("= ?") && !line.contains("resumed"))?;
        let call = killed.split_whitespace().nth(1)?.split('(').next()?;
        let name = file_name(killed)?;
        let is_open = name.starts_with("seg-") && name.contains(".open.db");
        Some(match (call, name) {
            ("rename", _) => Site::Rename,
            ("pwrite64" | "fsync" | "fdatasync", name) if name.starts_with("state.db") => Site::Cursor,
            (_, name) if name.ends_with(".open.db-journal") => Site::Create,
            ("ftruncate", name) if name.ends_with(".open.db-shm") => Site::Create,
            ("fsync" | "fdatasync", _) if is_open => Site::Commit,
            ("pwrite64", _) if is_open => Site::Append,
            ("unlink", _) if is_open => Site::Twin,
            ("unlink", name) if is_sealed(name) => Site::Drop,
            ("pwrite64" | "fsync", name) if name.ends_with(".tmp") => Site::Seal,
            _ => return None,
        })
    }
}

/// The name of the file a call is about: between `<` and `>` behind a descriptor, or in quotes.
fn file_name(call: &str) -> Option<&str> {
    let start = call.find(['<', '"'])?;
    call[start + 1..].split(['>', '"']).next()?.rsplit('/').next()
}

fn is_sealed(name: &str) -> bool {
    name.starts_with("seg-") && name.ends_with(".db") && !name.ends_with(".open.db")
}

/// What to put before the gateway's command so that strace kills it as one of its threads enters the `nth` such call.
pub(crate) fn killing(aim: &Aim, nth: u64, log: &Path, trace: &Path) -> Result<Vec<OsString>> {
    let Aim { call, names, .. } = aim;
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let mut words = words(&["-e", &format!("trace={call}"), "-e", &inject], trace)?;
    words.extend(names.iter().flat_map(|name| [OsString::from("-P"), log.join(name).into_os_string()]));
    Ok(words)
}

/// What to put before it so that strace writes these calls down.
pub(crate) fn watching(calls: &str, trace: &Path) -> Result<Vec<OsString>> {
    words(&["--seccomp-bpf", "-e", &format!("trace={calls}")], trace)
}

fn words(options: &[&str], trace: &Path) -> Result<Vec<OsString>> {
    let strace = program("strace").context("strace kills and watches the gateway")?;
    // With -D strace is not the parent: the process that was started becomes the gateway.
    let fixed = ["-D", "-f", "-y", "-qqq", "-e", "signal=none", "-o"].map(OsString::from);
    let options = options.iter().map(OsString::from);
    Ok([strace.into_os_string()]
        .into_iter()
        .chain(fixed)
        .chain([trace.as_os_str().to_owned()])
        .chain(options)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_that_was_killed_tells_the_place() {
        let place = |call: &str| {
            let before = "77 pwrite64(9</d/log/state.db-wal>, \"x\", 1, 0) = 1\n";
            Site::hit(&format!("{before}{call} = ?\n78 <... fdatasync resumed>) = ?\n77 +++ killed by SIGKILL +++\n"))
        };
        let open = "/d/log/seg-00000000000000000001.open.db";
        let sealed = "/d/log/seg-00000000000000000001-00000000000000001000.db";
        for (call, expected) in [
            (format!("77 unlink(\"{open}-journal\")"), Some(Site::Create)),
            (format!("77 ftruncate(11<{open}-shm>, 3)"), Some(Site::Create)),
            (format!("77 pwrite64(11<{open}-wal>, \"a\"..., 4096, 32)"), Some(Site::Append)),
            (format!("77 fsync(11<{open}-wal>)"), Some(Site::Commit)),
            ("77 fsync(11</d/log/seg-00000000000000000001.tmp>)".to_owned(), Some(Site::Seal)),
            (format!("77 rename(\"/d/log/seg-1.tmp\", \"{sealed}\")"), Some(Site::Rename)),
            ("77 pwrite64(11</d/log/state.db-wal>, \"\"..., 24, 0)".to_owned(), Some(Site::Cursor)),
            (format!("77 unlink(\"{open}-wal\")"), Some(Site::Twin)),
            (format!("77 unlink(\"{sealed}\")"), Some(Site::Drop)),
            ("77 unlink(\"/d/run.lock\")".to_owned(), None),
        ] {
            assert_eq!(place(&call), expected, "{call}");
        }
        assert_eq!(Site::hit("77 rename(\"a\", \"b\") = 0\n"), None);
    }

    #[test]
    fn files_that_are_known_are_aimed_at() {
        let log: Vec<String> =
            ["seg-1-9.db", "seg-10.open.db", "seg-10.open.db-wal", "state.db"].map(str::to_owned).to_vec();
        assert_eq!(Site::Seal.aim(&log).names, ["seg-10.tmp"]);
        assert_eq!(Site::Twin.aim(&log).names, ["seg-10.open.db"]);
        assert_eq!(Site::Drop.aim(&log).names, ["seg-1-9.db"]);
        assert!(Site::Create.aim(&log).names.is_empty());
    }
}

//! A disk as a power cut leaves it: what was synced is there; of everything else any part may be, in any order, in sectors
//! of 512 bytes.
//!
//! Nothing is taken for granted that no call asked for: a synced file whose entry in its folder was not synced may have no
//! name, a rename may be lost or come before the content, files and folders know no order among each other. Only a file's
//! own synced writes keep theirs, and a rename is whole or not at all.

use super::trace::Call;
use super::trials::Numbers;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Bytes that a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// How a file's content changes.
#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A change between two lines of the trace.
#[derive(Debug)]
struct Timed<T> {
    began: usize,
    ended: usize,
    what: T,
}

/// A file, whatever its names.
#[derive(Debug, Default)]
struct File {
    before: Vec<u8>,
    changes: Vec<Timed<Change>>,
    syncs: Vec<(usize, usize)>,
}

/// How a folder changes; names are relative to the log's folder.
#[derive(Debug)]
enum Entry {
    Named { name: String, file: usize },
    Renamed { from: String, to: String, file: usize },
    Removed { name: String, file: usize },
    Folder { name: String },
}

impl Entry {
    /// The folder it is in.
    fn folder(&self) -> String {
        let (Self::Named { name, .. }
        | Self::Removed { name, .. }
        | Self::Folder { name }
        | Self::Renamed { to: name, .. }) = self;
        name.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned())
    }
}

/// Everything that happened to a folder, and what was said meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    before: BTreeMap<String, usize>,
    entries: Vec<Timed<Entry>>,
    folder_syncs: HashMap<String, Vec<(usize, usize)>>,
    /// Lines of the trace at which something became durable or got another name.
    pub(crate) moments: Vec<usize>,
    /// What was said, with the line at which it was.
    pub(crate) said: Vec<(usize, String)>,
    pub(crate) lines: usize,
}

/// What of the things that were not synced is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    Nothing,
    All,
    /// What ended before a line.
    Until(usize),
    /// Of names nothing, of contents all.
    Contents,
    /// Of contents nothing, of names all.
    Names,
    /// Some of it.
    Some,
    /// Some of it, in sectors.
    Torn,
}

/// Who has which file open at which place.
#[derive(Debug)]
enum Open {
    File { file: usize, at: usize },
    Folder(String),
    Words,
}

impl Disk {
    /// What calls did to a folder that was as a copy of it says; what they wrote to `words` is what was said.
    pub(crate) fn of(calls: &[Call], dir: &Path, copy: &Path, words: &Path) -> Self {
        let mut disk = Self { lines: calls.iter().map(|call| call.ended).max().unwrap_or(0), ..Self::default() };
        disk.take_in(copy, "");
        let mut names = disk.before.clone();
        let mut open: HashMap<i64, Open> = HashMap::new();
        for call in calls {
            disk.note(call, dir, words, &mut names, &mut open);
        }
        disk
    }

    fn take_in(&mut self, copy: &Path, folder: &str) {
        for entry in std::fs::read_dir(copy).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                self.entries.push(Timed { began: 0, ended: 0, what: Entry::Folder { name: name.clone() } });
                self.folder_syncs.entry(folder.trim_end_matches('/').to_owned()).or_default().push((1, 1));
                self.take_in(&entry.path(), &format!("{name}/"));
            } else {
                self.before.insert(name, self.files.len());
                self.files.push(File { before: std::fs::read(entry.path()).unwrap(), ..File::default() });
            }
        }
    }

    fn note(
        &mut self,
        call: &Call,
        dir: &Path,
        words: &Path,
        names: &mut BTreeMap<String, usize>,
        open: &mut HashMap<i64, Open>,
    ) {
        let inside = |path: &str| -> Option<String> {
            Some(Path::new(path).strip_prefix(dir).ok()?.to_str().unwrap().to_owned())
        };
        match call.name.as_str() {
            "openat" | "open" => {
                let at = usize::from(call.name == "openat");
                let (path, flags) = (call.path(at), call.word(at + 1));
                assert!(
                    !open.contains_key(&call.result),
                    "what was open there was closed without our knowing: {call:?}"
                );
                if Path::new(path) == words {
                    open.insert(call.result, Open::Words);
                } else if let Some(name) = inside(path) {
                    let opened = self.opened(call, name, flags, names, &dir.join(path));
                    open.insert(call.result, opened);
                }
            }
            "close" => drop(open.remove(&call.number(0))),
            "pwrite64" | "write" => {
                let bytes = call.bytes(1)[..usize::try_from(call.result).unwrap()].to_vec();
                match open.get_mut(&call.number(0)) {
                    Some(Open::Words) => {
                        let text = String::from_utf8(bytes).unwrap();
                        self.said.extend(text.lines().map(|line| (call.began, line.to_owned())));
                    }
                    Some(Open::File { file, at }) => {
                        let place =
                            if call.name == "pwrite64" { usize::try_from(call.number(3)).unwrap() } else { *at };
                        *at = if call.name == "write" { place + bytes.len() } else { *at };
                        self.changed(call, *file, Change::Write { at: place, bytes });
                    }
                    _ => {}
                }
            }
            "ftruncate" => {
                if let Some(Open::File { file, .. }) = open.get(&call.number(0)) {
                    self.changed(call, *file, Change::Length(usize::try_from(call.number(1)).unwrap()));
                }
            }
            "fallocate" => {
                if let Some(Open::File { file, .. }) = open.get(&call.number(0)) {
                    // It makes a file longer, never shorter; the bytes are zeros.
                    let length = usize::try_from(call.number(2) + call.number(3)).unwrap();
                    self.changed(call, *file, Change::Write { at: length.saturating_sub(1), bytes: vec![0] });
                }
            }
            "fsync" | "fdatasync" => match open.get(&call.number(0)) {
                Some(Open::File { file, .. }) => {
                    self.files[*file].syncs.push((call.began, call.ended));
                    self.moments.push(call.ended);
                }
                Some(Open::Folder(name)) => {
                    self.folder_syncs.entry(name.clone()).or_default().push((call.began, call.ended));
                    self.moments.push(call.ended);
                }
                _ => {}
            },
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = if call.name == "rename" { (0, 1) } else { (1, 3) };
                if let (Some(from), Some(to)) = (inside(call.path(from)), inside(call.path(to))) {
                    let file = names.remove(&from).unwrap();
                    names.insert(to.clone(), file);
                    self.named(call, Entry::Renamed { from, to, file });
                }
            }
            "link" | "linkat" => {
                let (from, to) = if call.name == "link" { (0, 1) } else { (1, 3) };
                if let (Some(from), Some(name)) = (inside(call.path(from)), inside(call.path(to))) {
                    let file = names[&from];
                    names.insert(name.clone(), file);
                    self.named(call, Entry::Named { name, file });
                }
            }
            "unlink" | "unlinkat" => {
                if let Some(name) = inside(call.path(usize::from(call.name == "unlinkat"))) {
                    let file = names.remove(&name).unwrap();
                    self.named(call, Entry::Removed { name, file });
                }
            }
            "mkdir" | "mkdirat" => {
                if let Some(name) = inside(call.path(usize::from(call.name == "mkdirat"))) {
                    self.named(call, Entry::Folder { name });
                }
            }
            other => {
                let is_ours = call.arguments.iter().any(|argument| match argument {
                    super::trace::Argument::Word(word) => {
                        word.parse().is_ok_and(|fd: i64| matches!(open.get(&fd), Some(Open::File { .. })))
                    }
                    super::trace::Argument::Bytes(_) => false,
                });
                assert!(!is_ours, "the model knows no {other}: {call:?}");
            }
        }
    }

    fn opened(
        &mut self,
        call: &Call,
        name: String,
        flags: &str,
        names: &mut BTreeMap<String, usize>,
        path: &Path,
    ) -> Open {
        if let Some(file) = names.get(&name) {
            if flags.contains("O_TRUNC") {
                self.changed(call, *file, Change::Length(0));
            }
            return Open::File { file: *file, at: 0 };
        }
        if !flags.contains("O_CREAT") {
            // What is there and was never made as a file is a folder.
            let _ = path;
            return Open::Folder(name);
        }
        let file = self.files.len();
        self.files.push(File::default());
        names.insert(name.clone(), file);
        self.named(call, Entry::Named { name, file });
        Open::File { file, at: 0 }
    }

    fn changed(&mut self, call: &Call, file: usize, what: Change) {
        self.files[file].changes.push(Timed { began: call.began, ended: call.ended, what });
    }

    fn named(&mut self, call: &Call, what: Entry) {
        self.moments.push(call.ended);
        self.entries.push(Timed { began: call.began, ended: call.ended, what });
    }

    /// Makes a folder as the disk would have it if the power went at a line.
    pub(crate) fn write_image(&self, cut: usize, kept: Kept, numbers: &mut Numbers, target: &Path) {
        for (name, file) in self.names_at(cut, kept, numbers) {
            let path: PathBuf = target.join(&name);
            match file {
                None => std::fs::create_dir_all(&path).unwrap(),
                // What is not in the trace: a mapping. Rubbish is the worst that may be there.
                Some(_) if name.ends_with("-shm") => {
                    let rubbish: Vec<u8> = (0..32_768 / 8).flat_map(|_| numbers.next().to_le_bytes()).collect();
                    std::fs::write(&path, rubbish).unwrap();
                }
                Some(file) => std::fs::write(&path, self.content_at(file, cut, kept, numbers)).unwrap(),
            }
        }
    }

    fn names_at(&self, cut: usize, kept: Kept, numbers: &mut Numbers) -> BTreeMap<String, Option<usize>> {
        let mut names: BTreeMap<String, Option<usize>> =
            self.before.iter().map(|(name, file)| (name.clone(), Some(*file))).collect();
        for entry in self.entries.iter().filter(|entry| entry.began <= cut) {
            let synced = synced_before(self.folder_syncs.get(&entry.what.folder()).map_or(&[], Vec::as_slice), cut);
            let is_kept = entry.ended < synced || self.keeps(entry.ended, cut, kept, true, numbers);
            if !is_kept {
                continue;
            }
            match &entry.what {
                Entry::Named { name, file } => drop(names.insert(name.clone(), Some(*file))),
                Entry::Renamed { from, to, file } => {
                    if names.get(from) == Some(&Some(*file)) {
                        names.remove(from);
                    }
                    names.insert(to.clone(), Some(*file));
                }
                Entry::Removed { name, file } => {
                    if names.get(name) == Some(&Some(*file)) {
                        names.remove(name);
                    }
                }
                Entry::Folder { name } => drop(names.insert(name.clone(), None)),
            }
        }
        // What is in a folder that is not there is not there either.
        let folders: Vec<String> =
            names.iter().filter(|(_, file)| file.is_none()).map(|(name, _)| name.clone()).collect();
        names.retain(|name, _| {
            name.rsplit_once('/').is_none_or(|(folder, _)| folders.iter().any(|there| there == folder))
        });
        names
    }

    fn content_at(&self, file: usize, cut: usize, kept: Kept, numbers: &mut Numbers) -> Vec<u8> {
        let File { before, changes, syncs } = &self.files[file];
        let synced = synced_before(syncs, cut);
        let mut content = before.clone();
        for change in changes.iter().filter(|change| change.began <= cut) {
            let is_durable = change.ended < synced;
            match &change.what {
                Change::Length(length) if is_durable || self.keeps(change.ended, cut, kept, false, numbers) => {
                    content.resize(*length, 0);
                }
                Change::Length(_) => {}
                Change::Write { at, bytes } if !is_durable && kept == Kept::Torn => {
                    for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if numbers.below(2) == 0 {
                            put(&mut content, at + index * SECTOR_BYTES, sector);
                        }
                    }
                }
                Change::Write { at, bytes } => {
                    if is_durable || self.keeps(change.ended, cut, kept, false, numbers) {
                        put(&mut content, *at, bytes);
                    }
                }
            }
        }
        content
    }

    /// Whether something that was not synced is there all the same.
    fn keeps(&self, ended: usize, cut: usize, kept: Kept, is_name: bool, numbers: &mut Numbers) -> bool {
        match kept {
            Kept::Nothing => false,
            Kept::All => true,
            Kept::Until(line) => ended <= line.min(cut),
            Kept::Contents => !is_name,
            Kept::Names => is_name,
            Kept::Some | Kept::Torn => numbers.below(2) == 0,
        }
    }
}

/// The line before which everything is durable at a cut: where the last sync began that had ended by then.
fn synced_before(syncs: &[(usize, usize)], cut: usize) -> usize {
    syncs.iter().filter(|(_, ended)| *ended <= cut).map(|(began, _)| *began).max().unwrap_or(0)
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

//! `tidy`: the rules of the house that no compiler checks. Each rule is a function from texts to complaints, in a file
//! of its own; here the checkout is read and the complaints are printed.

mod decisions;
mod edges;
mod headers;
mod libraries;
mod links;
mod manifest;
mod unsafe_code;
mod wit;
mod wit_release;

use crate::{process, repository, wit_docs};
use anyhow::{Context, Result, bail, ensure};
use manifest::{Manifest, WorkspaceDependencies};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: [&str; 4] = ["target", ".git", "node_modules", "__pycache__"];

/// The command.
pub(crate) fn run() -> Result<()> {
    process::step("tidy: the rules of the house", check)
}

/// Checks all rules and prints every complaint.
pub(crate) fn check() -> Result<()> {
    let root = repository::root();
    let files = Files::under(&root)?;
    let mut complaints = manifest_complaints(&root, &files)?;
    complaints.extend(source_complaints(&files)?);
    complaints.extend(document_complaints(&root, &files)?);
    complaints.extend(wit::check(&root.join("wit"))?);
    complaints.extend(wit_release::check(&root.join("wit"))?);
    complaints.extend(wit_docs::check(&root)?);
    for complaint in &complaints {
        process::say(&format!("    {complaint}"));
    }
    if !complaints.is_empty() {
        bail!("the rules of the house are broken in {} places, named above", complaints.len());
    }
    Ok(())
}

/// Import edges and library ownership, from the manifests of both workspaces.
fn manifest_complaints(root: &Path, files: &Files) -> Result<Vec<String>> {
    let host = WorkspaceDependencies::parse(&read(&root.join("Cargo.toml"))?).context("Cargo.toml")?;
    let guests = WorkspaceDependencies::parse(&read(&root.join("guest-adapters/Cargo.toml"))?)
        .context("guest-adapters/Cargo.toml")?;
    let mut complaints = Vec::new();
    let mut seen = 0;
    for path in files.named("Cargo.toml") {
        let shown = files.shown(path);
        let of_guests = shown.starts_with("guest-adapters");
        let text = read(path)?;
        let Some(manifest) = Manifest::parse(&text, if of_guests { &guests } else { &host }).context(shown.clone())?
        else {
            continue;
        };
        seen += 1;
        if of_guests {
            complaints.extend(edges::check_guest(
                &manifest,
                path.parent().unwrap_or(root),
                &root.join("guest-adapters"),
            ));
        } else {
            complaints.extend(edges::check(&manifest).into_iter().chain(libraries::check(&manifest)));
        }
    }
    ensure!(seen > 0, "no package found in {}", root.display());
    Ok(complaints)
}

/// File headers and lengths.
fn source_complaints(files: &Files) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for path in files.all.iter().filter(|path| headers::is_source(path)) {
        let (shown, text) = (files.shown(path), read(path)?);
        complaints.extend(headers::check_header(&shown, &text));
        complaints.extend(unsafe_code::check(&shown, &text));
        match headers::check_length(&shown, &text) {
            headers::Length::Fine => {}
            headers::Length::Long(warning) => process::say(&format!("    warning: {warning}")),
            headers::Length::TooLong(complaint) => complaints.push(complaint),
        }
    }
    Ok(complaints)
}

/// Links in documents, and the form of decisions.
fn document_complaints(root: &Path, files: &Files) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let decisions_folder = root.join("docs/decisions");
    let mut decisions_seen = Vec::new();
    for path in files.all.iter().filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let (shown, text) = (files.shown(path), read(path)?);
        complaints.extend(links::check(&shown, &text, path.parent().unwrap_or(root)));
        if path.parent() == Some(&decisions_folder) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            complaints.extend(decisions::check(&name, &text));
            decisions_seen.push(name);
        }
    }
    complaints.extend(decisions::check_numbers(&decisions_seen));
    Ok(complaints)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// All files of the checkout, in order.
struct Files {
    root: PathBuf,
    all: Vec<PathBuf>,
}

impl Files {
    fn under(root: &Path) -> Result<Self> {
        let mut all = Vec::new();
        collect(root, &mut all)?;
        all.sort();
        Ok(Self { root: root.to_path_buf(), all })
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a PathBuf> {
        self.all.iter().filter(move |path| path.file_name().is_some_and(|file| file == name))
    }

    /// A path as complaints show it: from the root on.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() {
            into.push(entry.path());
        } else if kind.is_dir() && !SKIPPED_FOLDERS.iter().any(|skipped| entry.file_name() == *skipped) {
            collect(&entry.path(), into)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_folders_are_not_looked_at() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["src", "target"] {
            fs::create_dir(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("a.rs"), "").unwrap();
        }
        let files = Files::under(root.path()).unwrap();
        let shown: Vec<_> = files.all.iter().map(|path| files.shown(path)).collect();
        assert_eq!(shown, ["src/a.rs"]);
    }
}

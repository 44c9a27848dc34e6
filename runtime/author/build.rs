//! Puts the SDK and the WIT package into the program, so that an adapter's project can be made far from this repository.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the crate is in the repository");
    let mut files = Vec::new();
    for (folder, into) in [
        ("wit", "wit"),
        ("guest-adapters/sdk/src", "rust/sdk/src"),
        ("guest-adapters/sdk/examples", "rust/sdk/examples"),
    ] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        collect(&root.join(folder), into, &mut files);
    }
    files.sort();
    let mut list = String::from("&[\n");
    for (into, file) in files {
        writeln!(list, "    ({into:?}, include_str!({:?})),", file.display().to_string())
            .expect("a text takes everything");
    }
    list.push(']');
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("embedded.rs"), list).expect("cargo's own folder can be written to");
}

/// Every file below a folder, with the place it gets in a project.
fn collect(folder: &Path, into: &str, files: &mut Vec<(String, PathBuf)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository").flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let into = format!("{into}/{name}");
        if name == "released" || name == "next" {
            // Older interfaces, kept to compare with, and the draft of those to come: no project needs them.
        } else if path.is_dir() {
            collect(&path, &into, files);
        } else {
            files.push((into, path));
        }
    }
}

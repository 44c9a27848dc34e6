//! Puts what a project is made of into the program, compressed: the WIT package, the SDK of each language, templates. So an
//! adapter's project can be made far from this repository.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Folders and files of the repository, and where they stand among the assets.
const SOURCES: [(&str, &str); 9] = [
    ("wit", "wit"),
    ("guest-adapters/sdk/src", "rust/sdk/src"),
    ("guest-adapters/sdk/examples", "rust/sdk/examples"),
    ("guest-adapters/sdk-js", "js"),
    ("guest-adapters/sdk-python", "python"),
    ("guest-adapters/sdk-c/include", "c"),
    ("guest-adapters/sdk/Cargo.toml", "parts/sdk.toml"),
    ("guest-adapters/Cargo.toml", "parts/workspace.toml"),
    ("guest-adapters/Cargo.lock", "parts/Cargo.lock"),
];

fn main() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.join("../..").canonicalize().expect("the crate is in the repository");
    let mut files = BTreeMap::new();
    collect(&own.join("templates"), "templates", &mut files);
    for (from, into) in SOURCES {
        collect(&root.join(from), into, &mut files);
    }
    let json = serde_json::to_vec(&files).expect("texts are JSON");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    let packed =
        std::fs::File::create(Path::new(&out).join("assets.deflate")).expect("cargo's folder can be written to");
    let mut packer = DeflateEncoder::new(packed, Compression::best());
    packer.write_all(&json).and_then(|()| packer.finish().map(drop)).expect("cargo's folder can be written to");
}

/// A file, or every file below a folder, with its place among the assets.
fn collect(path: &Path, into: &str, files: &mut BTreeMap<String, String>) {
    println!("cargo::rerun-if-changed={}", path.display());
    if path.is_file() {
        let text = std::fs::read_to_string(path).expect("a text of the repository");
        files.insert(into.to_owned(), text);
        return;
    }
    for entry in std::fs::read_dir(path).expect("a folder of the repository").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Older interfaces, kept to compare with, the draft of those to come, and what an interpreter leaves behind: no
        // project needs them.
        if name != "released" && name != "next" && name != "__pycache__" {
            collect(&entry.path(), &format!("{into}/{name}"), files);
        }
    }
}

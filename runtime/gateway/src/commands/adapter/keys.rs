//! `bulkhead adapter key` and `sign`: an author's keys and signatures.

use super::{name_of, read_text};
use crate::cli::{KeyArguments, SignArguments};
use crate::console;
use crate::exit::Exit;
use bulkhead_bundle::{Manifest, SecretKey, key_pair, read_adapter, sha256_hex, signature_file};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub(super) fn make(arguments: &KeyArguments) -> Result<(), Exit> {
    let password = password(arguments.password_env.as_deref())?;
    let (secret, public) = key_pair(password.as_deref())?;
    let [secret_file, public_file] = ["key", "pub"].map(|end| with_end(&arguments.name, end));
    if public_file.exists() {
        return Err(Exit::failed(format!("{} is there already; choose another name", public_file.display())));
    }
    write_new(&secret_file, &secret, 0o600)?;
    write_new(&public_file, &public, 0o644)?;
    let name = arguments.name.file_name().unwrap_or_default().to_string_lossy();
    let key = public.lines().last().unwrap_or_default();
    console::say_lines(&format!(
        "{} signs: keep it to yourself\n{} verifies; operators put it into their config:\n\n[security.trusted_keys]\n{name} = \"{key}\"",
        secret_file.display(),
        public_file.display()
    ));
    Ok(())
}

pub(super) fn sign(arguments: &SignArguments) -> Result<(), Exit> {
    let password = password(arguments.password_env.as_deref())?;
    let key = SecretKey::parse(&read_text(&arguments.key)?, password.as_deref())?;
    for file in &arguments.files {
        let name = name_of(file)?;
        let bytes = read_adapter(file)?;
        let manifest = Manifest::read(&bytes);
        let manifest = manifest.map_err(|cause| Exit::failed(format!("{} is no adapter: {cause}", file.display())))?;
        let what =
            manifest.map_or_else(|| format!("{name} without a manifest"), |one| format!("{} {}", one.id, one.version));
        let signature = key.sign(&bytes, &format!("{what} sha256:{}", sha256_hex(&bytes)))?;
        let beside = signature_file(file);
        std::fs::write(&beside, signature)
            .map_err(|error| Exit::failed(format!("{} cannot be written: {error}", beside.display())))?;
        console::say(&format!("{}: {what}, key {}", beside.display(), key.public_key()?.id()));
    }
    Ok(())
}

fn password(variable: Option<&str>) -> Result<Option<String>, Exit> {
    let Some(variable) = variable else { return Ok(None) };
    let unset =
        |_| Exit::failed(format!("the environment variable {variable}, which --password-env names, is not set"));
    std::env::var(variable).map(Some).map_err(unset)
}

fn with_end(name: &Path, end: &str) -> PathBuf {
    let mut path = name.as_os_str().to_owned();
    path.push(".");
    path.push(end);
    path.into()
}

/// Writes a file that must not be there, so that no key is lost.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Exit> {
    let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = open.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| Exit::failed(format!("{} cannot be written: {error}", path.display())))
}

//! Files that are whole whenever they are there, and stay there through a power cut.

use crate::error::BundleError;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a file so that nobody ever sees half of it, and so that it survives a power cut once it has its name.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), BundleError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    let unfinished = PathBuf::from(unfinished);
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(BundleError::folder(path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

pub(crate) fn replace_signature(path: &Path, signature: Option<&str>) -> Result<(), BundleError> {
    match signature {
        Some(signature) => write_whole(path, signature.as_bytes()),
        None => remove_if_there(path),
    }
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), BundleError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BundleError::folder(folder))
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), BundleError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(BundleError::folder(path)(error)),
        _ => Ok(()),
    }
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, BundleError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BundleError::folder(path)(error)),
    };
    let value = serde_json::from_slice(&bytes).map_err(std::io::Error::other);
    value.map(Some).map_err(BundleError::folder(path))
}

pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), BundleError> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(std::io::Error::other).map_err(BundleError::folder(path))?;
    text.push(b'\n');
    write_whole(path, &text)
}

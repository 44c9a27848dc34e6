//! The key of the command line: made anew at each start of the gateway and left in the data folder, readable for its owner
//! only. Whoever can read it could change the users' file just as well; it is good on this machine alone.

use crate::access::random;
use crate::access::store::{private_folder, replace};
use crate::error::ApiError;
use bulkhead_config::Config;
use std::path::{Path, PathBuf};

/// Its file, beside that of the users.
const FILE: &str = "command-line.key";
/// What it begins with.
const PREFIX: &str = "bl_";
/// Random bytes of it.
const SECRET_BYTES: usize = 32;

/// A key that is good while this gateway runs; dropped, its file goes.
pub(crate) struct CommandKey {
    text: String,
    path: PathBuf,
}

impl CommandKey {
    /// Makes one and leaves it in the data folder. Without it the command line uses the config's credentials.
    pub(crate) fn leave(config: &Config) -> Option<Self> {
        match Self::make(config) {
            Ok(key) => Some(key),
            Err(error) => {
                tracing::warn!("the command line will have no key of its own: {error}");
                None
            }
        }
    }

    fn make(config: &Config) -> Result<Self, ApiError> {
        let path = path(config);
        let text = format!("{PREFIX}{}", random::text::<SECRET_BYTES>()?);
        private_folder(path.parent().unwrap_or(Path::new(".")))
            .and_then(|()| replace(&path, text.as_bytes()))
            .map_err(|error| ApiError::AccountsFile {
                path: path.clone(),
                reason: format!("cannot be written: {error}"),
            })?;
        Ok(Self { text, path })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl Drop for CommandKey {
    fn drop(&mut self) {
        // Only the file of this key: another gateway may have left its own meanwhile.
        if std::fs::read(&self.path).is_ok_and(|text| text == self.text.as_bytes()) {
            _ = std::fs::remove_file(&self.path);
        }
    }
}

fn path(config: &Config) -> PathBuf {
    config.accounts_file().with_file_name(FILE)
}

/// The key that a running gateway has left for this config's command line; none: no gateway runs, or it may not be read.
#[must_use]
pub fn command_line_key(config: &Config) -> Option<String> {
    std::fs::read_to_string(path(config)).ok().filter(|text| text.starts_with(PREFIX))
}

//! A text that must not be shown: passwords, tokens, keys.

use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;

/// A secret as the operator gives it: the text itself, a file that holds it, or the name of an environment variable.
/// `Debug` never shows it, and it cannot be serialised.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Secret {
    /// The secret itself, in the config.
    Text(String),
    /// `{ file = "…" }`: the content of a file, its last line end taken off.
    File {
        /// The file's path, relative to the config.
        file: std::path::PathBuf,
    },
    /// `{ env = "…" }`: the value of an environment variable.
    Env {
        /// The variable's name.
        env: String,
    },
}

impl Secret {
    /// The file that holds it, where one does.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        match self {
            Secret::File { file } => Some(file),
            Secret::Text(_) | Secret::Env { .. } => None,
        }
    }

    /// The secret itself. Files are looked up relative to `base`.
    ///
    /// # Errors
    /// A sentence that names the file or variable that is missing, never the secret.
    pub fn reveal(&self, base: &std::path::Path) -> Result<String, String> {
        match self {
            Secret::Text(text) => Ok(text.clone()),
            Secret::File { file } => std::fs::read_to_string(base.join(file))
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| format!("the secret's file {} cannot be read: {error}", file.display())),
            Secret::Env { env } => {
                std::env::var(env).map_err(|_| format!("the secret's environment variable {env} is not set"))
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Text(_) => f.write_str("Secret(…)"),
            Secret::File { file } => write!(f, "Secret(file {})", file.display()),
            Secret::Env { env } => write!(f, "Secret(env {env})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_text() {
        assert!(!format!("{:?}", Secret::Text("hunter2".into())).contains("hunter2"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let secret = Secret::File { file: "nowhere".into() };
        assert!(secret.reveal(std::path::Path::new("/")).unwrap_err().contains("nowhere"));
    }
}

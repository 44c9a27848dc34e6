//! A text that must not be shown: passwords, tokens, keys.

use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;

/// The variable in which systemd names the folder of a service's credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A secret as the operator gives it: the text itself, a file that holds it, the name of an environment variable or of a
/// credential that systemd hands to the service.
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
    /// `{ credential = "…" }`: one that systemd hands to the service (`LoadCredential=`), its last line end taken off.
    Credential {
        /// Its name in the unit.
        #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
        credential: String,
    },
}

impl Secret {
    /// The file that holds it, where one does.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        match self {
            Secret::File { file } => Some(file),
            Secret::Text(_) | Secret::Env { .. } | Secret::Credential { .. } => None,
        }
    }

    /// The file of a credential of systemd in this process.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn credential_file(name: &str) -> Result<std::path::PathBuf, String> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\']) {
            return Err(format!("{name:?} is no name of a credential"));
        }
        let dir = std::env::var_os(CREDENTIALS_DIRECTORY).ok_or_else(|| {
            format!("the credential {name} is not there: systemd has handed none to this process ({CREDENTIALS_DIRECTORY} is not set)")
        })?;
        Ok(std::path::Path::new(&dir).join(name))
    }

    /// The secret itself. Files are looked up relative to `base`.
    ///
    /// # Errors
    /// A sentence that names the file or variable that is missing, never the secret.
    pub fn reveal(&self, base: &std::path::Path) -> Result<String, String> {
        match self {
            Secret::Text(text) => Ok(text.clone()),
            Secret::File { file } => read(&base.join(file))
                .map_err(|error| format!("the secret's file {} cannot be read: {error}", file.display())),
            Secret::Credential { credential } => read(&Self::credential_file(credential)?)
                .map_err(|error| format!("the credential {credential} of systemd cannot be read: {error}")),
            Secret::Env { env } => {
                std::env::var(env).map_err(|_| format!("the secret's environment variable {env} is not set"))
            }
        }
    }
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    std::fs::read_to_string(path).map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Text(_) => f.write_str("Secret(…)"),
            Secret::File { file } => write!(f, "Secret(file {})", file.display()),
            Secret::Env { env } => write!(f, "Secret(env {env})"),
            Secret::Credential { credential } => write!(f, "Secret(credential {credential})"),
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

    #[test]
    fn a_credential_is_a_name_and_no_path() {
        for name in ["", ".", "..", "a/b", "../x", "a\\b"] {
            assert!(Secret::credential_file(name).unwrap_err().contains("no name"), "{name}");
        }
    }
}

//! The languages an adapter can be written in, and how a project shows its own.

use crate::error::AuthorError;
use std::path::Path;

/// What an adapter is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust, with the SDK.
    Rust,
    /// JavaScript, with the interpreter QuickJS in the component.
    JavaScript,
    /// Python, with the interpreter CPython in the component.
    Python,
    /// C.
    C,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 4] = [Language::Rust, Language::JavaScript, Language::Python, Language::C];

    /// The file by which a project is known to be written in it.
    #[must_use]
    pub fn entry(self) -> &'static str {
        match self {
            Language::Rust => "Cargo.toml",
            Language::JavaScript => "adapter.js",
            Language::Python => "adapter.py",
            Language::C => "adapter.c",
        }
    }

    /// The command that installs what a project's packages file names, run in its folder; none for Rust, where the build does.
    #[must_use]
    pub fn install(self) -> Option<&'static str> {
        match self {
            Language::Rust => None,
            Language::JavaScript => Some("npm install"),
            Language::Python | Language::C => {
                Some("python3 -m venv .venv && .venv/bin/pip install -r requirements.txt")
            }
        }
    }

    /// The folder of its SDK in a project's folder `bulkhead`, and of its templates.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::JavaScript => "js",
            Language::Python => "python",
            Language::C => "c",
        }
    }

    /// The language of the project in a folder.
    ///
    /// # Errors
    /// It has the entry of none, or of several.
    pub(crate) fn of(folder: &Path) -> Result<Self, AuthorError> {
        let there: Vec<Self> = Self::ALL.into_iter().filter(|one| folder.join(one.entry()).is_file()).collect();
        let entries = |languages: &[Self]| languages.iter().map(|one| one.entry()).collect::<Vec<_>>().join(", ");
        match there.as_slice() {
            [one] => Ok(*one),
            [] => Err(AuthorError::BadProject(format!(
                "{} has none of {}: a project in another language makes its component with its own tools, and \
                 `bulkhead adapter build --component FILE` makes an adapter of it",
                folder.display(),
                entries(&Self::ALL)
            ))),
            several => Err(AuthorError::BadProject(format!(
                "{} has {}: expected one of them, which says the language",
                folder.display(),
                entries(several)
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_shows_its_language_by_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = Language::of(folder.path()).unwrap_err().to_string();
        assert!(error.contains("has none of Cargo.toml, adapter.js, adapter.py, adapter.c"), "{error}");
        std::fs::write(folder.path().join("adapter.py"), "").unwrap();
        assert_eq!(Language::of(folder.path()).unwrap(), Language::Python);
        std::fs::write(folder.path().join("adapter.c"), "").unwrap();
        let error = Language::of(folder.path()).unwrap_err().to_string();
        assert!(error.contains("has adapter.py, adapter.c: expected one"), "{error}");
    }
}

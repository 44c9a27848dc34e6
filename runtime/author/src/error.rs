//! Why an adapter's project cannot be made or built, in words for its author.

use std::path::PathBuf;

/// What can go wrong with a project.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// A file or folder cannot be used.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// The operating system's word.
        cause: std::io::Error,
    },
    /// The folder of a new project is there.
    #[error("{0} is there already; choose another name or folder")]
    Occupied(PathBuf),
    /// A name that cannot be one.
    #[error("{0:?} is no name of an adapter; expected 1 to 64 of a-z, 0-9 and -, beginning with a letter")]
    BadName(String),
    /// The folder is no project.
    #[error("{0} is no adapter's project: it has no adapter.toml")]
    NoProject(PathBuf),
    /// The project says something wrong of itself.
    #[error("{0}")]
    BadProject(String),
    /// There is no compiler for guests.
    #[error(
        "no compiler for wasm32-unknown-unknown. One of these is needed:\n  1. a toolchain that has the target already\n  2. rustup with a network: rustup target add wasm32-unknown-unknown\n  3. Debian 12: apt-get install rustc-web cargo-web rust-web-src lld-22"
    )]
    NoToolchain,
    /// A tool of another language is not there.
    #[error("missing: {what}. This installs it:{first}\n  {install}")]
    NoTool {
        /// Which, and what it is for.
        what: String,
        /// The command that installs it.
        install: String,
        /// What that command needs, where it is not there; may be empty.
        first: String,
    },
    /// The compiler refused; it has said why.
    #[error("the adapter does not compile; the compiler's messages are above")]
    NotCompiled,
    /// The compiled module exports no role.
    #[error("{0}")]
    NoRole(String),
    /// The compiled module is no adapter.
    #[error("{0}")]
    NoAdapter(String),
}

impl AuthorError {
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |cause| Self::File { path: path.to_owned(), cause }
    }
}

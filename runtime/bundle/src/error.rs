//! Why an adapter file is not believed, not accepted or not put in place.

use std::path::PathBuf;

/// What can go wrong with an adapter's file, its signature and its place.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file is absent or cannot be read.
    #[error("adapter file {path} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        cause: std::io::Error,
    },
    /// The file is longer than an adapter may be.
    #[error("adapter file {path} has {bytes} bytes; at most {limit} are accepted")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// Signatures are required and there is none.
    #[error("adapter {name} is not signed, and security.require_signed asks for it; its signature would be {expected}")]
    NotSigned {
        /// The adapter.
        name: String,
        /// The file in which it was looked for.
        expected: PathBuf,
    },
    /// The signature is no signature.
    #[error("the signature of adapter {name} is no minisign signature: {cause}")]
    BadSignatureFile {
        /// The adapter.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The key is none of those that the operator trusts.
    #[error("adapter {name} is signed with the key {key_id}, which is none of security.trusted_keys ({trusted})")]
    UnknownKey {
        /// The adapter.
        name: String,
        /// The key's id as minisign shows it.
        key_id: String,
        /// Names of the trusted ones.
        trusted: String,
    },
    /// The signature does not fit the file: one of them was altered, or they do not belong together.
    #[error(
        "the signature of adapter {name} (key {key}) does not fit the file: one of them was altered, or it is the signature of another file"
    )]
    SignatureMismatch {
        /// The adapter.
        name: String,
        /// The trusted key whose id it bears.
        key: String,
    },
    /// The file is not the one that is pinned.
    #[error("adapter {name} has the SHA-256 {found}, and security.pins expects {expected}")]
    NotPinned {
        /// The adapter.
        name: String,
        /// What was found.
        found: String,
        /// What is pinned.
        expected: String,
    },
    /// An older version than the one that was accepted.
    #[error(
        "adapter {name} has version {found}, older than {accepted}, which was accepted before; `bulkhead adapter upgrade --allow-rollback` (`install`, where none is there) takes it all the same"
    )]
    Rollback {
        /// The adapter.
        name: String,
        /// What was found.
        found: String,
        /// What was accepted.
        accepted: String,
    },
    /// Another adapter under the same name.
    #[error(
        "adapter {name} is {found}, and {accepted} was accepted under this name; `bulkhead adapter upgrade --allow-rollback` (`install`, where none is there) takes it all the same"
    )]
    AnotherId {
        /// The name.
        name: String,
        /// The id that was found.
        found: String,
        /// The id that was accepted.
        accepted: String,
    },
    /// What the file says of itself is wrong or is missing.
    #[error("adapter {name}: {cause}")]
    BadManifest {
        /// The adapter.
        name: String,
        /// What is wrong.
        cause: String,
    },
    /// Its name is none.
    #[error("{name:?} is no name of an adapter; expected 1 to 64 of a-z, 0-9, - and _")]
    BadName {
        /// The name.
        name: String,
    },
    /// A key that cannot be used.
    #[error("{0}")]
    BadKey(String),
    /// Something with the folder of adapters.
    #[error("{path}: {cause}")]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's word.
        cause: std::io::Error,
    },
    /// Another command is at work in the folder of adapters.
    #[error("another command is installing or upgrading adapters ({path} is locked); wait for its end")]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// No such adapter.
    #[error("there is no adapter {name} in {folder}; there are: {available}")]
    NotInstalled {
        /// The name.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// What is there.
        available: String,
    },
    /// An offline set that is none.
    #[error("{path} is no set of adapters: {cause}")]
    BadSet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
}

impl BundleError {
    pub(crate) fn folder(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |cause| Self::Folder { path: path.to_owned(), cause }
    }
}

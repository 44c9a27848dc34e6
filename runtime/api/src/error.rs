//! What can go wrong with the server as a whole, and with users and keys; what goes wrong with one request is a problem
//! (module `problem`).

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server cannot start or had to end, or a user or key cannot be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Others could reach it, and nobody would be asked who they are.
    #[error(
        "the API would listen on {listen}, which others can reach, without asking who they are: make a user with `bulkhead \
         user add`, or add a credential, for example [api.credentials.admin] with token = {{ file = \"admin.token\" }} and \
         role = \"operator\", or listen on 127.0.0.1"
    )]
    Unprotected {
        /// The address of the config.
        listen: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("the API cannot listen on {listen}: set api.listen to a free address of this machine")]
    Listen {
        /// The address of the config.
        listen: SocketAddr,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// A credential cannot be used.
    #[error("{place}: {reason}")]
    Credential {
        /// Its key in the config.
        place: String,
        /// Why, without the secret.
        reason: String,
    },
    /// A file that the config names cannot be used.
    #[error("{key}: {} {reason}", path.display())]
    File {
        /// The key in the config.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not make a TLS server.
    #[error("api.tls: the certificate cannot be used with its key: {reason}")]
    Tls {
        /// What rustls says.
        reason: String,
    },
    /// The file of users and keys cannot be read or written. It is never taken for an empty one.
    #[error("users and keys: {} {reason}", path.display())]
    AccountsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A user or key cannot be made like this.
    #[error("{reason}")]
    Account {
        /// Why.
        reason: String,
    },
    /// There is no such user or key.
    #[error("there is no {what} {name}")]
    NoAccount {
        /// `user` or `key`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A key would be good for a connection that is not there. It can come later: whoever means that says so.
    #[error("there is no connection `{name}`{}", hint(.near.as_deref()))]
    NoConnection {
        /// Its name.
        name: String,
        /// The nearest name there is.
        near: Option<String>,
    },
    /// The operating system gave no random numbers.
    #[error("no secret can be made: {reason}")]
    Random {
        /// Why.
        reason: String,
    },
    /// The audit log cannot be written or read.
    #[error("the audit log: {} {reason}", path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

fn hint(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

//! What can go wrong with the server as a whole; what goes wrong with one request is a problem (module `problem`).

use std::net::SocketAddr;

/// Why the server cannot start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Others could reach it, and nobody would be asked who they are.
    #[error(
        "the API would listen on {listen}, which others can reach, without asking who they are: add a credential, for \
         example [api.credentials.admin] with token = {{ file = \"admin.token\" }} and role = \"operator\", or listen \
         on 127.0.0.1"
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
    #[error("credential api.credentials.{name}: {reason}")]
    Credential {
        /// Its name in the config.
        name: String,
        /// Why, without the secret.
        reason: String,
    },
}

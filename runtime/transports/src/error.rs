//! Why a transport could not be opened: settings that cannot work, secrets and files that are not there. What goes wrong
//! later, on the wire, is a `Fault` for the guest and a `LinkState::Down` for the operator.

/// Why a transport could not be opened. Every message names the connection and the transport's role.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A setting cannot work.
    #[error("connection `{connection}`, transport `{role}`: {setting} is `{value}`: expected {expected}")]
    Setting {
        /// The connection.
        connection: String,
        /// The transport's role in it.
        role: String,
        /// The setting's name in the config.
        setting: &'static str,
        /// What it is; never a secret.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// A password, token or key is not to be had.
    #[error("connection `{connection}`, transport `{role}`: {setting}: {reason}")]
    Secret {
        /// The connection.
        connection: String,
        /// The transport's role in it.
        role: String,
        /// The setting's name in the config.
        setting: &'static str,
        /// Names the file or variable that is missing.
        reason: String,
    },
    /// A certificate, key or authority file cannot be used.
    #[error("connection `{connection}`, transport `{role}`: {setting} `{path}`: {reason}")]
    Certificate {
        /// The connection.
        connection: String,
        /// The transport's role in it.
        role: String,
        /// The setting's name in the config.
        setting: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it, and what it should hold.
        reason: String,
    },
    /// Two transports name the same serial port with different line settings.
    #[error(
        "connection `{connection}`, transport `{role}`: port {port} is already used with {existing}, here {wanted}; \
         connections that share a bus must set its line alike"
    )]
    BusSettings {
        /// The connection.
        connection: String,
        /// The transport's role in it.
        role: String,
        /// The port.
        port: String,
        /// The settings of the line as first opened.
        existing: String,
        /// The settings asked for here.
        wanted: String,
    },
}

//! Who sends a request, as far as it was proved.

use bulkhead_config::ApiRole;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How somebody proved who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Proof {
    /// Nothing was asked: there is no credential, and the request came from this machine.
    Nothing,
    /// The key that the running gateway leaves in its data folder for the command line.
    CommandLine,
    /// A credential of the config.
    Config,
    /// A user's password, with each request.
    Password,
    /// A session that began with one.
    Session,
    /// An API key.
    Key,
    /// A client certificate.
    Certificate,
    /// A token of the issuer.
    Token,
    /// The signature of a webhook.
    Signature,
}

impl Proof {
    /// Its name in the audit log and in answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Proof::Nothing => "local",
            Proof::CommandLine => "command-line",
            Proof::Config => "config",
            Proof::Password => "password",
            Proof::Session => "session",
            Proof::Key => "key",
            Proof::Certificate => "certificate",
            Proof::Token => "token",
            Proof::Signature => "signature",
        }
    }
}

/// Who sends a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    pub(crate) proof: Proof,
    /// The user's, key's, credential's or certificate's name; the subject of a token.
    pub(crate) name: Arc<str>,
    pub(crate) role: ApiRole,
    /// The only connections it may have to do with; none: all.
    pub(crate) connections: Option<Arc<BTreeSet<String>>>,
}

impl Identity {
    pub(crate) fn new(proof: Proof, name: &str, role: ApiRole) -> Self {
        Self { proof, name: name.into(), role, connections: None }
    }

    /// Names the credential among all, for counting.
    pub(crate) fn counted_as(&self) -> String {
        format!("{}:{}", self.proof.name(), self.name)
    }
}

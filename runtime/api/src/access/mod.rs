//! Who may use the API, and for what: users and keys of the data folder, credentials of the config, sessions, client
//! certificates and tokens of an issuer; what each endpoint needs; how guessing is slowed down.
//!
//! What decides (the table of endpoints, names and roles, lockout, rates) is pure; [`store`] keeps users and keys in a file,
//! [`door`] puts it all together for one request.

pub(crate) mod accounts;
pub(crate) mod certificates;
pub(crate) mod door;
pub(crate) mod identity;
pub(crate) mod jwt;
pub(crate) mod key;
pub(crate) mod live;
pub(crate) mod lockout;
pub(crate) mod password;
pub(crate) mod policy;
pub(crate) mod random;
pub(crate) mod rate;
pub(crate) mod scheme;
pub(crate) mod sessions;
pub(crate) mod store;
pub(crate) mod table;

//! A loaded adapter: a linked component, its roles and what it imports.

use crate::bindings::exports::bulkhead::adapter as exports;
use crate::capability::Capabilities;
use crate::error::SandboxError;
use crate::host::HostState;
use std::collections::BTreeSet;
use std::fmt;
use wasmtime::component::{Component, InstancePre, Linker};

const PACKAGE: &str = "bulkhead:adapter/";
const VERSION: &str = "@0.1.0";

/// What an adapter can do: the interfaces it exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Reads when asked.
    Poller,
    /// Turns frames into readings.
    Listener,
    /// Writes values.
    Writer,
    /// Takes readings upstream.
    Sink,
    /// Answers requests.
    Responder,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Poller, Role::Listener, Role::Writer, Role::Sink, Role::Responder];

    /// The interface's name in the WIT package.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Poller => "poller",
            Role::Listener => "listener",
            Role::Writer => "writer",
            Role::Sink => "sink",
            Role::Responder => "responder",
        }
    }
}

/// An import and the grant it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingGrant {
    /// The interface, such as `bulkhead:adapter/modbus@0.1.0`.
    pub import: String,
    /// What the operator would have to grant.
    pub grant: &'static str,
}

impl fmt::Display for MissingGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it imports {}, which needs {}", self.import, self.grant)
    }
}

/// A loaded adapter; instances are made from it.
pub struct Adapter {
    name: String,
    hash: String,
    imports: BTreeSet<String>,
    roles: BTreeSet<Role>,
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) indices: RoleIndices,
}

/// Where the exported functions are.
pub(crate) struct RoleIndices {
    pub(crate) adapter: exports::adapter::GuestIndices,
    pub(crate) poller: Option<exports::poller::GuestIndices>,
    pub(crate) listener: Option<exports::listener::GuestIndices>,
    pub(crate) writer: Option<exports::writer::GuestIndices>,
    pub(crate) sink: Option<exports::sink::GuestIndices>,
    pub(crate) responder: Option<exports::responder::GuestIndices>,
}

impl Adapter {
    pub(crate) fn link(
        name: &str,
        hash: String,
        component: &Component,
        linker: &Linker<HostState>,
    ) -> Result<Self, SandboxError> {
        let engine = component.engine();
        let kind = component.component_type();
        let imports: BTreeSet<String> = kind.imports(engine).map(|(import, _)| import.to_owned()).collect();
        let exported: BTreeSet<String> = kind.exports(engine).map(|(export, _)| export.to_owned()).collect();
        let roles = find_roles(name, &exported)?;
        let pre = linker.instantiate_pre(component).map_err(|error| SandboxError::UnknownImport {
            adapter: name.to_owned(),
            import: unknown_imports(&imports),
            cause: format!("{error:#}"),
        })?;
        let indices = RoleIndices::find(name, &pre, &roles)?;
        Ok(Self { name: name.to_owned(), hash, imports, roles, pre, indices })
    }

    /// Its name: that of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SHA-256 of its file, hexadecimal.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Its roles.
    #[must_use]
    pub fn roles(&self) -> &BTreeSet<Role> {
        &self.roles
    }

    /// Whether it has a role.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// The interfaces it imports.
    #[must_use]
    pub fn imports(&self) -> &BTreeSet<String> {
        &self.imports
    }

    /// Compares what it imports with what is granted.
    ///
    /// # Errors
    /// [`SandboxError::NotGranted`] with every import that lacks its grant.
    pub fn check_grants(&self, granted: &Capabilities) -> Result<(), SandboxError> {
        let missing: Vec<MissingGrant> =
            self.imports.iter().filter_map(|import| missing_grant(import, granted)).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(SandboxError::NotGranted { adapter: self.name.clone(), missing }),
        }
    }
}

fn missing_grant(import: &str, granted: &Capabilities) -> Option<MissingGrant> {
    let interface = import.strip_prefix(PACKAGE)?.strip_suffix(VERSION)?;
    let (is_granted, grant) = match interface {
        "modbus" => (!granted.modbus.is_empty(), "a transport of kind modbus-tcp or modbus-rtu"),
        "serial" => (!granted.serial.is_empty(), "a transport of kind serial or tcp"),
        "tcp" => (!granted.tcp.is_empty(), "a transport of kind tcp"),
        "mqtt" => (!granted.mqtt.is_empty(), "a transport of kind mqtt"),
        "http" => (!granted.http.is_empty(), "a transport of kind http"),
        "state" => (granted.state.is_some(), "a durable memory"),
        _ => (true, ""),
    };
    (!is_granted).then(|| MissingGrant { import: import.to_owned(), grant })
}

fn unknown_imports(imports: &BTreeSet<String>) -> String {
    let offered =
        |import: &&String| import.starts_with(PACKAGE) && import.ends_with(VERSION) || import.starts_with("wasi:");
    let unknown: Vec<&str> = imports.iter().filter(|import| !offered(import)).map(String::as_str).collect();
    if unknown.is_empty() { "an interface of another shape".into() } else { unknown.join(", ") }
}

/// Roles by the names of the exported interfaces. A role of another version is an error, not an absent role.
fn find_roles(name: &str, exported: &BTreeSet<String>) -> Result<BTreeSet<Role>, SandboxError> {
    let mut roles = BTreeSet::new();
    for role in Role::ALL {
        let interface = format!("{PACKAGE}{}", role.name());
        for export in
            exported.iter().filter(|export| **export == interface || export.starts_with(&format!("{interface}@")))
        {
            if *export != format!("{interface}{VERSION}") {
                let cause = format!("it is {export}, and this gateway runs version 0.1.0");
                return Err(SandboxError::RoleMismatch { adapter: name.to_owned(), role: role.name().into(), cause });
            }
            roles.insert(role);
        }
    }
    if roles.is_empty() || !exported.contains(&format!("{PACKAGE}adapter{VERSION}")) {
        let exports = match exported.is_empty() {
            true => "nothing".to_owned(),
            false => exported.iter().cloned().collect::<Vec<_>>().join(", "),
        };
        return Err(SandboxError::NoRole { adapter: name.to_owned(), exports });
    }
    Ok(roles)
}

impl RoleIndices {
    fn find(name: &str, pre: &InstancePre<HostState>, roles: &BTreeSet<Role>) -> Result<Self, SandboxError> {
        let mismatch = |role: &str, error: wasmtime::Error| SandboxError::RoleMismatch {
            adapter: name.to_owned(),
            role: role.to_owned(),
            cause: format!("{error:#}"),
        };
        macro_rules! role {
            ($role:expr, $module:ident) => {
                match roles.contains(&$role) {
                    true => {
                        Some(exports::$module::GuestIndices::new(pre).map_err(|error| mismatch($role.name(), error))?)
                    }
                    false => None,
                }
            };
        }
        Ok(Self {
            adapter: exports::adapter::GuestIndices::new(pre).map_err(|error| mismatch("adapter", error))?,
            poller: role!(Role::Poller, poller),
            listener: role!(Role::Listener, listener),
            writer: role!(Role::Writer, writer),
            sink: role!(Role::Sink, sink),
            responder: role!(Role::Responder, responder),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn roles_are_found_by_name_and_another_version_is_an_error() {
        let both = exported(&["bulkhead:adapter/adapter@0.1.0", "bulkhead:adapter/poller@0.1.0"]);
        assert_eq!(find_roles("a", &both).unwrap(), BTreeSet::from([Role::Poller]));
        let newer = exported(&["bulkhead:adapter/adapter@0.1.0", "bulkhead:adapter/poller@0.2.0"]);
        assert!(matches!(find_roles("a", &newer), Err(SandboxError::RoleMismatch { .. })));
        let error = find_roles("a", &exported(&["wasi:cli/run@0.2.0"])).unwrap_err().to_string();
        assert!(error.contains("wasi:cli/run@0.2.0"), "{error}");
    }
}

//! A loaded adapter: a linked component, its roles and what it imports.

use crate::bindings::exports::bulkhead::adapter as exports;
use crate::capability::Capabilities;
use crate::error::SandboxError;
use crate::exports::{AdapterIndices, PollerIndices, Version};
use crate::host::HostState;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use wasmtime::component::{Component, InstancePre, Linker};

const PACKAGE: &str = "bulkhead:adapter/";

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
    pub(crate) adapter: AdapterIndices,
    pub(crate) poller: Option<PollerIndices>,
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
        let (version, roles) = find_roles(name, &exported)?;
        let pre = linker.instantiate_pre(component).map_err(|error| SandboxError::UnknownImport {
            adapter: name.to_owned(),
            import: unknown_imports(&imports),
            cause: format!("{error:#}"),
        })?;
        let indices = RoleIndices::find(name, &pre, &roles, version)?;
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
    let (interface, version) = import.strip_prefix(PACKAGE)?.split_once('@')?;
    Version::ALL.iter().find(|offered| offered.name() == version)?;
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
    let is_ours = |import: &str| {
        let version = import.strip_prefix(PACKAGE).and_then(|name| name.split_once('@')).map(|(_, version)| version);
        Version::ALL.iter().any(|offered| version == Some(offered.name()))
    };
    let offered = |import: &&String| is_ours(import) || import.starts_with("wasi:");
    let unknown: Vec<&str> = imports.iter().filter(|import| !offered(import)).map(String::as_str).collect();
    if unknown.is_empty() { "an interface of another shape".into() } else { unknown.join(", ") }
}

/// Version and roles by the names of the exported interfaces. A role of a version that is not offered is an error, not an absent
/// role; so is a role in two versions.
fn find_roles(name: &str, exported: &BTreeSet<String>) -> Result<(Version, BTreeSet<Role>), SandboxError> {
    let mut found: BTreeMap<Version, BTreeSet<Role>> = BTreeMap::new();
    for role in Role::ALL {
        let mismatch = |cause| SandboxError::RoleMismatch { adapter: name.to_owned(), role: role.name().into(), cause };
        let interface = format!("{PACKAGE}{}", role.name());
        for export in exported.iter().filter_map(|export| export.strip_prefix(&interface)) {
            let Some(version) = export.strip_prefix('@').or(export.is_empty().then_some("")) else { continue };
            let offered = Version::ALL.iter().find(|offered| offered.name() == version && offered.has(role));
            let offered = offered.ok_or_else(|| {
                mismatch(format!("it is {interface}{export}, and this gateway runs version {}", versions_of(role)))
            })?;
            found.entry(*offered).or_default().insert(role);
        }
        if found.len() > 1 {
            let versions: Vec<&str> = found.keys().map(|version| version.name()).collect();
            let versions = versions.join(" and ");
            return Err(mismatch(format!("it has roles in versions {versions}; an adapter is of one version")));
        }
    }
    let complete = found
        .into_iter()
        .next()
        .filter(|(version, _)| exported.contains(&format!("{PACKAGE}adapter@{}", version.name())));
    complete.ok_or_else(|| {
        let exports = match exported.is_empty() {
            true => "nothing".to_owned(),
            false => exported.iter().cloned().collect::<Vec<_>>().join(", "),
        };
        SandboxError::NoRole { adapter: name.to_owned(), exports }
    })
}

/// The versions of a role that are offered.
fn versions_of(role: Role) -> String {
    let having = Version::ALL.iter().filter(|version| version.has(role));
    having.map(|version| version.name()).collect::<Vec<_>>().join(", ")
}

impl RoleIndices {
    fn find(
        name: &str,
        pre: &InstancePre<HostState>,
        roles: &BTreeSet<Role>,
        version: Version,
    ) -> Result<Self, SandboxError> {
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
            adapter: AdapterIndices::find(pre, version).map_err(|error| mismatch("adapter", error))?,
            poller: match roles.contains(&Role::Poller) {
                true => Some(PollerIndices::find(pre, version).map_err(|error| mismatch("poller", error))?),
                false => None,
            },
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
        assert_eq!(find_roles("a", &both).unwrap(), (Version::Current, BTreeSet::from([Role::Poller])));
        let newer = exported(&["bulkhead:adapter/adapter@0.1.0", "bulkhead:adapter/poller@0.2.0"]);
        assert!(matches!(find_roles("a", &newer), Err(SandboxError::RoleMismatch { .. })));
        let error = find_roles("a", &exported(&["wasi:cli/run@0.2.0"])).unwrap_err().to_string();
        assert!(error.contains("wasi:cli/run@0.2.0"), "{error}");
    }

    #[cfg(feature = "wit-next")]
    #[test]
    fn an_adapter_is_of_one_version_of_those_that_are_offered() {
        let next = exported(&["bulkhead:adapter/adapter@0.2.0-draft", "bulkhead:adapter/poller@0.2.0-draft"]);
        assert_eq!(find_roles("a", &next).unwrap(), (Version::Next, BTreeSet::from([Role::Poller])));
        let says = |names: &[&str]| find_roles("a", &exported(names)).unwrap_err().to_string();
        let both = ["bulkhead:adapter/poller@0.1.0", "bulkhead:adapter/poller@0.2.0-draft"];
        assert!(says(&both).contains("0.1.0 and 0.2.0-draft; an adapter is of one version"), "{}", says(&both));
        let mixed = ["bulkhead:adapter/adapter@0.1.0", "bulkhead:adapter/poller@0.2.0-draft"];
        assert!(matches!(find_roles("a", &exported(&mixed)), Err(SandboxError::NoRole { .. })));
        let absent = ["bulkhead:adapter/adapter@0.2.0-draft", "bulkhead:adapter/sink@0.2.0-draft"];
        assert!(says(&absent).contains("this gateway runs version 0.1.0"), "{}", says(&absent));
        let unknown = ["bulkhead:adapter/adapter@0.2.0", "bulkhead:adapter/poller@0.2.0"];
        assert!(says(&unknown).contains("runs version 0.1.0, 0.2.0-draft"), "{}", says(&unknown));
    }
}

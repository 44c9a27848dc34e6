//! What a component imports and exports by name, read from its top level without compiling it.

use crate::manifest::WIT_VERSION;
use std::collections::BTreeSet;
use wasmparser::{Parser, Payload};

const PACKAGE: &str = "bulkhead:adapter/";
/// Most names read of one component; an adapter has some ten, one with WASI some forty.
const NAMES_MAX: usize = 1000;
/// Longest name of an interface, in bytes.
const NAME_MAX_BYTES: usize = 256;

/// Names of the interfaces that a component imports and exports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surface {
    /// What it imports, such as `bulkhead:adapter/modbus@0.1.0`.
    pub imports: BTreeSet<String>,
    /// What it exports.
    pub exports: BTreeSet<String>,
}

impl Surface {
    /// Reads the top level of a component.
    ///
    /// # Errors
    /// In words: the bytes are no component's, or it has more names than an adapter can need.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut surface = Self::default();
        let mut depth = 0usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(|error| error.to_string())? {
                Payload::Version { encoding, .. } if depth == 0 && encoding != wasmparser::Encoding::Component => {
                    return Err("it is a core module: it was compiled, but not made into a component".into());
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        add(&mut surface.imports, import.map_err(|error| error.to_string())?.name.name)?;
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        add(&mut surface.exports, export.map_err(|error| error.to_string())?.name.name)?;
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }

    /// The roles it exports, in the version this gateway runs.
    #[must_use]
    pub fn roles(&self) -> BTreeSet<String> {
        own(&self.exports).filter(|name| *name != "adapter" && *name != "types").map(str::to_owned).collect()
    }

    /// The capabilities it imports, in the version this gateway runs; `types` is none.
    #[must_use]
    pub fn capabilities(&self) -> BTreeSet<String> {
        own(&self.imports).filter(|name| *name != "types").map(str::to_owned).collect()
    }

    /// What it imports beside the package: WASI, another version, something else.
    #[must_use]
    pub fn other_imports(&self) -> Vec<&str> {
        self.imports.iter().map(String::as_str).filter(|name| interface(name).is_none()).collect()
    }
}

fn own(names: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    names.iter().filter_map(|name| interface(name))
}

/// `modbus` of `bulkhead:adapter/modbus@0.1.0`; none for any other package or version.
fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    (version == WIT_VERSION).then_some(interface)
}

fn add(names: &mut BTreeSet<String>, name: &str) -> Result<(), String> {
    if names.len() >= NAMES_MAX || name.len() > NAME_MAX_BYTES || name.chars().any(char::is_control) {
        return Err(format!("it has more than {NAMES_MAX} imports or exports, or one with a name that is none"));
    }
    names.insert(name.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(text: &str) -> Result<Surface, String> {
        Surface::read(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn names_are_those_of_the_top_level_only() {
        let surface = surface(
            r#"(component
                (import "bulkhead:adapter/modbus@0.1.0" (instance $m))
                (import "wasi:io/poll@0.2.0" (instance))
                (component (import "inner" (func)))
                (core module (import "x" "y" (func)))
                (instance $role)
                (export "bulkhead:adapter/poller@0.1.0" (instance $role))
                (export "bulkhead:adapter/adapter@0.1.0" (instance $role))
                (export "bulkhead:adapter/sink@0.2.0" (instance $role)))"#,
        )
        .unwrap();
        assert_eq!(surface.roles(), BTreeSet::from(["poller".to_owned()]));
        assert_eq!(surface.capabilities(), BTreeSet::from(["modbus".to_owned()]));
        assert_eq!(surface.other_imports(), ["wasi:io/poll@0.2.0"]);
        assert_eq!(surface.exports.len(), 3);
    }

    #[test]
    fn what_is_no_component_is_an_error() {
        assert!(Surface::read(b"nothing").is_err());
        assert!(surface("(module)").unwrap_err().contains("core module"));
    }
}

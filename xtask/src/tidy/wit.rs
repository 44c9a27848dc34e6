//! The rule of the interfaces: every interface, world, function, type, field and case of the WIT carries a comment.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use wit_parser::{Docs, PackageId, Resolve, Type, TypeDef, TypeDefKind};

/// Complaints about the WIT in a folder, and about versions that stand beside it in folders of their own.
pub(crate) fn check(folder: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    if holds_wit(folder)? {
        complaints.extend(check_package(folder)?);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "deps") && holds_wit(&path)? {
            complaints.extend(check_package(&path)?);
        }
    }
    Ok(complaints)
}

fn holds_wit(folder: &Path) -> Result<bool> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    Ok(entries.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == "wit")))
}

fn check_package(folder: &Path) -> Result<Vec<String>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).with_context(|| format!("{} is not valid WIT", folder.display()))?;
    Ok(uncommented(&resolve, package))
}

/// What has no comment in one package.
fn uncommented(resolve: &Resolve, package: PackageId) -> Vec<String> {
    let mut items = Items { package: resolve.packages[package].name.to_string(), uncommented: Vec::new() };
    for (name, world) in &resolve.packages[package].worlds {
        items.look_at(&format!("world {name}"), &resolve.worlds[*world].docs);
    }
    for (name, id) in &resolve.packages[package].interfaces {
        let interface = &resolve.interfaces[*id];
        items.look_at(&format!("interface {name}"), &interface.docs);
        for (function, definition) in &interface.functions {
            items.look_at(&format!("function {name}.{function}"), &definition.docs);
        }
        for (name_of_type, id) in &interface.types {
            items.look_at_type(resolve, &format!("{name}.{name_of_type}"), &resolve.types[*id]);
        }
    }
    items.uncommented
}

/// Collects the items without a comment.
struct Items {
    package: String,
    uncommented: Vec<String>,
}

impl Items {
    fn look_at(&mut self, item: &str, docs: &Docs) {
        if docs.contents.as_ref().is_none_or(|text| text.trim().is_empty()) {
            self.uncommented.push(format!("wit, {}: {item} has no `///` comment", self.package));
        }
    }

    fn look_at_type(&mut self, resolve: &Resolve, name: &str, definition: &TypeDef) {
        if is_use(resolve, definition) {
            return;
        }
        self.look_at(&format!("type {name}"), &definition.docs);
        let parts: Vec<(&str, &Docs)> = match &definition.kind {
            TypeDefKind::Record(record) => record.fields.iter().map(|part| (part.name.as_str(), &part.docs)).collect(),
            TypeDefKind::Variant(variant) => {
                variant.cases.iter().map(|part| (part.name.as_str(), &part.docs)).collect()
            }
            TypeDefKind::Enum(cases) => cases.cases.iter().map(|part| (part.name.as_str(), &part.docs)).collect(),
            TypeDefKind::Flags(flags) => flags.flags.iter().map(|part| (part.name.as_str(), &part.docs)).collect(),
            _ => Vec::new(),
        };
        for (part, docs) in parts {
            self.look_at(&format!("{name}.{part}"), docs);
        }
    }
}

/// Whether a type is only brought in by `use` from another interface, where it has its comment.
fn is_use(resolve: &Resolve, definition: &TypeDef) -> bool {
    matches!(definition.kind, TypeDefKind::Type(Type::Id(id)) if resolve.types[id].owner != definition.owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uncommented_in(text: &str) -> Vec<String> {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("test.wit", text).unwrap();
        uncommented(&resolve, package)
    }

    const COMMENTED: &str = "package a:b;
        /// I.
        interface i {
          /// R.
          record r {
            /// F.
            f: u8,
          }
          /// V.
          variant v {
            /// C.
            c(u8),
          }
          /// E.
          enum e {
            /// D.
            d,
          }
          /// T.
          type t = u32;
          /// Does.
          do: func(x: t);
        }
        /// J.
        interface j {
          use i.{r};
          /// Takes.
          take: func(x: r);
        }
        /// W.
        world w {
          import i;
        }";

    #[test]
    fn a_commented_package_passes() {
        assert_eq!(uncommented_in(COMMENTED), Vec::<String>::new());
    }

    #[test]
    fn each_item_without_its_comment_is_named() {
        let comments = ["I", "R", "F", "V", "C", "E", "D", "T", "Does", "J", "Takes", "W"];
        for comment in comments {
            let found = uncommented_in(&COMMENTED.replace(&format!("/// {comment}."), ""));
            assert_eq!(found.len(), 1, "{comment}: {found:?}");
        }
    }
}

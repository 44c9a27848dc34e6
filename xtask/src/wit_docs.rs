//! `wit-docs`: the page for authors about the interfaces, docs/wit.md, made of `wit/` and of examples that are tests of the SDK. `tidy`
//! complains where the page is another.

use crate::{process, repository};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use wit_parser::{Docs, Function, Interface, PackageId, Resolve, Type, TypeDefKind, TypeId};

/// The page.
const PAGE: &str = "docs/wit.md";
/// Where the examples are: between `// example: interface.function` and `// end`.
const EXAMPLES: &str = "guest-adapters/sdk/tests/wit_examples.rs";
/// The world of what adapters import, and that of everything.
const IMPORTS: &str = "capabilities";
const EVERYTHING: &str = "every-role";
/// The interface that has types only.
const TYPES: &str = "types";

/// The command: writes the page.
pub(crate) fn run() -> Result<()> {
    process::step("wit-docs: docs/wit.md", || {
        let root = repository::root();
        let (page, complaints) = page(&root)?;
        anyhow::ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
        fs::write(root.join(PAGE), page).with_context(|| format!("{PAGE} cannot be written"))
    })
}

/// Complaints: the page is another than `wit/` and the examples make, or something has no example.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let (page, mut complaints) = page(root)?;
    if fs::read_to_string(root.join(PAGE)).unwrap_or_default() != page {
        complaints
            .push(format!("{PAGE}: wit/ or {EXAMPLES} says something else; `cargo xtask wit-docs` writes it anew"));
    }
    Ok(complaints)
}

fn page(root: &Path) -> Result<(String, Vec<String>)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root.join("wit")).context("wit/ is not valid WIT")?;
    let text = fs::read_to_string(root.join(EXAMPLES)).with_context(|| format!("{EXAMPLES} cannot be read"))?;
    Ok(written(&resolve, package, &examples(&text)))
}

/// The examples of a source by what they are of, each without its common indentation.
fn examples(source: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.trim().strip_prefix("// example: ") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "// end").collect();
        let filled = body.iter().filter(|line| !line.trim().is_empty());
        let indent = filled.map(|line| line.len() - line.trim_start().len()).min().unwrap_or_default();
        let text: String = body.iter().map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect();
        found.insert(name.to_owned(), text);
    }
    found
}

/// The page, and what is missing for it.
fn written(resolve: &Resolve, package: PackageId, examples: &BTreeMap<String, String>) -> (String, Vec<String>) {
    let page = Page { resolve, examples, text: String::new(), complaints: Vec::new() };
    page.write(package)
}

struct Page<'r> {
    resolve: &'r Resolve,
    examples: &'r BTreeMap<String, String>,
    text: String,
    complaints: Vec<String>,
}

impl Page<'_> {
    fn write(mut self, package: PackageId) -> (String, Vec<String>) {
        let name = self.resolve.packages[package].name.to_string();
        _ = write!(
            self.text,
            "# The interfaces, function by function\n\n\
             <!-- Written by `cargo xtask wit-docs` from wit/ and {EXAMPLES}. Change those. -->\n\n\
             The package `{name}`: what an adapter exports, what it may import, and the types of both, with bounds,\n\
             the codes of faults, and an example of each function in Rust. Another language sees the same names, in its own way of\n\
             writing them. How to make an adapter of it: [the authors' guide](authors.md); what a connection must grant:\n\
             [adapters.md](adapters.md).\n\n"
        );
        let worlds = &self.resolve.packages[package].worlds;
        let names = |world: &str, imported: bool| -> Vec<String> {
            let Some(world) = worlds.get(world).map(|id| &self.resolve.worlds[*id]) else { return Vec::new() };
            let items = if imported { &world.imports } else { &world.exports };
            let named = items.keys().filter_map(|key| match key {
                wit_parser::WorldKey::Interface(id) => self.resolve.interfaces[*id].name.clone(),
                wit_parser::WorldKey::Name(_) => None,
            });
            named.filter(|name| name != TYPES).collect()
        };
        let (exports, imports) = (names(EVERYTHING, false), names(IMPORTS, true));
        let interfaces = self.resolve.packages[package].interfaces.clone();
        let titles = [
            ("What an adapter exports", "The gateway calls these.", exports),
            ("What an adapter may import", "The adapter calls these.", imports),
            ("Types", "What both hand over.", vec![TYPES.to_owned()]),
        ];
        for (title, how, names) in titles {
            _ = write!(self.text, "## {title}\n\n{how}\n\n");
            for interface in &names {
                let Some(id) = interfaces.get(interface) else { continue };
                self.interface(interface, &self.resolve.interfaces[*id]);
            }
        }
        (self.text.trim_end().to_owned() + "\n", self.complaints)
    }

    fn interface(&mut self, name: &str, interface: &Interface) {
        let docs = prose(&interface.docs);
        _ = write!(self.text, "### `{name}`\n\n{docs}\n\n");
        for (function, definition) in &interface.functions {
            self.function(name, function, definition);
        }
        let own = interface.types.iter().filter(|(_, id)| !self.is_use(**id));
        let own: Vec<(String, TypeId)> = own.map(|(name, id)| (name.clone(), *id)).collect();
        for (type_name, id) in own {
            self.type_of(name, &type_name, id);
        }
    }

    fn function(&mut self, interface: &str, name: &str, function: &Function) {
        let full = format!("{interface}.{name}");
        let parameters =
            function.params.iter().map(|parameter| format!("{}: {}", parameter.name, self.shown(&parameter.ty)));
        let parameters = parameters.collect::<Vec<_>>().join(", ");
        let result = function.result.as_ref().map(|result| format!(" -> {}", self.shown(result))).unwrap_or_default();
        let docs = prose(&function.docs);
        _ = write!(self.text, "#### `{full}`\n\n```wit\n{name}: func({parameters}){result}\n```\n\n{docs}\n\n");
        if result.contains("fault") && !docs.to_lowercase().contains("fault") {
            self.complaints.push(format!("wit: the comment of {full} does not say what its faults are"));
        }
        match self.examples.get(&full) {
            Some(example) => _ = write!(self.text, "```rust\n{example}```\n\n"),
            None => self.complaints.push(format!("{EXAMPLES}: {full} has no example")),
        }
    }

    fn type_of(&mut self, interface: &str, name: &str, id: TypeId) {
        let definition = &self.resolve.types[id];
        let (what, parts) = self.parts(&definition.kind);
        let docs = prose(&definition.docs);
        _ = write!(self.text, "#### `{interface}.{name}`: {what}\n\n{docs}\n\n");
        if !parts.is_empty() {
            self.text.push_str("| | | |\n| --- | --- | --- |\n");
            for (part, of, docs) in parts {
                let of = if of.is_empty() { String::new() } else { format!("`{of}`") };
                _ = writeln!(self.text, "| `{part}` | {of} | {docs} |");
            }
            self.text.push('\n');
        }
    }

    /// What a type is, and its fields or cases: name, type, comment.
    fn parts(&self, kind: &TypeDefKind) -> (String, Vec<(String, String, String)>) {
        let docs = |docs: &Docs| prose(docs).replace('\n', " ");
        match kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter();
                ("record".into(), fields.map(|f| (f.name.clone(), self.shown(&f.ty), docs(&f.docs))).collect())
            }
            TypeDefKind::Variant(variant) => {
                let of = |ty: &Option<Type>| ty.as_ref().map(|ty| self.shown(ty)).unwrap_or_default();
                let cases = variant.cases.iter();
                ("variant".into(), cases.map(|c| (c.name.clone(), of(&c.ty), docs(&c.docs))).collect())
            }
            TypeDefKind::Enum(cases) => {
                let cases = cases.cases.iter();
                ("enum".into(), cases.map(|c| (c.name.clone(), String::new(), docs(&c.docs))).collect())
            }
            TypeDefKind::Flags(flags) => {
                let flags = flags.flags.iter();
                ("flags".into(), flags.map(|f| (f.name.clone(), String::new(), docs(&f.docs))).collect())
            }
            TypeDefKind::Type(ty) => (format!("`{}`", self.shown(ty)), Vec::new()),
            other => (other.as_str().to_owned(), Vec::new()),
        }
    }

    /// Whether a type is only brought in by `use`.
    fn is_use(&self, id: TypeId) -> bool {
        let definition = &self.resolve.types[id];
        matches!(definition.kind, TypeDefKind::Type(Type::Id(of)) if self.resolve.types[of].owner != definition.owner)
    }

    /// A type as WIT writes it.
    fn shown(&self, ty: &Type) -> String {
        let optional = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), |ty| self.shown(ty));
        match ty {
            Type::Id(id) => {
                let definition = &self.resolve.types[*id];
                if let Some(name) = &definition.name {
                    return name.clone();
                }
                match &definition.kind {
                    TypeDefKind::List(of) => format!("list<{}>", self.shown(of)),
                    TypeDefKind::Option(of) => format!("option<{}>", self.shown(of)),
                    TypeDefKind::Tuple(of) => {
                        let of: Vec<String> = of.types.iter().map(|ty| self.shown(ty)).collect();
                        format!("tuple<{}>", of.join(", "))
                    }
                    TypeDefKind::Result(of) => format!("result<{}, {}>", optional(&of.ok), optional(&of.err)),
                    other => other.as_str().to_owned(),
                }
            }
            Type::String => "string".into(),
            Type::Bool => "bool".into(),
            Type::Char => "char".into(),
            other => format!("{other:?}").to_lowercase(),
        }
    }
}

/// A comment as a document has it.
fn prose(docs: &Docs) -> String {
    docs.contents.as_deref().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIT: &str = "package a:b@0.1.0;
        /// Types.
        interface types {
          /// Why not.
          record fault {
            /// A name.
            code: string,
          }
        }
        /// A line.
        interface line {
          use types.{fault};
          /// Asks, at most 9 bytes. Faults: `timeout`.
          ask: func(what: list<u8>, how: option<u32>) -> result<_, fault>;
        }
        world capabilities { import line; }
        world every-role { include capabilities; }";

    fn made(wit: &str, source: &str) -> (String, Vec<String>) {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("b.wit", wit).unwrap();
        written(&resolve, package, &examples(source))
    }

    const SOURCE: &str = "fn x() {\n    // example: line.ask\n    ask(b\"?\")?;\n\n        deeper();\n    // end\n}\n";

    #[test]
    fn a_function_stands_with_its_types_its_comment_and_its_example() {
        let (page, complaints) = made(WIT, SOURCE);
        assert_eq!(complaints, Vec::<String>::new());
        let expected = "#### `line.ask`\n\n```wit\nask: func(what: list<u8>, how: option<u32>) -> result<_, fault>\n```\n\n\
                        Asks, at most 9 bytes. Faults: `timeout`.\n\n```rust\nask(b\"?\")?;\n\n    deeper();\n```\n";
        assert!(page.contains(expected), "{page}");
        assert!(
            page.contains("#### `types.fault`: record\n\nWhy not.") && page.contains("| `code` | `string` | A name. |")
        );
    }

    #[test]
    fn what_has_no_example_or_hides_its_faults_is_named() {
        assert!(made(WIT, "").1[0].contains("line.ask has no example"));
        let (_, complaints) = made(&WIT.replace(" Faults: `timeout`.", ""), SOURCE);
        assert!(complaints[0].contains("line.ask does not say what its faults are"), "{complaints:?}");
    }
}

//! Makes the header and the source file with which an adapter is written in C, of the WIT package. wit-bindgen makes them
//! for all roles at once; an adapter has some. So the functions of a role stand between `#ifdef BULKHEAD_POLLER` and `#endif`,
//! and each role and the imports describe themselves in a custom section of their own, which the encoder unites. What an
//! adapter does not call, the linker leaves out.
//!
//! The files lie in `include/`, checked in; the test beside this compares them with what is made, and writes them.

use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::path::Path;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::{Resolve, WorldId};
use wit_component::StringEncoding;

/// The roles of the package.
pub const ROLES: [&str; 5] = ["poller", "listener", "writer", "sink", "responder"];

/// The package and its version.
const PACKAGE: &str = "bulkhead:adapter";
const VERSION: &str = "0.1.0";

/// The header `bulkhead.h` and the source `bulkhead.c`.
#[derive(Debug)]
pub struct Bindings {
    /// Types, and the functions that an adapter calls and defines.
    pub header: String,
    /// What is between them and the host.
    pub source: String,
}

/// Makes both of the WIT package in a folder.
///
/// # Errors
/// The package is not what this expects, or the generator refuses it.
pub fn generate(wit: &Path) -> Result<Bindings> {
    let (resolve, worlds) = resolved(wit)?;
    let mut options = wit_bindgen_c::Opts { no_object_file: true, ..wit_bindgen_c::Opts::default() };
    options.rename = renamed();
    let mut files = Files::default();
    options.build().generate(&mut resolve.clone(), worlds.all, &mut files)?;
    let text = |name: &str| -> Result<String> {
        let (_, bytes) = files.iter().find(|(made, _)| *made == name).with_context(|| format!("no {name} was made"))?;
        Ok(String::from_utf8(bytes.to_vec())?)
    };
    let mut source = guarded(without_force_link(&text("bulkhead.c")?)?)?;
    source.push_str(&section("imports", None, &resolve, worlds.imports)?);
    for (role, world) in ROLES.iter().zip(worlds.roles) {
        source.push_str(&section(role, Some(role), &resolve, world)?);
    }
    Ok(Bindings { header: text("bulkhead.h")?, source })
}

/// Shorter names than those with package and version: `bulkhead_reading_t`, `bulkhead_modbus_read`, `exports_poller_poll`.
fn renamed() -> Vec<(String, String)> {
    let full = |interface: &str| format!("{PACKAGE}/{interface}@{VERSION}");
    let lent = ["points", "log", "clock", "state", "modbus", "serial", "tcp", "mqtt", "http"];
    let lent = lent.iter().map(|name| (full(name), format!("bulkhead_{name}")));
    let own = ROLES.iter().chain(&["adapter"]).map(|name| (full(name), (*name).to_owned()));
    std::iter::once((full("types"), "bulkhead".to_owned())).chain(lent).chain(own).collect()
}

struct Worlds {
    all: WorldId,
    imports: WorldId,
    roles: Vec<WorldId>,
}

/// The package, with one world of everything, one of the imports and the export every adapter has, and one a role.
fn resolved(wit: &Path) -> Result<(Resolve, Worlds)> {
    let mut resolve = Resolve::default();
    resolve.push_dir(wit)?;
    let role = |role: &str| format!("world of-{role} {{ export {PACKAGE}/{role}@{VERSION}; }}\n");
    let base = format!("include {PACKAGE}/capabilities@{VERSION}; export {PACKAGE}/adapter@{VERSION};");
    let roles: String = ROLES.iter().map(|name| format!("export {PACKAGE}/{name}@{VERSION};")).collect();
    let text = format!("package bulkhead:sdk;\nworld bulkhead {{ {base} {roles} }}\nworld imports {{ {base} }}\n");
    let text = text + &ROLES.iter().map(|name| role(name)).collect::<String>();
    let package = resolve.push_str("sdk.wit", &text)?;
    let world = |name: &str| resolve.select_world(&[package], Some(name));
    let worlds = Worlds {
        all: world("bulkhead")?,
        imports: world("imports")?,
        roles: ROLES.iter().map(|name| world(&format!("of-{name}"))).collect::<Result<_>>()?,
    };
    Ok((resolve, worlds))
}

/// The source with each role's exported functions between `#ifdef` and `#endif`.
fn guarded(source: &str) -> Result<String> {
    let mut guarded = String::new();
    let mut lines = source.lines().peekable();
    let mut found = 0;
    while let Some(line) = lines.next() {
        let role = ROLES.iter().find(|role| line.contains("__export_name__") && line.contains(&interface(role)));
        let Some(role) = role else {
            writeln!(guarded, "{line}")?;
            continue;
        };
        found += 1;
        writeln!(guarded, "#ifdef BULKHEAD_{}\n{line}", role.to_uppercase())?;
        loop {
            let line = lines.next().context("a function has no end")?;
            writeln!(guarded, "{line}")?;
            // A function of the generator ends with a brace at the beginning of a line.
            if line == "}" {
                break;
            }
        }
        guarded.push_str("#endif\n");
    }
    match found >= ROLES.len() {
        true => Ok(guarded),
        false => bail!("{found} exported functions of roles were found: does the generator write them otherwise now?"),
    }
}

fn interface(role: &str) -> String {
    format!("{PACKAGE}/{role}@{VERSION}#")
}

/// The generator ends the source with what ties it to an object file that is not made here.
fn without_force_link(source: &str) -> Result<&str> {
    let end = source.find("// Ensure that the *_component_type.o object is linked in");
    Ok(&source[..end.context("the source does not end as expected: does the generator write it otherwise now?")?])
}

/// A custom section that describes a world, as assembler.
fn section(name: &str, role: Option<&str>, resolve: &Resolve, world: WorldId) -> Result<String> {
    let encoded = wit_component::metadata::encode(resolve, world, StringEncoding::UTF8, None)?;
    let mut text = String::new();
    if let Some(role) = role {
        writeln!(text, "\n#ifdef BULKHEAD_{}", role.to_uppercase())?;
    }
    writeln!(text, "__asm__(\".section \\\".custom_section.component-type:bulkhead-{name}\\\",\\\"\\\",@\\n\"")?;
    for line in encoded.chunks(32) {
        let bytes: String = line.iter().map(|byte| escaped(*byte)).collect();
        writeln!(text, "  \".ascii \\\"{bytes}\\\"\\n\"")?;
    }
    writeln!(text, "  \".text\\n\");")?;
    if role.is_some() {
        text.push_str("#endif\n");
    }
    Ok(text)
}

/// A byte in a text of the assembler inside of a text of C.
fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'-' | b':' | b'/' | b'@' | b'.' | b' ' | b'#' | b'_' => {
            char::from(byte).to_string()
        }
        byte => format!("\\\\{byte:03o}"),
    }
}

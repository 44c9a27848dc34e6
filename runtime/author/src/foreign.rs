//! The tools of the other languages: where each is looked for, what is said when it is not there, and how it is called. None is
//! ever installed from here.

use crate::error::AuthorError;
use crate::language::Language;
use crate::world::WORLD;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The versions with which the examples are tested; a new project names them.
pub const COMPONENTIZE_QJS: &str = "0.4.5";
/// As [`COMPONENTIZE_QJS`].
pub const COMPONENTIZE_PY: &str = "0.25.1";
/// As [`COMPONENTIZE_QJS`].
pub const ZIGLANG: &str = "0.17.1";

/// What a tool makes, in a project's folder `target`.
const BUILT: &str = "target/component.wasm";

/// Where the interfaces and the project's world lie.
pub(crate) const INTERFACES: &str = "target/wit";

/// The call that makes a component, or a core module, of a project; and where it goes.
pub(crate) fn compiler(language: Language, folder: &Path, roles: &[String]) -> Result<(Command, PathBuf), AuthorError> {
    let mut tool = match language {
        Language::Rust => return Err(AuthorError::NoToolchain),
        Language::JavaScript => javascript(folder)?,
        Language::Python => python(folder)?,
        Language::C => c(folder, roles)?,
    };
    tool.current_dir(folder).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    // What the tools say is for the author; a backtrace of the tool itself is not.
    tool.env("RUST_BACKTRACE", "0").env("RUST_LIB_BACKTRACE", "0");
    Ok((tool, folder.join(BUILT)))
}

fn javascript(folder: &Path) -> Result<Command, AuthorError> {
    let program = found(folder, "node_modules/.bin", "componentize-qjs").filter(|_| on_path("node").is_some());
    let program = program.ok_or_else(|| no_javascript(folder))?;
    let mut tool = Command::new(program);
    tool.args(["--sync", "--opt-size", "--stub-wasi", "--wit", INTERFACES, "--world", WORLD]);
    tool.args(["--js", Language::JavaScript.entry(), "--output", BUILT]);
    Ok(tool)
}

fn no_javascript(folder: &Path) -> AuthorError {
    let node = match on_path("npm").is_some() && on_path("node").is_some() {
        true => "",
        false => "\n  first, Node.js 18 or later with npm; on Debian: apt-get install nodejs npm",
    };
    missing(Language::JavaScript, "componentize-qjs, which makes components of JavaScript", folder, node)
}

/// The Node.js in which npm's tool runs.
pub(crate) fn node(folder: &Path) -> Result<PathBuf, AuthorError> {
    on_path("node").ok_or_else(|| no_javascript(folder))
}

/// The Python in whose packages the tool is.
pub(crate) fn python_of(folder: &Path) -> Result<PathBuf, AuthorError> {
    let python = found(folder, ".venv/bin", "python3");
    python.ok_or_else(|| missing(Language::Python, "python3, which reads adapter.py", folder, python_itself()))
}

fn python(folder: &Path) -> Result<Command, AuthorError> {
    let program = found(folder, ".venv/bin", "componentize-py").ok_or_else(|| {
        missing(Language::Python, "componentize-py, which makes components of Python", folder, python_itself())
    })?;
    let mut tool = Command::new(program);
    tool.args(["--quiet", "--wit-path", INTERFACES, "--world", WORLD, "componentize", "--stub-wasi"]);
    tool.args(["--python-path", ".", "--python-path", "bulkhead/python", "--output", BUILT, "adapter"]);
    Ok(tool)
}

fn c(folder: &Path, roles: &[String]) -> Result<Command, AuthorError> {
    let zig = on_path("zig").or_else(|| found(folder, ".venv/bin", "python-zig"));
    let zig =
        zig.ok_or_else(|| missing(Language::C, "zig, which compiles C for WebAssembly", folder, python_itself()))?;
    let mut tool = Command::new(zig);
    tool.args(["cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-Os", "-Wall", "-Wextra", "-Ibulkhead/c"]);
    tool.args(roles.iter().map(|role| format!("-DBULKHEAD_{}", role.to_uppercase())));
    let mut sources = sources(folder, Language::C)?;
    sources.extend(["bulkhead.c", "sdk.c"].map(|name| folder.join("bulkhead/c").join(name)));
    // The stack lies before the data, so that one that overflows ends the instance; unless asked it gets 16 MiB.
    tool.args(sources).args(["-Wl,--gc-sections", "-Wl,-z,stack-size=131072", "-o", BUILT]);
    Ok(tool)
}

fn python_itself() -> &'static str {
    match on_path("python3") {
        Some(_) => "",
        None => "\n  first, Python 3.10 or later; on Debian: apt-get install python3 python3-venv",
    }
}

fn missing(language: Language, what: &str, folder: &Path, first: &str) -> AuthorError {
    let install = format!("(cd {} && {})", folder.display(), language.install().unwrap_or_default());
    AuthorError::NoTool { what: what.to_owned(), install, first: first.to_owned() }
}

/// A program of the project's own packages, or one on the path.
fn found(folder: &Path, own: &str, name: &str) -> Option<PathBuf> {
    let own = folder.join(own).join(name);
    if own.is_file() { Some(own) } else { on_path(name) }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The project's own sources: not those of its packages, nor the SDK's.
pub(crate) fn sources(folder: &Path, language: Language) -> Result<Vec<PathBuf>, AuthorError> {
    let endings: &[&str] = match language {
        Language::Rust => &["rs"],
        Language::JavaScript => &["js", "mjs"],
        Language::Python => &["py"],
        Language::C => &["c"],
    };
    let mut found = Vec::new();
    collect(folder, endings, &mut found)?;
    found.sort();
    Ok(found)
}

/// Folders of a project that hold no sources of its own.
const NOT_OWN: [&str; 5] = ["bulkhead", "node_modules", "target", "dist", "data"];

/// Most sources of a project; more are something else.
const SOURCES_MAX: usize = 1000;

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) -> Result<(), AuthorError> {
    for entry in std::fs::read_dir(folder).map_err(AuthorError::file(folder))? {
        let entry = entry.map_err(AuthorError::file(folder))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type().map_err(AuthorError::file(&path))?;
        if kind.is_dir() && !name.starts_with('.') && !NOT_OWN.contains(&name.as_str()) {
            collect(&path, endings, found)?;
        } else if kind.is_file() && path.extension().is_some_and(|end| endings.iter().any(|one| end == *one)) {
            found.push(path);
        }
        if found.len() > SOURCES_MAX {
            let message = format!("{} holds more than {SOURCES_MAX} sources", folder.display());
            return Err(AuthorError::BadProject(message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_the_projects_own() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["adapter.js", "lib/meter.js", "bulkhead/js/sdk.js", "node_modules/x/index.js", ".cache/x.js"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let own = sources(folder.path(), Language::JavaScript).unwrap();
        assert_eq!(own, [folder.path().join("adapter.js"), folder.path().join("lib/meter.js")]);
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        let error = missing(Language::C, "zig, which compiles C for WebAssembly", Path::new("/p"), "").to_string();
        assert!(error.starts_with("missing: zig, which compiles C"), "{error}");
        assert!(error.contains("(cd /p && python3 -m venv .venv && .venv/bin/pip install -r"), "{error}");
    }
}

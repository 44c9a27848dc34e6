//! `test-languages`: builds the energy meter of `guest-adapters/examples` in each language, plays the same scripts against
//! each in the sandbox, does as much with a new project of each language, and prints what each costs.
//!
//! The languages' tools come from npm and PyPI, in the versions of the examples' own package files, into `target/languages`.

use crate::{build_adapters, node, process, python, repository};
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How to measure.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask test-languages --release")]
pub(crate) struct Options {
    /// Builds the gateway and the measuring program in release mode, for figures to publish.
    #[arg(long)]
    release: bool,
}

/// A language whose tool is a package: its name for people and for `adapter new`, and its example's folder.
struct Foreign {
    name: &'static str,
    folder: &'static str,
    tool: Tool,
}

#[derive(Clone, Copy, PartialEq)]
enum Tool {
    Npm,
    Pip,
}

const FOREIGN: [Foreign; 3] = [
    Foreign { name: "JavaScript", folder: "js", tool: Tool::Npm },
    Foreign { name: "Python", folder: "python", tool: Tool::Pip },
    Foreign { name: "C", folder: "c", tool: Tool::Pip },
];

const ROLES: [&str; 5] = ["poller", "listener", "writer", "sink", "responder"];

/// The example's name, which is its adapter's.
const EXAMPLE: &str = "energy-meter";

/// The command.
pub(crate) fn run(options: &Options) -> Result<()> {
    process::step("build the gateway and the measuring program", || {
        let mut cargo = process::host_cargo(&repository::root());
        cargo.args(["build", "--package", "bulkhead", "--package", "bulkhead-tests"]);
        cargo.args(["--bin", "bulkhead", "--bin", "bulkhead-languages"]).args(options.release.then_some("--release"));
        process::run(&mut cargo)
    })?;
    let profile = if options.release { "release" } else { "debug" };
    check(&repository::host_target()?.join(profile))
}

/// Builds, tests and measures with programs that are built already.
pub(crate) fn check(programs: &Path) -> Result<()> {
    let work = repository::target().join("languages");
    let bulkhead = programs.join("bulkhead");
    process::step("the languages' tools", || tools(&work))?;
    let mut components = vec![("Rust", process::step("Rust: build", rust)?)];
    for language in &FOREIGN {
        components.push((language.name, process::step(language.name, || built(language, &work, &bulkhead))?));
    }
    for (name, component) in &components {
        process::step(&format!("{name}: the scripts"), || play(&bulkhead, component))?;
    }
    for language in &FOREIGN {
        process::step(&format!("{}: a new project", language.name), || new_project(language, &work, &bulkhead))?;
    }
    let mut measuring = Command::new(programs.join("bulkhead-languages"));
    process::forget_outer_cargo(&mut measuring);
    measuring.args(components.iter().map(|(name, path)| format!("{name}={}", path.display())));
    process::step("what each costs", || process::run(&mut measuring))
}

/// npm's and PyPI's packages, where they are not there in today's versions.
fn tools(work: &Path) -> Result<()> {
    node::ensure_in(&work.join("npm"), &example("js").join("package.json"))?;
    let wanted: Vec<PathBuf> = FOREIGN
        .iter()
        .filter(|language| language.tool == Tool::Pip)
        .map(|language| example(language.folder).join("requirements.txt"))
        .collect();
    python::ensure_in(&work.join("venv"), &wanted, "import componentize_py, ziglang")
}

fn example(folder: &str) -> PathBuf {
    repository::guests().join("examples").join(folder)
}

fn rust() -> Result<PathBuf> {
    let out = repository::target().join("languages/rust");
    build_adapters::build_one(EXAMPLE, &out)?;
    Ok(out.join(EXAMPLE).with_extension("wasm"))
}

/// The example as an author has it: in a folder of its own, with the packages beside it.
fn built(language: &Foreign, work: &Path, bulkhead: &Path) -> Result<PathBuf> {
    let project = work.join(language.folder);
    anew(&project)?;
    fs::create_dir_all(&project)?;
    for entry in fs::read_dir(example(language.folder))? {
        let entry = entry?;
        // What an interpreter or an editor left behind is none of the example's.
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), project.join(entry.file_name()))?;
        }
    }
    link_tools(language, work, &project)?;
    process::run(Command::new(bulkhead).args(["adapter", "build", "--project"]).arg(&project))?;
    Ok(project.join("dist").join(EXAMPLE).with_extension("wasm"))
}

fn play(bulkhead: &Path, component: &Path) -> Result<()> {
    let mut test = Command::new(bulkhead);
    process::run(test.args(["adapter", "test", "--component"]).arg(component).arg("--cases").arg(example("cases")))
}

/// A project with every role builds and passes its test.
fn new_project(language: &Foreign, work: &Path, bulkhead: &Path) -> Result<()> {
    let project = work.join(format!("new-{}", language.folder));
    anew(&project)?;
    let mut new = Command::new(bulkhead);
    new.args(["adapter", "new", "every-role", "--lang", language.folder, "--into"]).arg(&project);
    process::run(new.args(ROLES.iter().flat_map(|role| ["--role", role])))?;
    link_tools(language, work, &project)?;
    process::run(Command::new(bulkhead).args(["adapter", "test", "--project"]).arg(&project))
}

fn link_tools(language: &Foreign, work: &Path, project: &Path) -> Result<()> {
    let (from, to) = match language.tool {
        Tool::Npm => (work.join("npm/node_modules"), "node_modules"),
        Tool::Pip => (work.join("venv"), ".venv"),
    };
    std::os::unix::fs::symlink(&from, project.join(to)).with_context(|| format!("{} cannot be linked", from.display()))
}

fn anew(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_name_the_versions_that_new_projects_name() {
        let text = |folder: &str, file: &str| fs::read_to_string(example(folder).join(file)).unwrap();
        assert!(text("js", "package.json").contains(&format!("\"{}\"", bulkhead_author::COMPONENTIZE_QJS)));
        assert_eq!(
            text("python", "requirements.txt").trim(),
            format!("componentize-py=={}", bulkhead_author::COMPONENTIZE_PY)
        );
        assert_eq!(text("c", "requirements.txt").trim(), format!("ziglang=={}", bulkhead_author::ZIGLANG));
    }
}

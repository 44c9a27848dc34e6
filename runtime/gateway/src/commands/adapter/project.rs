//! `bulkhead adapter new` and `build`: an author's project.

use crate::cli::{BuildArguments, Language, NewArguments, RoleArgument};
use crate::console;
use crate::exit::Exit;
use bulkhead_author::{NewProject, Project, Role};
use bulkhead_bundle::signature_file;
use std::path::{Path, PathBuf};

pub(super) fn new(arguments: &NewArguments) -> Result<(), Exit> {
    let language = match arguments.lang {
        Language::Rust => bulkhead_author::Language::Rust,
        Language::Js => bulkhead_author::Language::JavaScript,
        Language::Python => bulkhead_author::Language::Python,
        Language::C => bulkhead_author::Language::C,
    };
    let roles = arguments.roles.iter().map(|role| match role {
        RoleArgument::Poller => Role::Poller,
        RoleArgument::Listener => Role::Listener,
        RoleArgument::Writer => Role::Writer,
        RoleArgument::Sink => Role::Sink,
        RoleArgument::Responder => Role::Responder,
    });
    let folder = arguments.into.clone().unwrap_or_else(|| PathBuf::from(&arguments.name));
    NewProject { name: arguments.name.clone(), roles: roles.collect(), language }.write(&folder)?;
    let shown = folder.display();
    let install = language.install().map(|install| format!("\n  {install}")).unwrap_or_default();
    console::say_lines(&format!(
        "made {shown}; next:\n  cd {shown}{install}\n  bulkhead adapter build\n  bulkhead adapter test"
    ));
    Ok(())
}

pub(super) fn build_command(arguments: &BuildArguments) -> Result<(), Exit> {
    let project = at(&arguments.project)?;
    let built = match &arguments.component {
        Some(component) => project.build_of(component)?,
        None => project.build()?,
    };
    let bytes = std::fs::metadata(&built)?.len();
    console::say(&format!("{} ({} KB)", built.display(), bytes.div_ceil(1000)));
    for earlier in project.earlier_builds()? {
        console::note(&left_over(project.folder(), &earlier, &built));
    }
    if !arguments.project.join("settings.schema.json").is_file() {
        console::note("settings.schema.json is missing: `bulkhead check` will not check the adapter's settings");
    }
    Ok(())
}

/// A warning of a file that somebody could take for what was built now; a signature beside it makes that likelier.
fn left_over(folder: &Path, earlier: &Path, built: &Path) -> String {
    let shown = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
    let and_signature = if signature_file(earlier).is_file() { " and its .minisig are" } else { " is" };
    let (earlier, built) = (shown(earlier), shown(built));
    format!("warning: {earlier}{and_signature} of an earlier build: this adapter is {built} now")
}

pub(super) fn at(folder: &Path) -> Result<Project, Exit> {
    Ok(Project::open(folder)?)
}

pub(super) fn build(project: &Project) -> Result<PathBuf, Exit> {
    Ok(project.build()?)
}

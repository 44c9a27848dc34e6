//! The rule of released interfaces: a released package never changes, and what follows it is compatible as its version
//! promises. Released packages lie in `wit/released/<version>/`, as they were; a draft that authors have been given lies there, too,
//! under a version such as `0.1.0-draft.1`, so that the version it leads to does not break what they have built.

use anyhow::{Context, Result};
use semver::Version;
use std::fs;
use std::path::{Path, PathBuf};
use wit_parser::{PackageId, Resolve};

/// Complaints about the package in `wit`, compared with the newest that was released.
pub(crate) fn check(wit: &Path) -> Result<Vec<String>> {
    let Some((released, folder)) = newest(&wit.join("released"))? else { return Ok(Vec::new()) };
    let (resolve, package) = read(wit)?;
    let current = version_of(&resolve, package)?;
    if current == released {
        return unchanged(&folder, wit, &released);
    }
    if current < released {
        return Ok(vec![format!("wit: version {current} is older than {released}, which was released")]);
    }
    // Before 1.0 the second number is the one whose change may break; after it, the first.
    let may_break = current.major > released.major || released.major == 0 && current.minor > released.minor;
    if may_break {
        return Ok(Vec::new());
    }
    compatible(&folder, wit, &released)
}

fn newest(folder: &Path) -> Result<Option<(Version, PathBuf)>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(None) };
    let mut versions = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = Version::parse(&name).with_context(|| format!("{} is named like no version", path.display()))?;
        versions.push((version, path));
    }
    versions.sort();
    Ok(versions.pop())
}

fn read(folder: &Path) -> Result<(Resolve, PackageId)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).with_context(|| format!("{} is not valid WIT", folder.display()))?;
    Ok((resolve, package))
}

fn version_of(resolve: &Resolve, package: PackageId) -> Result<Version> {
    resolve.packages[package].name.version.clone().context("the package in wit/ has no version")
}

/// The files of a released package are those in `wit`, byte for byte.
fn unchanged(released: &Path, wit: &Path, version: &Version) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for name in wit_files(released)?.into_iter().chain(wit_files(wit)?) {
        if fs::read(released.join(&name)).ok() != fs::read(wit.join(&name)).ok() {
            let complaint = format!("wit/{name}: version {version} is released and never changes; raise the version");
            if !complaints.contains(&complaint) {
                complaints.push(complaint);
            }
        }
    }
    Ok(complaints)
}

fn wit_files(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.ends_with(".wit")).collect())
}

/// What was built for the released package runs on the one in `wit`: each world, imports and exports.
fn compatible(released: &Path, wit: &Path, version: &Version) -> Result<Vec<String>> {
    let (worlds, _) = worlds_of(released)?;
    let (now, _) = worlds_of(wit)?;
    let mut complaints = Vec::new();
    for world in worlds {
        if !now.contains(&world) {
            complaints.push(format!("wit: the world {world} of the released version {version} is gone"));
            continue;
        }
        // Both in one, as the comparison asks: two versions of a package stand side by side.
        let (mut resolve, old) = read(released)?;
        let (new_resolve, new) = read(wit)?;
        let remap = resolve.merge(new_resolve).context("the two versions cannot be put side by side")?;
        let new = remap.packages[new.index()];
        let old_world = resolve.packages[old].worlds[&world];
        let new_world = resolve.packages[new].worlds[&world];
        if let Err(error) = wit_component::semver_check(resolve, old_world, new_world) {
            complaints.push(format!("wit: the world {world} breaks what was built for {version}: {error:#}"));
        }
    }
    Ok(complaints)
}

fn worlds_of(folder: &Path) -> Result<(Vec<String>, PackageId)> {
    let (resolve, package) = read(folder)?;
    Ok((resolve.packages[package].worlds.keys().cloned().collect(), package))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASED: &str = "package a:b@0.1.0;
        interface types { record r { x: u8 } }
        interface host { use types.{r}; get: func() -> r; }
        interface role { use types.{r}; put: func(r: r); }
        world w { import host; export role; }";

    /// Complaints about a package that follows the released one with these edits.
    fn complaints(edits: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let released = dir.path().join("released/0.1.0");
        fs::create_dir_all(&released).unwrap();
        fs::write(released.join("b.wit"), RELEASED).unwrap();
        let text = edits.iter().fold(RELEASED.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{text}");
            text.replace(from, to)
        });
        fs::write(dir.path().join("b.wit"), text).unwrap();
        check(dir.path()).unwrap()
    }

    const NEXT: (&str, &str) = ("@0.1.0", "@0.1.1");

    #[test]
    fn a_released_version_stays_as_it_was() {
        assert_eq!(complaints(&[]), Vec::<String>::new());
        assert!(complaints(&[("x: u8", "x: u16")])[0].contains("b.wit: version 0.1.0 is released and never changes"));
        assert!(complaints(&[("@0.1.0", "@0.0.9")])[0].contains("older than 0.1.0"));
    }

    #[test]
    fn what_is_added_to_the_host_breaks_nobody() {
        let added = ("get: func() -> r;", "get: func() -> r; more: func();");
        assert_eq!(complaints(&[NEXT, added]), Vec::<String>::new());
        let import = ("world w { import host;", "interface more { x: func(); } world w { import host; import more;");
        assert_eq!(complaints(&[NEXT, import]), Vec::<String>::new());
    }

    #[test]
    fn what_breaks_an_adapter_that_was_built_before_is_named() {
        for edit in [
            ("x: u8", "x: u8, y: u8"),
            ("get: func() -> r;", "get: func() -> u8;"),
            ("put: func(r: r);", "put: func(r: r); also: func();"),
            ("export role; }", "export role; export more; } interface more { x: func(); }"),
            ("get: func() -> r;", "got: func() -> r;"),
        ] {
            let found = complaints(&[NEXT, edit]);
            assert!(found.len() == 1 && found[0].contains("the world w breaks"), "{edit:?}: {found:?}");
        }
        assert!(
            complaints(&[NEXT, ("world w", "world v")])[0]
                .contains("the world w of the released version 0.1.0 is gone")
        );
        assert_eq!(complaints(&[("@0.1.0", "@0.2.0"), ("x: u8", "x: u16")]), Vec::<String>::new(), "it may break");
    }

    #[test]
    fn a_version_does_not_break_its_own_draft() {
        let dir = tempfile::tempdir().unwrap();
        let draft = dir.path().join("released/0.1.0-draft.1");
        fs::create_dir_all(&draft).unwrap();
        fs::write(draft.join("b.wit"), RELEASED.replace("@0.1.0", "@0.1.0-draft.1")).unwrap();
        let complaints = |text: &str| {
            fs::write(dir.path().join("b.wit"), text).unwrap();
            check(dir.path()).unwrap()
        };
        assert_eq!(complaints(RELEASED), Vec::<String>::new());
        assert_eq!(
            complaints(&RELEASED.replace("interface host", "/// Says more.\n interface host")),
            Vec::<String>::new()
        );
        let broken = complaints(&RELEASED.replace("x: u8", "x: u16"));
        assert!(broken[0].contains("breaks what was built for 0.1.0-draft.1"), "{broken:?}");
    }

    #[test]
    fn a_package_that_was_never_released_may_change() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.wit"), RELEASED).unwrap();
        assert_eq!(check(dir.path()).unwrap(), Vec::<String>::new());
    }
}

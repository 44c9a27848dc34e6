//! `audit`: Cargo.lock held against a copy of the RustSec advisory database, given as a folder: nothing is fetched, so that it
//! works where there is no network, and says the same about the same two inputs.

use crate::{process, repository};
use anyhow::{Context, Result, ensure};
use clap::Args;
use rustsec::advisory::Informational;
use rustsec::report::{Report, Settings};
use rustsec::{Database, Lockfile};
use std::path::{Path, PathBuf};

/// Which database.
#[derive(Args)]
#[command(after_help = "Example: git clone https://github.com/RustSec/advisory-db; cargo xtask audit --db advisory-db")]
pub(crate) struct Options {
    /// The folder of the database, with `crates` in it.
    #[arg(long, value_name = "FOLDER")]
    db: PathBuf,
    /// The lock file to look at; by default both of this repository.
    #[arg(long = "lock", value_name = "FILE")]
    locks: Vec<PathBuf>,
}

/// The command. It fails when a crate has a known vulnerability.
pub(crate) fn run(options: &Options) -> Result<()> {
    let ours = || [repository::root(), repository::guests()].map(|folder| folder.join("Cargo.lock")).to_vec();
    let locks = if options.locks.is_empty() { ours() } else { options.locks.clone() };
    let database = open(&options.db)?;
    let mut vulnerable = 0;
    for lock in &locks {
        let findings = look(&database, lock)?;
        findings.told.iter().for_each(|line| process::say(line));
        process::say(&format!(
            "{}: {} crates, {} known vulnerabilities, {} warnings, by {} advisories",
            lock.display(),
            findings.crates,
            findings.vulnerabilities,
            findings.told.len() - findings.vulnerabilities,
            database.iter().count()
        ));
        vulnerable += findings.vulnerabilities;
    }
    ensure!(
        vulnerable == 0,
        "{vulnerable} known vulnerabilities: update the crates, or say in deny.toml why they do no harm"
    );
    Ok(())
}

fn open(folder: &Path) -> Result<Database> {
    ensure!(folder.join("crates").is_dir(), "{} is no advisory database: it has no folder `crates`", folder.display());
    Database::open(folder).with_context(|| format!("the advisory database {} cannot be read", folder.display()))
}

struct Findings {
    crates: usize,
    vulnerabilities: usize,
    /// A line each; vulnerabilities first.
    told: Vec<String>,
}

fn look(database: &Database, lock: &Path) -> Result<Findings> {
    let lockfile = Lockfile::load(lock).with_context(|| format!("{} cannot be read", lock.display()))?;
    let informational_warnings = vec![Informational::Unmaintained, Informational::Unsound, Informational::Notice];
    let report = Report::generate(database, &lockfile, &Settings { informational_warnings, ..Settings::default() });
    let mut told: Vec<String> = report
        .vulnerabilities
        .list
        .iter()
        .map(|found| {
            let patched: Vec<String> = found.versions.patched().iter().map(ToString::to_string).collect();
            let remedy = if patched.is_empty() { "no version is mended".into() } else { patched.join(" or ") };
            let (package, advisory) = (&found.package, &found.advisory);
            format!("{}: {} {}: {} (mended: {remedy})", advisory.id, package.name, package.version, advisory.title)
        })
        .collect();
    let vulnerabilities = told.len();
    for (kind, warnings) in &report.warnings {
        told.extend(warnings.iter().map(|warning| {
            let about = warning.advisory.as_ref();
            let about = about.map(|advisory| format!(": {}, {}", advisory.id, advisory.title)).unwrap_or_default();
            format!("warning: {} {}: {}{about}", warning.package.name, warning.package.version, kind.as_str())
        }));
    }
    Ok(Findings { crates: lockfile.packages.len(), vulnerabilities, told })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database with one advisory about a crate that the gateway is made of, and one about each of two others.
    fn database(folder: &Path, patched: &str) -> Database {
        for (name, id, rest) in [
            ("ring", "RUSTSEC-2026-9001", format!("[versions]\npatched = [{patched}]\n")),
            ("tar", "RUSTSEC-2026-9002", "informational = \"unmaintained\"\n[versions]\npatched = []\n".into()),
            ("no-such-crate", "RUSTSEC-2026-9003", "[versions]\npatched = []\n".into()),
        ] {
            let (advisory, versions) = rest.split_once("[versions]").unwrap();
            let text = format!(
                "```toml\n[advisory]\nid = \"{id}\"\npackage = \"{name}\"\ndate = \"2026-11-01\"\n{advisory}\n[versions]{versions}```\n\n\
                 # Made up for a test\n\nNothing is wrong with it.\n"
            );
            let place = folder.join("crates").join(name);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join(format!("{id}.md")), text).unwrap();
        }
        open(folder).unwrap()
    }

    #[test]
    fn a_crate_of_ours_with_an_advisory_is_found_and_a_mended_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let lock = repository::root().join("Cargo.lock");
        let found = look(&database(folder.path(), "\">=999.0.0\""), &lock).unwrap();
        assert_eq!((found.vulnerabilities, found.told.len()), (1, 2), "{:?}", found.told);
        assert!(found.told[0].starts_with("RUSTSEC-2026-9001: ring "), "{:?}", found.told);
        assert!(found.told[0].ends_with(": Made up for a test (mended: >=999.0.0)"), "{:?}", found.told);
        assert!(found.told[1].contains("tar ") && found.told[1].contains("unmaintained"), "{:?}", found.told);
        let folder = tempfile::tempdir().unwrap();
        let found = look(&database(folder.path(), "\">=0.0.1\""), &lock).unwrap();
        assert_eq!((found.vulnerabilities, found.told.len()), (0, 1), "{:?}", found.told);
        assert!(found.crates > 100);
    }

    #[test]
    fn the_command_fails_for_a_vulnerability_and_for_a_folder_that_is_no_database() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { db: folder.path().to_owned(), locks: vec![repository::root().join("Cargo.lock")] };
        assert!(run(&options).unwrap_err().to_string().contains("no folder `crates`"));
        database(folder.path(), "\">=999.0.0\"");
        assert!(run(&options).unwrap_err().to_string().contains("1 known vulnerabilities"));
    }
}

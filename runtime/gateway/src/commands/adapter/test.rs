//! `bulkhead adapter test`: a component in the real sandbox against scripts, and what came of them against what was expected.

use super::script::{Case, difference, failures, play, strayed};
use super::{name_of, project};
use crate::cli::TestArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_sandbox::{Adapter, SandboxConfig};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most scripts of one adapter.
const CASES_MAX: usize = 1000;

pub(super) async fn test(arguments: &TestArguments) -> Result<(), Exit> {
    journal::start_quiet();
    let (component, folder) = match (&arguments.component, &arguments.cases) {
        (Some(component), Some(cases)) => (component.clone(), cases.clone()),
        (component, cases) => {
            let project = project::at(&arguments.project)?;
            let built = match component {
                Some(component) => component.clone(),
                None => project::build(&project)?,
            };
            (built, cases.clone().unwrap_or_else(|| arguments.project.join("cases")))
        }
    };
    let sandbox = SandboxConfig::default().build()?;
    let name = name_of(&component)?;
    let adapter = tokio::task::spawn_blocking(move || sandbox.load(&name, &component)).await??;
    let mut results = Vec::new();
    for path in cases_in(&folder)? {
        let result = run(&adapter, &path, arguments.update).await;
        if !arguments.json {
            console::say_lines(&told(&path, &result));
        }
        results.push((path, result));
    }
    let failed = results.iter().filter(|(_, result)| result.is_err()).count();
    if arguments.json {
        let rows = results.iter().map(|(path, result)| match result {
            Ok(Passed::AsExpected) => json!({ "case": path, "passed": true, "written": false }),
            Ok(Passed::Written(faults)) => json!({ "case": path, "passed": true, "written": true, "faults": faults }),
            Err(reason) => json!({ "case": path, "passed": false, "reason": reason }),
        });
        console::say_json(&rows.collect::<Vec<Json>>())?;
    }
    match failed {
        0 if !arguments.json => console::say(&format!("{} passed", console::counted(results.len() as u64, "case"))),
        0 => {}
        failed => {
            return Err(Exit::failed(format!("{failed} of {} failed", console::counted(results.len() as u64, "case"))));
        }
    }
    Ok(())
}

/// How a case passed.
enum Passed {
    /// As expected.
    AsExpected,
    /// What came of it is what is expected from now on; with the faults that are new in it.
    Written(Vec<String>),
}

async fn run(adapter: &Arc<Adapter>, path: &Path, update: bool) -> Result<Passed, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let found = play(adapter, &Case::parse(&text)?).await?;
    let expected_file = path.with_extension("expected.json");
    if update {
        return write(&expected_file, &found);
    }
    let expected = std::fs::read_to_string(&expected_file)
        .map_err(|error| format!("{}: {error}; --update writes it", expected_file.display()))?;
    let expected: Json =
        serde_json::from_str(&expected).map_err(|error| format!("{}: {error}", expected_file.display()))?;
    let failed = failures(&expected, &found).into_iter().next().map(|failure| failure.told);
    // What is declared follows from what was done.
    let differs = || difference("steps", &expected["steps"], &found["steps"]);
    match failed.or_else(differs).or_else(|| difference("", &expected, &found)) {
        None => Ok(Passed::AsExpected),
        Some(why) => {
            let strayed = strayed(&found).map(|how| format!("\n    {how}")).unwrap_or_default();
            Err(format!("{why}{strayed}"))
        }
    }
}

/// Writes what came of a case as what is expected from now on: never a crash, unless it stood there before.
fn write(expected_file: &Path, found: &Json) -> Result<Passed, String> {
    let text = serde_json::to_string_pretty(found).map_err(|error| error.to_string())? + "\n";
    let before = std::fs::read_to_string(expected_file).unwrap_or_default();
    if before == text {
        return Ok(Passed::AsExpected);
    }
    let failures = failures(&serde_json::from_str(&before).unwrap_or_default(), found);
    if let Some(crash) = failures.iter().find(|failure| failure.is_crash) {
        return Err(format!("{}\n    this is nothing to expect, so nothing was written", crash.told));
    }
    let faults = failures.into_iter().map(|failure| failure.told).collect();
    std::fs::write(expected_file, text).map(|()| Passed::Written(faults)).map_err(|error| error.to_string())
}

fn told(path: &Path, result: &Result<Passed, String>) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    match result {
        Ok(Passed::AsExpected) => format!("  ok      {name}"),
        Ok(Passed::Written(faults)) => {
            let faults: String = faults.iter().map(|fault| format!("\n    {fault}")).collect();
            console::indented(&format!("  written {name}: look at what changed before you commit it{faults}"))
        }
        Err(reason) => console::indented(&format!("  FAILED  {name}: {reason}")),
    }
}

/// The scripts of a folder, by name.
fn cases_in(folder: &Path) -> Result<Vec<PathBuf>, Exit> {
    let unreadable = |error| Exit::failed(format!("{} cannot be read: {error}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut cases: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    cases.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    cases.sort();
    match cases.len() {
        0 => Err(Exit::failed(format!("{} holds no case: expected files that end in .toml", folder.display()))),
        1..=CASES_MAX => Ok(cases),
        many => Err(Exit::failed(format!("{} holds {many} cases, at most {CASES_MAX} are run", folder.display()))),
    }
}

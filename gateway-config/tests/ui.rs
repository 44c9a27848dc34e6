//! Every `tests/ui/*.toml` gives exactly the diagnostics in the `.err` beside it. `UPDATE_GOLDEN=1` writes them anew.

mod adapters;

use bulkhead_config::load;
use std::path::{Path, PathBuf};

/// What stands in the `.err` of a config that is good and without warnings.
const NOTHING: &str = "nothing\n";

fn cases() -> Vec<PathBuf> {
    let folder = std::fs::read_dir("tests/ui").expect("the folder of cases");
    let files = folder.map(|entry| entry.expect("a folder entry").path());
    let mut cases: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    cases.sort();
    cases
}

fn rendered(case: &Path) -> String {
    let diagnostics = match load(case, &adapters::look_up) {
        Ok(loaded) => loaded.warnings,
        Err(diagnostics) => diagnostics,
    };
    let all =
        [diagnostics.plain(), diagnostics.pretty(false), serde_json::to_string(&diagnostics).expect("plain data")];
    for text in all {
        assert!(!text.contains("hunter2"), "{} shows a secret:\n{text}", case.display());
    }
    if diagnostics.is_empty() { NOTHING.to_owned() } else { diagnostics.plain() }
}

#[test]
fn diagnostics_are_the_recorded_ones() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 25, "only {} cases were found", cases.len());
    for case in cases {
        let golden = case.with_extension("err");
        let actual = rendered(&case);
        if update {
            std::fs::write(&golden, &actual).expect("the golden file is written");
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != actual {
            wrong.push(format!("--- {}\n{actual}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "differ from their golden files:\n{}", wrong.join("\n"));
}

#[test]
fn no_golden_file_is_left_behind() {
    let folder = std::fs::read_dir("tests/ui").expect("the folder of cases");
    let goldens = folder.map(|entry| entry.expect("a folder entry").path());
    for golden in goldens.filter(|path| path.extension().is_some_and(|it| it == "err")) {
        assert!(golden.with_extension("toml").exists(), "{} has no config", golden.display());
    }
}

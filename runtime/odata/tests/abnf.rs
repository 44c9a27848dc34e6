//! The OASIS grammar cases, where the folder that holds them is given: by the environment variable `BULKHEAD_SHARED`, or
//! beside the workspace.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bulkhead_odata::rules::check;
use std::path::PathBuf;

fn cases() -> Option<Vec<serde_json::Value>> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let folder = std::env::var_os("BULKHEAD_SHARED").map_or(beside, PathBuf::from);
    let text = std::fs::read_to_string(folder.join("odata/abnf-cases.jsonl")).ok()?;
    Some(text.lines().map(|line| serde_json::from_str(line).expect("a case is a JSON object")).collect())
}

/// The rules whose positive cases must parse; of the others only that nothing panics and no negative case passes.
fn is_ours(rule: &str) -> bool {
    let named = ["filter", "boolcommonexpr", "commonexpr", "orderby", "select", "compute", "search", "searchexpr"];
    let rule = rule.to_ascii_lowercase();
    let ends = ["literal", "value", "valueinurl"].iter().any(|end| rule.ends_with(end));
    ends || named.contains(&rule.as_str()) || rule.starts_with("geo")
}

#[test]
fn every_positive_case_parses_and_every_negative_one_is_refused() {
    let Some(cases) = cases() else {
        println!("the grammar cases were not run: set BULKHEAD_SHARED to the folder that holds odata/abnf-cases.jsonl");
        return;
    };
    let mut wrong = Vec::new();
    let (mut positive, mut negative) = (0, 0);
    for case in &cases {
        let (rule, input) = (case["rule"].as_str().unwrap(), case["input"].as_str().unwrap());
        // The case file writes a tab as `\t` in one input.
        let unescaped = if input.contains('"') { input.to_owned() } else { input.replace("\\t", "\t") };
        let result = check(rule, &unescaped);
        let must_fail = !case["fail_at"].is_null();
        let must_pass = !must_fail && is_ours(rule);
        positive += usize::from(must_pass);
        negative += usize::from(must_fail);
        if (must_fail && result.is_ok()) || (must_pass && result.is_err()) {
            wrong.push(format!("{rule}: {input}: {result:?}"));
        }
    }
    println!("{positive} positive and {negative} negative grammar cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(positive > 0 && negative > 0);
}

//! Checks grammar cases from outside: reads JSON lines with `rule` and `input`, writes for each, in order, `{"ok":true}`
//! or `{"ok":false,"at":N,"message":"…"}` with the character offset at which the input stops being valid.

use std::io::{BufRead, Write};

fn main() -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            writeln!(out, "{}", answer(&line))?;
        }
    }
    out.flush()
}

fn answer(line: &str) -> serde_json::Value {
    let case: serde_json::Value = match serde_json::from_str(line) {
        Ok(case) => case,
        Err(error) => return refused(0, &format!("the line is no JSON: {error}")),
    };
    let (Some(rule), Some(input)) = (case["rule"].as_str(), case["input"].as_str()) else {
        return refused(0, "`rule` and `input` are expected");
    };
    // Case files write a tab as `\t` inside plain text; no rule has a backslash outside of JSON strings.
    let input = if input.contains('"') { input.to_owned() } else { input.replace("\\t", "\t") };
    match bulkhead_odata::rules::check(rule, &input) {
        Ok(()) => serde_json::json!({ "ok": true }),
        Err(error) => {
            let at = input.char_indices().take_while(|(byte, _)| *byte < error.at).count();
            refused(at, &error.message)
        }
    }
}

fn refused(at: usize, message: &str) -> serde_json::Value {
    serde_json::json!({ "ok": false, "at": at, "message": message })
}

//! A client's program: it checks what the client makes of the service and says so, one line a check.

use crate::lines::Lines;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Longest run of one client: generating, compiling and checking.
const RUN_MAX: Duration = Duration::from_secs(420);

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// Why it failed; none: it did not.
    pub failure: Option<String>,
}

impl Check {
    /// A check of a line: `ok what` or `not ok what: reason`. None: it is another line.
    fn of(line: &str) -> Option<Self> {
        if let Some(what) = line.strip_prefix("ok ") {
            return Some(Self { what: what.to_owned(), failure: None });
        }
        let (what, reason) = line.strip_prefix("not ok ")?.split_once(": ")?;
        Some(Self { what: what.to_owned(), failure: Some(reason.to_owned()) })
    }
}

/// The checks of a client whose files and packages are in `folder`: `npm run check` where there is a `package.json`, and
/// `checks.py` by the Python of its `venv` otherwise.
///
/// # Errors
/// Where it cannot be started, breaks off, or has not done the number of checks that it announces in its last line (`checks 12`).
pub async fn checks(folder: &Path, environment: &[(&'static str, String)]) -> Result<Vec<Check>> {
    let folder = std::path::absolute(folder)?;
    let mut command = match folder.join("package.json").is_file() {
        true => {
            let mut npm = Command::new("npm");
            npm.args(["run", "--silent", "check"]);
            npm
        }
        false => {
            let mut python = Command::new(folder.join("venv/bin/python"));
            python.arg("checks.py");
            python
        }
    };
    command.current_dir(folder).envs(environment.iter().map(|(name, value)| (name, value)));
    for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env_remove(proxy);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
    let complaints = Lines::capture(child.stderr.take().context("stderr was asked for")?);
    let said = Lines::capture(child.stdout.take().context("stdout was asked for")?);
    let ended = tokio::time::timeout(RUN_MAX, child.wait()).await;
    let status = ended.with_context(|| format!("it does not end; it said:{}{}", said.last(), complaints.last()))??;
    said.ended().await?;
    let lines = said.all();
    let checks: Vec<Check> = lines.iter().filter_map(|line| Check::of(line)).collect();
    let announced = lines.iter().rev().find_map(|line| line.strip_prefix("checks ")?.trim().parse::<usize>().ok());
    ensure!(
        announced == Some(checks.len()) && announced > Some(0),
        "it broke off ({status}) after {} checks of {announced:?}; it said:{}{}",
        checks.len(),
        said.last(),
        complaints.last()
    );
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::Check;

    #[test]
    fn a_line_is_a_check_that_passed_or_failed_or_none() {
        assert_eq!(Check::of("ok reads"), Some(Check { what: "reads".into(), failure: None }));
        let failed = Check::of("not ok reads: got 3: wanted 2").unwrap();
        assert_eq!((failed.what.as_str(), failed.failure.as_deref()), ("reads", Some("got 3: wanted 2")));
        assert_eq!(Check::of("compiling"), None);
    }
}

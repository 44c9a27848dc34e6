//! Metrics as Prometheus' own library for Python reads them: what its strict parser refuses is an error.

use crate::programs::{python, root};
use crate::wait::within;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Samples by name and labels, such as `up{connection="a",state="b"}` with labels in the order of their names.
///
/// # Errors
/// With the parser's reason where the text is no OpenMetrics, or the Python packages are missing.
pub async fn parse_openmetrics(text: &str) -> Result<BTreeMap<String, f64>> {
    let mut command = Command::new(python()?);
    command.arg(root().join("tests/tests/python/openmetrics.py")).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("Python cannot be started")?;
    let mut stdin = child.stdin.take().context("stdin was asked for")?;
    let parsed = async {
        stdin.write_all(text.as_bytes()).await?;
        drop(stdin);
        anyhow::Ok(child.wait_with_output().await?)
    };
    let output = within("Prometheus' parser", parsed).await??;
    ensure!(output.status.success(), "{}\nof\n{text}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

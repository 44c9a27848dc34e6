//! schemathesis, which others wrote: it makes requests out of an OpenAPI document, right ones and wrong ones, and holds the answers
//! against it.

use crate::programs::{python, root};
use crate::site::{CommandOutput, clean};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Requests that it makes up of each operation, beside those at the bounds of parameters and bodies: about 3,000 in all. Not as
/// many as go into a time, so that each run makes the same.
const EXAMPLES: u64 = 10;
/// Longest wait for its end, beginning and report included.
const END_MAX: Duration = Duration::from_secs(90);
/// Longest wait for one answer.
const REQUEST_MAX_S: u64 = 20;
/// The same requests each time.
const SEED: u64 = 1;
/// What it looks at. Not: whether a right request is served and a wrong credential gets 401, because a document cannot say
/// that a name is one of the config, or of two parameters only one is given, and because who guesses has to wait (429).
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,\
                      allow_header_conformance,use_after_free,ensure_resource_availability";

/// Has it look at an API: the address, the token of a credential, operations (by their ids) that it must not ask, and
/// a folder for its notes.
///
/// # Errors
/// Where the Python packages are missing or it does not end.
pub async fn schemathesis(address: &str, token: &str, without: &[&str], folder: &Path) -> Result<CommandOutput> {
    let mut command = Command::new(python()?);
    let document = format!("{address}/api/v1/openapi.json");
    command.args(["-m", "schemathesis.cli", "run", &document, "--no-color"]);
    command.args(["--header", &format!("Authorization: Bearer {token}")]);
    command.args(["--phases", "examples,coverage,fuzzing,stateful", "--checks", CHECKS, "--continue-on-failure"]);
    command.args(["--max-examples", &EXAMPLES.to_string(), "--request-timeout", &REQUEST_MAX_S.to_string()]);
    command.args(["--seed", &SEED.to_string(), "--suppress-health-check", "all"]);
    for id in without {
        command.args(["--exclude-operation-id", id]);
    }
    clean(&mut command);
    command.env("SCHEMATHESIS_HOOKS", root().join("tests/tests/python/contract_hooks.py"));
    command.current_dir(folder);
    outcome(command).await
}

/// Has jsonschema hold every example of an OpenAPI document against the schema it is one of.
///
/// # Errors
/// Where the Python packages are missing or it does not end.
pub async fn check_examples(document: &Path) -> Result<CommandOutput> {
    let mut command = Command::new(python()?);
    command.arg(root().join("tests/tests/python/contract_examples.py")).arg(document);
    clean(&mut command);
    outcome(command).await
}

async fn outcome(mut command: Command) -> Result<CommandOutput> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().context("Python cannot be started")?;
    let output = tokio::time::timeout(END_MAX, child.wait_with_output()).await.context("Python does not end")??;
    Ok(CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

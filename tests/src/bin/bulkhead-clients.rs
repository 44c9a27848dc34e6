//! `cargo xtask test-clients`: runs other people's clients against a gateway and prints what each check came to.

use anyhow::{Result, bail};
use bulkhead_tests::clients::{CLIENTS, Check, Client, World, recorded, run};
use clap::Parser;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// The name by which the recorded requests are asked for.
const RECORDED: &str = "recorded";

/// Runs other people's clients against a gateway and prints what each check came to.
#[derive(Parser)]
struct Options {
    /// The folder with a folder for each client, its packages installed.
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// The example server `odata-memory`.
    #[arg(long, value_name = "PROGRAM")]
    shop: PathBuf,
    /// The clients; none: all.
    #[arg(value_name = "CLIENT")]
    clients: Vec<String>,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let wanted = |name: &str| options.clients.is_empty() || options.clients.iter().any(|asked| asked == name);
    let is_known = |name: &str| name == RECORDED || CLIENTS.iter().any(|client| client.name == name);
    if let Some(unknown) = options.clients.iter().find(|name| !is_known(name)) {
        bail!("there is no client `{unknown}`");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut all_well = true;
    runtime.block_on(async {
        let clients: Vec<&Client> = CLIENTS.iter().filter(|client| wanted(client.name)).collect();
        let world = World::start(Some(&options.shop)).await?;
        for client in clients {
            say(&format!("{}: {}", client.name, client.about));
            all_well &= told(client.name, Instant::now(), run(client, &options.folder, &world).await)?;
        }
        if wanted(RECORDED) {
            say(&format!("{RECORDED}: requests as clients were seen to send them"));
            all_well &= told(RECORDED, Instant::now(), recorded::replay_all(&world).await)?;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what a client's checks came to; whether all is well.
fn told(name: &str, began: Instant, checks: Result<Vec<Check>>) -> Result<bool> {
    let checks = match checks {
        Ok(checks) => checks,
        Err(error) => vec![Check { what: "runs to its end".into(), failure: Some(format!("{error:#}")) }],
    };
    let mut out = std::io::stdout().lock();
    for check in &checks {
        match &check.failure {
            None => writeln!(out, "  ok      {}", check.what)?,
            Some(reason) => writeln!(out, "  FAILED  {}: {reason}", check.what)?,
        }
    }
    let failed = checks.iter().filter(|check| check.failure.is_some()).count();
    let took = began.elapsed().as_secs_f64();
    writeln!(out, "{name}: {} checks, {failed} failed ({took:.0} s)", checks.len())?;
    Ok(failed == 0)
}

/// Writes one line of progress to standard error.
fn say(line: &str) {
    // Whoever closed standard error wants no progress.
    _ = writeln!(std::io::stderr(), "{line}");
}

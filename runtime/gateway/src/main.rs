//! The binary `bulkhead`: reads the command line, runs what it asks for, and turns the outcome into an exit code.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod console;
mod exit;
mod journal;
mod notify;
mod probation;
mod registry;
mod watchdog;

use clap::Parser;
use cli::{Cli, Command};
use exit::Exit;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    bulkhead_sandbox::memory::keep_little();
    let cli = Cli::parse();
    // Ring is the one TLS provider of the gateway; a second call would only mean that it is installed already.
    _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match cli.command {
        Command::Check(arguments) => commands::check::check(&arguments),
        Command::Completions { shell } => commands::generate::completions(shell),
        Command::Man => commands::generate::man_page(),
        Command::Audit(arguments) => commands::audit::audit(&arguments),
        Command::User(command) => commands::user::user(&command),
        Command::Key(command) => commands::key::key(&command),
        Command::CompileAdapter { pulley } => bulkhead_sandbox::compile_adapter(pulley.into()).map_err(Exit::Failed),
        asynchronous => runtime().and_then(|runtime| {
            let outcome = runtime.block_on(run(asynchronous));
            // A name that is still being looked up, or an adapter being compiled, does not hold the end up.
            runtime.shutdown_timeout(LAST_WORK_MAX);
            outcome
        }),
    };
    exit::report(outcome)
}

fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(
            std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(1, WORKER_THREADS_MAX)),
        )
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(THREAD_STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| Exit::failed(format!("the gateway's threads cannot be started: {error}")))
}

/// Longest wait for work that cannot be ended when the program ends.
const LAST_WORK_MAX: Duration = Duration::from_millis(200);
/// Most threads for connections and routes; edge hardware has one to four cores.
const WORKER_THREADS_MAX: usize = 4;
/// Most threads for reading files and the log.
const BLOCKING_THREADS_MAX: usize = 16;
/// Stack of each of them. Guests run on stacks of their own.
const THREAD_STACK_BYTES: usize = 1 << 20;

async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Run(arguments) => commands::run::run(&arguments).await,
        Command::Reload(arguments) => commands::config::reload(&arguments).await,
        Command::Rollback(arguments) => commands::config::roll_back(&arguments).await,
        Command::Test(arguments) => commands::test::test(&arguments).await,
        Command::Poll(arguments) => commands::poll::poll(&arguments).await,
        Command::Write(arguments) => commands::write::write(&arguments).await,
        Command::Tap(arguments) => commands::tap::tap(&arguments).await,
        Command::Connections(arguments) => commands::connections::connections(&arguments).await,
        Command::DeadLetters(command) => commands::dead_letters::dead_letters(&command).await,
        Command::Adapter(command) => commands::adapter::adapter(&command).await,
        Command::Demo(arguments) => commands::demo::demo(&arguments).await,
        Command::Import(arguments) => commands::import::import(&arguments).await,
        Command::Backup(arguments) => commands::backup::backup(&arguments).await,
        Command::Restore(arguments) => commands::restore::restore(&arguments).await,
        Command::SupportBundle(arguments) => commands::support_bundle::support_bundle(&arguments).await,
        // Done without threads, above.
        Command::Check(_)
        | Command::Completions { .. }
        | Command::Man
        | Command::Audit(_)
        | Command::User(_)
        | Command::Key(_)
        | Command::CompileAdapter { .. } => Ok(()),
    }
}

//! `bulkhead adapter`: one module a task, and what they share.

mod config_block;
mod inspect;
mod install;
mod keys;
mod list;
mod project;
mod push;
pub(super) mod record;
mod run;
mod script;
mod source;
mod test;
mod upgrade;

pub(super) use script::Recording;

use crate::cli::AdapterCommand;
use crate::exit::Exit;
use std::path::Path;

pub(crate) async fn adapter(command: &AdapterCommand) -> Result<(), Exit> {
    match command {
        AdapterCommand::Inspect(arguments) => inspect::inspect(arguments),
        AdapterCommand::Key(arguments) => keys::make(arguments),
        AdapterCommand::Sign(arguments) => keys::sign(arguments),
        AdapterCommand::Install(arguments) => install::install(arguments).await,
        AdapterCommand::List(arguments) => list::list(arguments),
        AdapterCommand::Upgrade(arguments) => upgrade::upgrade(arguments).await,
        AdapterCommand::Remove(arguments) => install::remove(arguments),
        AdapterCommand::Pack(arguments) => install::pack(arguments),
        AdapterCommand::Push(arguments) => push::push(arguments).await,
        AdapterCommand::New(arguments) => project::new(arguments),
        AdapterCommand::Build(arguments) => project::build_command(arguments),
        AdapterCommand::Test(arguments) => test::test(arguments).await,
        AdapterCommand::Run(arguments) => run::run(arguments).await,
    }
}

/// The name of an adapter by its file's: `press` of `downloads/press.wasm`.
fn name_of(file: &Path) -> Result<String, Exit> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let named = file.extension().is_some_and(|end| end == "wasm");
    stem.filter(|_| named)
        .map(str::to_owned)
        .ok_or_else(|| Exit::failed(format!("{} is no adapter: expected a name that ends in .wasm", file.display())))
}

/// The text of a file, for a command that needs it.
fn read_text(file: &Path) -> Result<String, Exit> {
    std::fs::read_to_string(file).map_err(|error| Exit::failed(format!("{} cannot be read: {error}", file.display())))
}

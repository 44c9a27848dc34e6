//! `bulkhead completions` and `bulkhead man`: made from the command line's own description.

use crate::cli::Cli;
use crate::exit::Exit;
use clap::CommandFactory;

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Exit> {
    clap_complete::generate(shell, &mut Cli::command(), "bulkhead", &mut std::io::stdout().lock());
    Ok(())
}

pub(crate) fn man_page() -> Result<(), Exit> {
    Ok(clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout().lock())?)
}

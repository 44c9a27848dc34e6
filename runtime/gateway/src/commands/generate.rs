//! `bulkhead completions` and `bulkhead man`: made from the command line's own description.

use crate::cli::Cli;
use crate::exit::Exit;
use clap::CommandFactory;
use std::io::Write;

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bulkhead", &mut script);
    print(&script);
    Ok(())
}

pub(crate) fn man_page() -> Result<(), Exit> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    print(&page);
    Ok(())
}

/// That the reader has seen enough, as in `bulkhead man | head`, is no reason to fail.
fn print(text: &[u8]) {
    _ = std::io::stdout().lock().write_all(text);
}

//! The command `import` as types.

use super::ConfigArgument;
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// Arguments of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The file: CSV (`.csv`, `.tsv`, `.txt`) or a JSON object a line (`.ndjson`, `.jsonl`, `.json`).
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// The connection of rows that name none.
    #[arg(long, value_name = "CONNECTION")]
    pub(crate) connection: Option<String>,
    /// The point of rows that name none.
    #[arg(long, value_name = "POINT")]
    pub(crate) point: Option<String>,
    /// What the file is, where its name does not say it.
    #[arg(long, value_parser = ["csv", "ndjson"])]
    pub(crate) format: Option<String>,
    /// What is between cells; without it the header shows it.
    #[arg(long, value_parser = ["comma", "semicolon", "tab"])]
    pub(crate) delimiter: Option<String>,
    /// The decimal sign of numbers; without it a point.
    #[arg(long, value_parser = ["point", "comma"])]
    pub(crate) decimal: Option<String>,
    /// How times are written: rfc3339, s, ms, us, ns (since 1970), local, or a pattern such as `%d.%m.%Y %H:%M:%S`; without it
    /// rfc3339, or milliseconds since 1970.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) time_format: Option<String>,
    /// The zone of local times: UTC, an offset such as +01:00, or a name such as Europe/Berlin.
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// What a column is: time, connection, point, value, status, unit, kind, ignore, or `point:<name>`. Several times.
    #[arg(long, value_name = "COLUMN=ROLE")]
    pub(crate) map: Vec<String>,
    /// A reading a row, or a column for each point; without it the header shows it.
    #[arg(long, value_parser = ["rows", "columns"])]
    pub(crate) shape: Option<String>,
    /// What becomes of bad rows: the first ends the import (as without this option), or it goes on without them and tells each.
    #[arg(long, value_name = "WHAT", value_parser = ["refuse", "set-aside"])]
    pub(crate) bad_rows: Option<String>,
    /// Make points that are not there yet, of this kind where no column says one: boolean, integer, real, decimal, text, time,
    /// duration, bytes or file.
    #[arg(long, value_name = "KIND")]
    pub(crate) create: Option<String>,
    /// The import's name. Without it one is made of the file's first two lines and of what is said about it, so that the same
    /// command goes on where it broke off.
    #[arg(long, value_name = "NAME")]
    pub(crate) id: Option<String>,
    /// Import nothing; tell every mistake.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

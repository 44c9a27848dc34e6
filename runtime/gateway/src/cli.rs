//! The command line as types: every command, its arguments and its help.

mod access;
mod adapter;
mod import;

pub(crate) use access::*;
pub(crate) use adapter::*;
pub(crate) use import::*;

use clap::{Args, Parser, Subcommand, ValueHint};
use std::net::SocketAddr;
use std::path::PathBuf;

const FIRST_STEPS: &str = "First steps:\n  \
    bulkhead check -c gateway.toml          is the config right?\n  \
    bulkhead test boiler -c gateway.toml    does the device of connection `boiler` answer?\n  \
    bulkhead poll boiler -c gateway.toml    what does it read?\n  \
    bulkhead run -c gateway.toml            run the gateway\n  \
    bulkhead poll --help                    every command has examples in its help\n\n\
    Exit codes:\n  0  done\n  1  it did not work: the reason is on stderr\n  2  the command line or the config is wrong";

/// A gateway for industrial devices: sandboxed adapters, one durable log, HTTP and OData upstream.
#[derive(Debug, Parser)]
#[command(name = "bulkhead", version, about, after_help = FIRST_STEPS, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway until SIGTERM or Ctrl-C; it then stops in order within 5 seconds.
    #[command(after_help = "Example:\n  bulkhead run -c /etc/bulkhead/gateway.toml")]
    Run(RunArguments),
    /// Check a config and its adapters' settings. Opens no socket and no device; shows every mistake at once.
    #[command(
        after_help = "Examples:\n  bulkhead check -c gateway.toml\n  bulkhead check -c gateway.toml --json | jq '.diagnostics[].line'"
    )]
    Check(CheckArguments),
    /// Have the running gateway read its config again, as SIGHUP does. Only what changed begins anew; a config with mistakes
    /// is refused whole and the running one stays.
    #[command(
        after_help = "Examples:\n  bulkhead reload -c /etc/bulkhead/gateway.toml\n  bulkhead reload --json | jq '.restarted'"
    )]
    Reload(ChangeArguments),
    /// Go back to the previous config: through the running gateway where there is one, else in the file.
    #[command(
        after_help = "The file's content is replaced; what it held is kept in the data folder as config/undone.toml.\n\nExamples:\n  bulkhead rollback -c /etc/bulkhead/gateway.toml\n  bulkhead rollback --json"
    )]
    Rollback(ChangeArguments),
    /// Have one connection's adapter check its device or system, for real.
    #[command(after_help = "Example:\n  bulkhead test boiler -c gateway.toml")]
    Test(ConnectionArguments),
    /// Read every point of one connection once and print a table. Nothing is stored, nothing is acknowledged.
    #[command(
        after_help = "Examples:\n  bulkhead poll boiler -c gateway.toml\n  bulkhead poll boiler --json | jq '.[] | select(.status != \"Good\")'"
    )]
    Poll(PollArguments),
    /// Write a value to a point and read it back: through the running gateway where there is one, else directly.
    #[command(
        after_help = "Examples:\n  bulkhead write boiler setpoint 62.5\n  bulkhead write boiler pump on --json\n  bulkhead write boiler offset -3"
    )]
    Write(WriteArguments),
    /// Show how the connections of the running gateway do: state, calls, computing time, memory, faults, restarts. Of one
    /// connection, if it is named: everything, its last crash with the adapter's functions included.
    #[command(
        after_help = "Examples:\n  bulkhead connections\n  bulkhead connections boiler\n  bulkhead connections --json | jq '.[] | select(.state != \"running\") | .name'"
    )]
    Connections(ConnectionsArguments),
    /// Look on at a connection of the running gateway: frames and exchanges with its device, calls, readings and faults as they
    /// happen, secrets covered. Ctrl-C ends it.
    #[command(
        after_help = "Examples:\n  bulkhead tap boiler\n  bulkhead tap boiler --frames --for 10s\n  bulkhead tap boiler --readings --json | jq -r '.readings[].point'\n  bulkhead tap boiler --for 1m --record cases/boiler.toml"
    )]
    Tap(TapArguments),
    /// Look at what could not be delivered, in the running gateway: readings that an upstream refused, frames that an adapter
    /// failed on. Try them again, or discard them.
    #[command(
        subcommand,
        after_help = "Examples:\n  bulkhead dead-letters list --route to-erp\n  bulkhead dead-letters show 17\n  bulkhead dead-letters replay 17\n  bulkhead dead-letters replay --route to-erp\n  bulkhead dead-letters discard 17 18"
    )]
    DeadLetters(DeadLettersCommand),
    /// Adapters: what a file is and asks for, installing and upgrading, signing, writing your own.
    #[command(subcommand, after_help = ADAPTER_EXAMPLES)]
    Adapter(AdapterCommand),
    /// Users of the API: make the first one before the gateway runs, or any while it runs.
    #[command(
        subcommand,
        after_help = "Examples:\n  bulkhead user add anna --role admin -c /etc/bulkhead/gateway.toml\n  bulkhead user list\n  bulkhead user password anna\n  bulkhead user remove anna"
    )]
    User(UserCommand),
    /// API keys, for programs: random, good for all connections or some, with or without an end.
    #[command(
        subcommand,
        after_help = "Examples:\n  bulkhead key create historian -c /etc/bulkhead/gateway.toml\n  bulkhead key list\n  bulkhead key revoke historian"
    )]
    Key(KeyCommand),
    /// Show the audit log: who changed what, from where, and who was refused.
    #[command(
        after_help = "Examples:\n  bulkhead audit --since 24h\n  bulkhead audit --since 2026-11-22T08:00:00Z --json | jq 'select(.result == \"refused\")'"
    )]
    Audit(AuditArguments),
    /// Import history from a file, CSV or NDJSON, through the running gateway. If it breaks off, the same command goes on from
    /// there, and no row comes twice.
    #[command(
        after_help = "Examples:\n  bulkhead import history.csv --connection boiler --dry-run\n  bulkhead import telegraf.csv --connection boiler --time-format s --map host=ignore --map temp=point:flow_temp\n  bulkhead import messwerte.csv --connection boiler --decimal comma --zone Europe/Berlin --time-format '%d.%m.%Y %H:%M:%S' --map Zeit=time\n  bulkhead import readings.ndjson --bad-rows set-aside --json"
    )]
    Import(Box<ImportArguments>),
    /// Make a backup of the log, the config and the adapters: through the running gateway where there is one, else directly.
    ///
    /// It is written below gateway.backup_dir, read back and compared before it gets its name. Secrets are not in it: files
    /// that hold them stay where they are, those in the config itself are covered.
    #[command(
        after_help = "Examples:\n  bulkhead backup -c /etc/bulkhead/gateway.toml\n  bulkhead backup before-update --json | jq -r .dir"
    )]
    Backup(BackupArguments),
    /// Check a backup and make a log of it in the data folder of a gateway that is stopped.
    ///
    /// The restored log has a new id, and numbers readings behind everything the original had reserved. Config and
    /// adapters are in the backup as plain files; `--config-to` puts the config, and the files that its settings name, into
    /// a folder. Secrets are in no backup.
    #[command(
        after_help = "Examples:\n  bulkhead restore /var/lib/bulkhead/backups/before-update --check\n  bulkhead restore /mnt/usb/before-update --to /var/lib/bulkhead\n  bulkhead restore /mnt/usb/before-update --to /var/lib/bulkhead --replace"
    )]
    Restore(RestoreArguments),
    /// Collect in one file what somebody needs to help you: config, states, metrics and journal; no secrets and no readings.
    #[command(
        after_help = "Examples:\n  bulkhead support-bundle -c /etc/bulkhead/gateway.toml\n  bulkhead support-bundle -o /tmp/bundle.tar.gz"
    )]
    SupportBundle(SupportBundleArguments),
    /// Run simulated devices, an upstream and the gateway between them, with a live table of points.
    #[command(
        after_help = "The defaults are files of the source, built as its README says: run it there, or name others.\n\nExamples:\n  bulkhead demo --config gateway-config/examples/demo.toml --adapters target/adapters\n  bulkhead demo --once 100"
    )]
    Demo(DemoArguments),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  bulkhead completions bash > /etc/bash_completion.d/bulkhead")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Compile an adapter from stdin to stdout, within limits: what the gateway starts for an adapter it has not met.
    #[command(hide = true)]
    CompileAdapter {
        /// Code for the interpreter Pulley instead of this processor.
        #[arg(long)]
        pulley: bool,
    },
    /// Print the manual page.
    #[command(after_help = "Example:\n  bulkhead man > /usr/local/share/man/man1/bulkhead.1")]
    Man,
}

/// Which config.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgument {
    /// The config file.
    #[arg(short, long, value_name = "FILE", default_value = "gateway.toml", env = "BULKHEAD_CONFIG", value_hint = ValueHint::FilePath)]
    pub(crate) config: PathBuf,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Listen here instead of at `api.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print the mistakes as JSON, in the array `diagnostics`.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `reload` and `rollback`.
#[derive(Debug, Args)]
pub(crate) struct ChangeArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub(crate) struct ConnectionArguments {
    /// The connection, by its name in the config.
    pub(crate) connection: String,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `poll`.
#[derive(Debug, Args)]
pub(crate) struct PollArguments {
    #[command(flatten)]
    pub(crate) connection: ConnectionArguments,
    /// How long to wait for messages of a device that speaks by itself.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) listen_s: u64,
}

/// Arguments of `write`.
#[derive(Debug, Args)]
pub(crate) struct WriteArguments {
    /// The connection, by its name in the config.
    pub(crate) connection: String,
    /// The point, by its name in the connection.
    pub(crate) point: String,
    /// The value, as the point's kind has it: 62.5, on, "some text".
    #[arg(allow_negative_numbers = true)]
    pub(crate) value: String,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `connections`.
#[derive(Debug, Args)]
pub(crate) struct ConnectionsArguments {
    /// Show everything of this connection; without it all in a table.
    pub(crate) connection: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print them as a JSON array, or the one as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `tap`.
#[derive(Debug, Args)]
pub(crate) struct TapArguments {
    /// The connection, by its name in the config.
    pub(crate) connection: String,
    /// Show what goes over its transports.
    #[arg(long)]
    pub(crate) frames: bool,
    /// Show its readings.
    #[arg(long)]
    pub(crate) readings: bool,
    /// Show its faults.
    #[arg(long)]
    pub(crate) faults: bool,
    /// Show the calls of its adapter, what it writes to its log, and what it asks of the gateway (points, state). Without any of
    /// these four: everything.
    #[arg(long)]
    pub(crate) calls: bool,
    /// End after this time, such as 10s, 5m or 1h; without it Ctrl-C ends it.
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    pub(crate) for_s: Option<u64>,
    /// Write a script for `bulkhead adapter test` here when it ends, and the readings that are expected beside it.
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A time such as `10s`, `5m` or `1h`, in whole seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let seconds = factor.and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor));
    let seconds = seconds.filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or_else(|| "expected a time from 1s to 24h, such as 10s, 5m or 1h".into())
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters, the newest first.
    #[command(
        after_help = "Examples:\n  bulkhead dead-letters list\n  bulkhead dead-letters list --connection line --json | jq '.[].topic'"
    )]
    List(ListLettersArguments),
    /// Show one dead letter whole: a reading's value, a frame's bytes.
    #[command(after_help = "Example:\n  bulkhead dead-letters show 17")]
    Show(ShowLetterArguments),
    /// Try dead letters again: a reading goes to its route's sink, a frame to its connection's adapter. What is taken is
    /// removed.
    #[command(
        after_help = "Examples:\n  bulkhead dead-letters replay 17 18\n  bulkhead dead-letters replay --route to-erp\n\nExit code 1 when one was not taken."
    )]
    Replay(LettersArguments),
    /// Remove dead letters for good.
    #[command(
        after_help = "Examples:\n  bulkhead dead-letters discard 17\n  bulkhead dead-letters discard --connection line"
    )]
    Discard(LettersArguments),
}

/// Arguments of `dead-letters list`.
#[derive(Debug, Args)]
pub(crate) struct ListLettersArguments {
    /// Only readings of this route.
    #[arg(long, value_name = "ROUTE", conflicts_with = "connection")]
    pub(crate) route: Option<String>,
    /// Only frames of this connection.
    #[arg(long, value_name = "CONNECTION")]
    pub(crate) connection: Option<String>,
    /// Most letters listed.
    #[arg(long, value_name = "LETTERS", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) limit: u16,
    /// Only letters with lower numbers: the next page.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) before: Option<u64>,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print the letters as a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `dead-letters show`.
#[derive(Debug, Args)]
pub(crate) struct ShowLetterArguments {
    /// The letter's number.
    #[arg(value_name = "NUMBER")]
    pub(crate) letter: u64,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print the letter as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `dead-letters replay` and `discard`.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false, args = ["letters", "route", "connection"])]
pub(crate) struct LettersArguments {
    /// The letters' numbers.
    #[arg(value_name = "NUMBER")]
    pub(crate) letters: Vec<u64>,
    /// All readings of this route.
    #[arg(long, value_name = "ROUTE")]
    pub(crate) route: Option<String>,
    /// All frames of this connection.
    #[arg(long, value_name = "CONNECTION")]
    pub(crate) connection: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The backup's name below gateway.backup_dir; by default the gateway's name and the time. Where no gateway runs, a
    /// path with a `/` in it is good, too.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print what was made as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The backup's folder.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) backup: PathBuf,
    /// The data folder (gateway.data_dir) to put the log into.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, required_unless_present = "check")]
    pub(crate) to: Option<PathBuf>,
    /// Put the config and the files that its settings name into this folder, too; a file that is there is never replaced.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) config_to: Option<PathBuf>,
    /// Only check the backup; write nothing.
    #[arg(long, conflicts_with_all = ["to", "config_to", "replace", "continue_after"])]
    pub(crate) check: bool,
    /// Set a log that is in the data folder aside, under another name.
    #[arg(long)]
    pub(crate) replace: bool,
    /// The highest seq that systems above have from the original; new readings are numbered behind it.
    #[arg(long, value_name = "SEQ")]
    pub(crate) continue_after: Option<u64>,
    /// Print what was done as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `support-bundle`.
#[derive(Debug, Args)]
pub(crate) struct SupportBundleArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// The file to write; by default bulkhead-support-<time>.tar.gz in the working folder.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// The config to run; addresses of simulated devices that are taken are replaced by free ones.
    #[arg(short, long, value_name = "FILE", default_value = "gateway-config/examples/demo.toml", value_hint = ValueHint::FilePath)]
    pub(crate) config: PathBuf,
    /// The folder of the adapters.
    #[arg(long, value_name = "FOLDER", default_value = "target/adapters", value_hint = ValueHint::DirPath)]
    pub(crate) adapters: PathBuf,
    /// End with 0 once this many readings were accepted upstream, with 1 if that takes too long.
    #[arg(long, value_name = "READINGS")]
    pub(crate) once: Option<u64>,
    /// How long --once waits, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) once_timeout_s: u64,
}

#[cfg(test)]
mod tests;

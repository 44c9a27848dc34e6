//! The commands about who may use the API, as types.

use super::ConfigArgument;
use clap::{Args, Subcommand};

/// What to do with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user. Asks for the password at a terminal, else reads it from the first line of stdin.
    #[command(
        after_help = "Examples:\n  bulkhead user add anna --role admin\n  echo \"$PASSWORD\" | bulkhead user add anna --role admin -c /etc/bulkhead/gateway.toml"
    )]
    Add(AddUserArguments),
    /// List the users.
    #[command(after_help = "Example:\n  bulkhead user list --json | jq -r '.[].name'")]
    List(ListAccountsArguments),
    /// Remove a user; their sessions end.
    #[command(after_help = "Example:\n  bulkhead user remove anna")]
    Remove(UserArguments),
    /// Give a user another password; their sessions end.
    #[command(after_help = "Example:\n  bulkhead user password anna")]
    Password(UserArguments),
}

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an API key and print it: this is the only time that it is shown.
    #[command(
        after_help = "Examples:\n  bulkhead key create historian\n  bulkhead key create panel-3 --role operator --connection boiler --expires-days 365"
    )]
    Create(CreateKeyArguments),
    /// List the keys, without their secrets.
    #[command(after_help = "Example:\n  bulkhead key list")]
    List(ListAccountsArguments),
    /// Revoke a key, by its name or by what it begins with.
    #[command(after_help = "Examples:\n  bulkhead key revoke historian\n  bulkhead key revoke bk_1a2b3c4d")]
    Revoke(RevokeKeyArguments),
}

/// Arguments of `user add`.
#[derive(Debug, Args)]
pub(crate) struct AddUserArguments {
    /// The user's name: 1 to 64 letters, digits, `-`, `_`, `.`, `@` and `+`.
    pub(crate) name: String,
    /// What the user may do: viewer reads, operator also writes, admin everything.
    #[arg(long, value_parser = role)]
    pub(crate) role: bulkhead_config::ApiRole,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
}

/// Arguments of `user remove` and `user password`.
#[derive(Debug, Args)]
pub(crate) struct UserArguments {
    /// The user's name.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
}

/// Arguments of `user list` and `key list`.
#[derive(Debug, Args)]
pub(crate) struct ListAccountsArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `key create`.
#[derive(Debug, Args)]
pub(crate) struct CreateKeyArguments {
    /// What the key is for, in a word: 1 to 64 letters, digits, `-`, `_`, `.`, `@` and `+`.
    pub(crate) name: String,
    /// What its holder may do: viewer reads, operator also writes, admin everything.
    #[arg(long, default_value = "viewer", value_parser = role)]
    pub(crate) role: bulkhead_config::ApiRole,
    /// A connection that it is good for; several times for several. All, if none is given.
    #[arg(long = "connection", value_name = "CONNECTION")]
    pub(crate) connections: Vec<String>,
    /// Take connections that the config does not have yet, too.
    #[arg(long, requires = "connections")]
    pub(crate) allow_unknown: bool,
    /// Days until it ends; it does not end by itself if none are given.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=36_500))]
    pub(crate) expires_days: Option<u16>,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print the key and what it is as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `key revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeKeyArguments {
    /// Its name, or what it begins with: `bk_…`.
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
}

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// Only what happened since then: a time (2026-11-22T08:00:00Z), or so long ago (30m, 12h, 7d).
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

fn role(name: &str) -> Result<bulkhead_config::ApiRole, String> {
    bulkhead_config::ApiRole::named(name).ok_or_else(|| "expected viewer, operator or admin".into())
}

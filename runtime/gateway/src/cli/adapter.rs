//! The command line of `bulkhead adapter`.

use super::ConfigArgument;
use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;

pub(super) const ADAPTER_EXAMPLES: &str = "Examples:
  bulkhead adapter inspect press.wasm
  bulkhead adapter install press.wasm -c /etc/bulkhead/gateway.toml
  bulkhead adapter upgrade press.wasm -c /etc/bulkhead/gateway.toml
  bulkhead adapter list -c /etc/bulkhead/gateway.toml
  bulkhead adapter new weigher --role poller --lang rust";

/// What to do with adapters.
#[derive(Debug, Subcommand)]
pub(crate) enum AdapterCommand {
    /// Show what an adapter file is: identity, roles, what it asks for and why, and a config block with the least grants.
    /// Nothing of it is run.
    #[command(
        after_help = "Examples:\n  bulkhead adapter inspect press.wasm\n  bulkhead adapter inspect press.wasm -c gateway.toml\n  bulkhead adapter inspect press.wasm --json | jq .asks\n\nExit code 1 when the file is no adapter, or, with --config, when the config's [security] does not admit it."
    )]
    Inspect(InspectArguments),
    /// Make a pair of keys to sign adapters with. The secret one is for you alone; the public one goes into the operators'
    /// `[security.trusted_keys]`.
    #[command(
        after_help = "With --password-env the secret key is encrypted with the password in that variable.\n\nExample:\n  bulkhead adapter key acme\n  (writes acme.key and acme.pub)"
    )]
    Key(KeyArguments),
    /// Sign an adapter file: writes NAME.wasm.minisig beside it. minisign verifies it, too.
    #[command(
        after_help = "Examples:\n  bulkhead adapter sign press.wasm --key acme.key\n  BULKHEAD_KEY_PASSWORD=… bulkhead adapter sign press.wasm --key acme.key --password-env BULKHEAD_KEY_PASSWORD"
    )]
    Sign(SignArguments),
    /// Put an adapter, or all of an offline set, into the gateway's folder of adapters, once the config's [security] admits it.
    #[command(
        after_help = "Examples:\n  bulkhead adapter install press.wasm -c /etc/bulkhead/gateway.toml\n  bulkhead adapter install site.tar\n  bulkhead adapter install https://acme.example/press.wasm\n  bulkhead adapter install oci://registry.example/acme/press:1.2.0\n\nOne that is there already is replaced by `upgrade`."
    )]
    Install(InstallArguments),
    /// List the adapters in the gateway's folder: version, maker, who signed them, which connections use them.
    #[command(
        after_help = "Examples:\n  bulkhead adapter list\n  bulkhead adapter list --json | jq '.[] | select(.signed_by == null)'"
    )]
    List(ListArguments),
    /// Replace an adapter by another version, on probation: the previous one comes back by itself when a connection that was
    /// well before is not well in time.
    #[command(
        after_help = "Examples:\n  bulkhead adapter upgrade press.wasm -c /etc/bulkhead/gateway.toml\n  bulkhead adapter upgrade press.wasm --probation-s 300\n  bulkhead adapter upgrade site.tar --name press\n\nExit code 1 when the previous version is back."
    )]
    Upgrade(UpgradeArguments),
    /// Remove an adapter from the gateway's folder. One that a connection uses stays.
    #[command(after_help = "Example:\n  bulkhead adapter remove press -c /etc/bulkhead/gateway.toml")]
    Remove(RemoveArguments),
    /// Put adapters, their signatures and public keys into one file, for a site without a network.
    #[command(
        after_help = "Example:\n  bulkhead adapter pack -o site.tar press.wasm pump.wasm --key acme.pub\n  (there: bulkhead adapter install site.tar)"
    )]
    Pack(PackArguments),
    /// Put an adapter and its signature into an OCI registry.
    #[command(
        after_help = "Examples:\n  bulkhead adapter push press.wasm oci://registry.example/acme/press:1.2.0\n  REGISTRY_PASSWORD=… bulkhead adapter push press.wasm oci://registry.example/acme/press:1.2.0 --username acme --password-env REGISTRY_PASSWORD"
    )]
    Push(PushArguments),
    /// Make a project for a new adapter: it builds, has tests and a README, and brings the SDK with it.
    #[command(
        after_help = "Examples:\n  bulkhead adapter new weigher --role poller\n  bulkhead adapter new press --role poller --role writer --into ~/adapters/press\n  bulkhead adapter new meter --role poller --lang python"
    )]
    New(NewArguments),
    /// Build the adapter of a project: dist/NAME.wasm, with its manifest and the schema of its settings.
    #[command(
        after_help = "Examples:\n  bulkhead adapter build\n  bulkhead adapter build --project ~/adapters/press\n  bulkhead adapter build --component made-by-another-tool.wasm\n\nExit code 1 when it does not compile, or adapter.toml does not fit what was compiled."
    )]
    Build(BuildArguments),
    /// Run an adapter in the real sandbox by scripts of what its devices answer, and compare what comes of it.
    #[command(
        after_help = "Examples:\n  bulkhead adapter test\n  bulkhead adapter test --update\n  bulkhead adapter test --component press.wasm --cases cases/\n\nExit code 1 when a case failed; the first difference is shown with its place."
    )]
    Test(TestArguments),
    /// Build a project's adapter and run it against the device of its run.toml, printing what it reads.
    #[command(after_help = "Examples:\n  bulkhead adapter run\n  bulkhead adapter run -c run.toml --times 3 --json")]
    Run(RunAdapterArguments),
}

/// A role of a new adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum RoleArgument {
    /// Reads when asked.
    Poller,
    /// Turns messages, lines and frames into readings.
    Listener,
    /// Writes values to a device.
    Writer,
    /// Takes readings upstream.
    Sink,
    /// Answers webhooks.
    Responder,
}

/// A language of a new adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// Rust, with the SDK.
    Rust,
    /// JavaScript; its component has an interpreter in it.
    #[value(alias = "javascript")]
    Js,
    /// Python; its component has an interpreter in it.
    Python,
    /// C.
    C,
}

/// Arguments of `adapter new`.
#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The adapter's name.
    pub(crate) name: String,
    /// What it does; can be given several times.
    #[arg(long = "role", value_name = "ROLE", value_enum, required = true)]
    pub(crate) roles: Vec<RoleArgument>,
    /// The language it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub(crate) lang: Language,
    /// The folder to make; by default the name, in the working folder.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) into: Option<PathBuf>,
}

/// Arguments of `adapter build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// The project's folder.
    #[arg(long, value_name = "FOLDER", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) project: PathBuf,
    /// Make the adapter of this component, which another tool has built.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) component: Option<PathBuf>,
}

/// Arguments of `adapter test`.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// The project's folder.
    #[arg(long, value_name = "FOLDER", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) project: PathBuf,
    /// Test this adapter instead of building the project's.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) component: Option<PathBuf>,
    /// The folder of the scripts; by default `cases` in the project.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) cases: Option<PathBuf>,
    /// Write what came of each script as what is expected from now on.
    #[arg(long)]
    pub(crate) update: bool,
    /// Print the results as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `adapter run`.
#[derive(Debug, Args)]
pub(crate) struct RunAdapterArguments {
    /// The project's folder.
    #[arg(long, value_name = "FOLDER", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) project: PathBuf,
    /// The config; by default `run.toml` in the project.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// End after so many rounds; by default at Ctrl-C.
    #[arg(long, value_name = "ROUNDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) times: Option<u32>,
    /// Print each reading as a line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `adapter inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// The adapter file.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Judge it by this config's [security], too.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `adapter key`.
#[derive(Debug, Args)]
pub(crate) struct KeyArguments {
    /// The files' name: NAME.key and NAME.pub are written. Neither may be there.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) name: PathBuf,
    /// Encrypt the secret key with the password in this environment variable.
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) password_env: Option<String>,
}

/// Arguments of `adapter sign`.
#[derive(Debug, Args)]
pub(crate) struct SignArguments {
    /// The adapter files.
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// The secret key's file.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
    /// The password of the secret key is in this environment variable.
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) password_env: Option<String>,
}

/// Arguments of `adapter install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArguments {
    /// The adapter file, its https:// address, its oci:// reference in a registry, or a set made by `bulkhead adapter pack` (its
    /// name ends in .tar).
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The adapter's name here; by default the file's.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The signature's file; by default the adapter's with `.minisig` behind it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) signature: Option<PathBuf>,
    /// Take an older version than the one accepted before, or another adapter under its name.
    #[arg(long)]
    pub(crate) allow_rollback: bool,
    #[command(flatten)]
    pub(crate) registry: RegistryArguments,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print what was installed as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `adapter list`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print the adapters as a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `adapter upgrade`.
#[derive(Debug, Args)]
pub(crate) struct UpgradeArguments {
    #[command(flatten)]
    pub(crate) new: InstallArguments,
    /// How long to watch the new version, in seconds; by default `security.upgrade_probation_s`.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) probation_s: Option<u32>,
}

/// Arguments of `adapter remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// The adapter, by its name in the folder.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) config: ConfigArgument,
    /// Print what was removed as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `adapter pack`.
#[derive(Debug, Args)]
pub(crate) struct PackArguments {
    /// The adapter files; a signature beside one goes with it.
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// The set to write.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// A public key to hand over with them; can be given several times.
    #[arg(short, long = "key", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) keys: Vec<PathBuf>,
}

/// How a registry is reached.
#[derive(Debug, Args)]
pub(crate) struct RegistryArguments {
    /// The user's name at the registry.
    #[arg(long, value_name = "NAME", requires = "password_env")]
    pub(crate) username: Option<String>,
    /// The user's password is in this environment variable.
    #[arg(long, value_name = "VARIABLE", requires = "username")]
    pub(crate) password_env: Option<String>,
    /// Ask the registry without TLS; one on this machine is always asked so.
    #[arg(long)]
    pub(crate) plain_http: bool,
}

/// Arguments of `adapter push`.
#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    /// The adapter file; the signature beside it goes with it.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Where to put it: oci://HOST/NAME:TAG.
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) registry: RegistryArguments,
    /// Print what was put there as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

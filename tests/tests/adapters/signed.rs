//! Signatures, pins and versions: what the commands and the gateway admit and what they refuse.

use bulkhead_tests::{Certificates, CommandOutput, Polled, Site, gateway_binary, program, versioned_adapter, within};
use std::path::Path;
use tokio::io::AsyncBufReadExt;

/// A site that asks for signatures of `acme`, whose key is in it, beside a stranger's.
pub(crate) struct Strict {
    pub(crate) site: Site,
}

impl Strict {
    pub(crate) async fn new() -> Self {
        let site = Site::verbatim("").unwrap();
        for name in ["acme", "stranger"] {
            let made = site.command(["adapter", "key", site.path(name).to_str().unwrap()]).await.unwrap();
            assert_eq!(made.code, Some(0), "{}", made.stderr);
        }
        let public = std::fs::read_to_string(site.path("acme.pub")).unwrap();
        let key = public.lines().last().unwrap();
        let config = format!(
            "[gateway]\ndata_dir = \"data\"\nadapters_dir = \"adapters\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
             [security]\nrequire_signed = true\n[security.trusted_keys]\nacme = \"{key}\"\n"
        );
        site.write_file("gateway.toml", &config).unwrap();
        Self { site }
    }

    /// A version of the press in a file of this name, signed with a key or not.
    pub(crate) async fn press(&self, file: &str, version: &str, key: Option<&str>) -> String {
        let path = self.site.path(file);
        std::fs::write(&path, versioned_adapter(version, Polled::Well).unwrap()).unwrap();
        if let Some(key) = key {
            let key = self.site.path(&format!("{key}.key"));
            let signed = ["adapter", "sign", path.to_str().unwrap(), "--key", key.to_str().unwrap()];
            let signed = self.site.command(signed).await.unwrap();
            assert_eq!(signed.code, Some(0), "{}", signed.stderr);
        }
        path.to_str().unwrap().to_owned()
    }

    async fn install(&self, file: &str) -> CommandOutput {
        self.site.command(["adapter", "install", file, "--name", "press"]).await.unwrap()
    }

    async fn is_refused(&self, file: &str, reason: &str) {
        let refused = self.install(file).await;
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains(reason), "expected {reason:?}: {}", refused.stderr);
        assert!(!self.site.path("adapters/press.wasm").exists(), "nothing is put in place");
    }

    fn use_it(&self) {
        let config = self.site.config().unwrap() + "[connections.line]\nadapter = \"press\"\n";
        self.site.write_file("gateway.toml", &config).unwrap();
    }
}

#[tokio::test]
async fn only_what_a_trusted_key_signed_for_this_very_file_is_installed() {
    let strict = Strict::new().await;
    let unsigned = strict.press("unsigned.wasm", "1.0.0", None).await;
    strict.is_refused(&unsigned, "is not signed").await;
    let strange = strict.press("strange.wasm", "1.0.0", Some("stranger")).await;
    strict.is_refused(&strange, "none of security.trusted_keys (acme)").await;
    let good = strict.press("good.wasm", "1.0.0", Some("acme")).await;
    // The signature of another file, then one byte altered, then no signature at all.
    std::fs::copy(format!("{good}.minisig"), format!("{unsigned}.minisig")).unwrap();
    let other = strict.press("other.wasm", "1.0.1", None).await;
    std::fs::copy(format!("{good}.minisig"), format!("{other}.minisig")).unwrap();
    strict.is_refused(&other, "does not fit the file").await;
    let mut bytes = std::fs::read(&good).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&other, bytes).unwrap();
    strict.is_refused(&other, "does not fit the file").await;
    std::fs::write(format!("{other}.minisig"), "untrusted comment: x\nnonsense\n").unwrap();
    strict.is_refused(&other, "no minisign signature").await;

    let installed = strict.install(&good).await;
    assert_eq!(installed.code, Some(0), "{}", installed.stderr);
    assert_eq!(installed.stdout, "installed press: acme/press 1.0.0, signed by acme\n");
    let listed = strict.site.command(["adapter", "list"]).await.unwrap();
    let expected = "adapter  version  id          signed by  used by  state\n\
                    press    1.0.0    acme/press  acme       –        admitted\n";
    assert_eq!(listed.stdout, expected);
}

#[tokio::test]
async fn what_was_altered_after_its_installation_is_neither_checked_nor_run() {
    let strict = Strict::new().await;
    let good = strict.press("good.wasm", "1.0.0", Some("acme")).await;
    assert_eq!(strict.install(&good).await.code, Some(0));
    strict.use_it();
    assert_eq!(strict.site.command(["check"]).await.unwrap().code, Some(0));
    let installed = strict.site.path("adapters/press.wasm");
    // No WebAssembly any more: whoever parsed it before judging it would say so.
    std::fs::write(&installed, b"altered").unwrap();
    let checked = strict.site.command(["check"]).await.unwrap();
    assert_eq!(checked.code, Some(2));
    let said = checked.stderr.replace("\n", " ");
    assert!(said.contains("does not fit the file") && !said.contains("WebAssembly"), "{}", checked.stderr);
    let listed = strict.site.command(["adapter", "list", "--json"]).await.unwrap();
    assert!(listed.stdout.contains("refused:"), "{}", listed.stdout);
    let probed = strict.site.command(["poll", "line"]).await.unwrap();
    assert_eq!(probed.code, Some(2), "{}", probed.stderr);
}

#[tokio::test]
async fn an_older_version_needs_the_operators_word() {
    let strict = Strict::new().await;
    let new = strict.press("new.wasm", "1.2.0", Some("acme")).await;
    let old = strict.press("old.wasm", "1.1.0", Some("acme")).await;
    assert_eq!(strict.install(&new).await.code, Some(0));
    let refused = strict.site.command(["adapter", "upgrade", &old, "--name", "press"]).await.unwrap();
    assert!(refused.stderr.contains("version 1.1.0, older than 1.2.0"), "{}", refused.stderr);
    // Put there by hand, with its good signature: the gateway refuses to load it.
    strict.use_it();
    for end in ["", ".minisig"] {
        std::fs::copy(format!("{old}{end}"), strict.site.path(&format!("adapters/press.wasm{end}"))).unwrap();
    }
    let probed = strict.site.command(["test", "line"]).await.unwrap();
    assert!(probed.code == Some(1) && probed.stderr.contains("older than 1.2.0"), "{}", probed.stderr);
    let asked = ["adapter", "upgrade", &old, "--name", "press", "--allow-rollback"];
    let taken = strict.site.command(asked).await.unwrap();
    assert_eq!(taken.code, Some(0), "{}", taken.stderr);
    assert_eq!(strict.site.command(["test", "line"]).await.unwrap().code, Some(0));
}

#[tokio::test]
async fn a_pinned_adapter_is_that_file_and_no_other() {
    let site = Site::verbatim("").unwrap();
    let file = site.path("press.wasm");
    std::fs::write(&file, versioned_adapter("1.0.0", Polled::Well).unwrap()).unwrap();
    let pin = |sha256: &str| {
        let config = format!("[gateway]\nadapters_dir = \"adapters\"\n[security.pins]\npress = \"{sha256}\"\n");
        site.write_file("gateway.toml", &config).unwrap();
    };
    pin(&"0".repeat(64));
    let refused = site.command(["adapter", "install", file.to_str().unwrap()]).await.unwrap();
    assert!(refused.code == Some(1) && refused.stderr.contains("security.pins expects 0000"), "{}", refused.stderr);
    let shown = site.command(["adapter", "inspect", file.to_str().unwrap(), "--json"]).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    pin(shown["sha256"].as_str().unwrap());
    let taken = site.command(["adapter", "install", file.to_str().unwrap()]).await.unwrap();
    assert_eq!(taken.code, Some(0), "{}", taken.stderr);
}

#[tokio::test]
async fn a_set_is_installed_whole_or_not_at_all_and_brings_no_trust_of_its_own() {
    let strict = Strict::new().await;
    let good = strict.press("press.wasm", "1.0.0", Some("acme")).await;
    let strange = strict.press("pump.wasm", "1.0.0", Some("stranger")).await;
    let set = strict.site.path("site.tar").to_str().unwrap().to_owned();
    let keys = ["acme.pub", "stranger.pub"].map(|name| strict.site.path(name).to_str().unwrap().to_owned());
    let packed = ["adapter", "pack", "-o", &set, &good, &strange, "--key", &keys[0], "--key", &keys[1]];
    let packed = strict.site.command(packed).await.unwrap();
    assert!(packed.stdout.contains("2 adapters (2 signed), 2 keys"), "{} {}", packed.stdout, packed.stderr);
    let refused = strict.site.command(["adapter", "install", &set]).await.unwrap();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("none of security.trusted_keys"), "{}", refused.stderr);
    assert!(refused.stderr.contains("stranger = \"RW") && !refused.stderr.contains("acme = "), "{}", refused.stderr);
    assert!(!Path::new(&strict.site.path("adapters/press.wasm")).exists(), "whole or not at all");
    let packed = strict.site.command(["adapter", "pack", "-o", &set, &good]).await.unwrap();
    assert_eq!(packed.code, Some(0), "{}", packed.stderr);
    let installed = strict.site.command(["adapter", "install", &set, "--json"]).await.unwrap();
    assert!(installed.stdout.contains("\"signed_by\": \"acme\""), "{} {}", installed.stdout, installed.stderr);
}

#[tokio::test]
async fn a_set_brings_adapters_and_their_upgrades_to_a_site_without_a_network() {
    let strict = Strict::new().await;
    let pack = async |version| {
        let files = [
            strict.press("press.wasm", version, Some("acme")).await,
            strict.press("pump.wasm", version, Some("acme")).await,
        ];
        let (set, key) = (strict.site.path("site.tar"), strict.site.path("acme.pub"));
        let (set, key) = (set.to_str().unwrap(), key.to_str().unwrap());
        let packed = ["adapter", "pack", "-o", set, &files[0], &files[1], "--key", key];
        let packed = strict.site.command(packed).await.unwrap();
        assert!(packed.stdout.contains("2 adapters (2 signed), 1 key"), "{} {}", packed.stdout, packed.stderr);
        set.to_owned()
    };
    let set = pack("1.0.0").await;
    let trace = strict.site.path("sockets.txt");
    let mut traced = tokio::process::Command::new(program("strace").unwrap());
    traced.args(["-f", "-e", "trace=socket,connect", "-o"]).arg(&trace).arg(gateway_binary().unwrap());
    traced.args(["adapter", "install", &set, "-c"]).arg(strict.site.path("gateway.toml")).kill_on_drop(true);
    let installed = within("an installation of a set", traced.output()).await.unwrap().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let sockets = std::fs::read_to_string(trace).unwrap();
    assert!(sockets.contains("exited with 0") && !sockets.contains("AF_INET"), "{sockets}");

    let set = pack("1.1.0").await;
    let unnamed = strict.site.command(["adapter", "upgrade", &set]).await.unwrap();
    assert!(unnamed.stderr.contains("holds press, pump: say with --name which one"), "{}", unnamed.stderr);
    let upgraded = strict.site.command(["adapter", "upgrade", &set, "--name", "pump", "--json"]).await.unwrap();
    let upgraded: serde_json::Value = serde_json::from_str(&upgraded.stdout).unwrap();
    assert_eq!(
        (&upgraded["name"], &upgraded["version"], &upgraded["signed_by"]),
        (&"pump".into(), &"1.1.0".into(), &"acme".into())
    );
}

#[tokio::test]
async fn an_adapter_in_use_stays_and_another_goes() {
    let strict = Strict::new().await;
    let good = strict.press("press.wasm", "1.0.0", Some("acme")).await;
    assert_eq!(strict.install(&good).await.code, Some(0));
    let again = strict.install(&good).await;
    assert!(again.code == Some(1) && again.stderr.contains("adapter upgrade"), "{}", again.stderr);
    strict.use_it();
    let refused = strict.site.command(["adapter", "remove", "press"]).await.unwrap();
    assert!(refused.code == Some(1) && refused.stderr.contains("is used by line"), "{}", refused.stderr);
    let config = strict.site.config().unwrap().replace("[connections.line]\nadapter = \"press\"\n", "");
    strict.site.write_file("gateway.toml", &config).unwrap();
    assert_eq!(strict.site.command(["adapter", "remove", "press"]).await.unwrap().code, Some(0));
    assert!(!strict.site.path("adapters/press.wasm").exists());
    assert!(!strict.site.path("adapters/press.wasm.minisig").exists());
}

/// An HTTPS server of a folder. It ends with its handle.
struct Files {
    _child: tokio::process::Child,
    certificates: Certificates,
    port: u16,
}

const SERVE: &str = "import http.server, ssl, sys, os
os.chdir(sys.argv[1])
server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

impl Files {
    async fn of(folder: &Path) -> Self {
        let certificates = Certificates::make().await.unwrap();
        let mut command = tokio::process::Command::new(program("python3").unwrap());
        command.args(["-c", SERVE]).arg(folder).arg(certificates.server()).arg(certificates.server_key());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let port = within("the server's port", lines.next_line()).await.unwrap().unwrap().unwrap();
        Self { _child: child, certificates, port: port.parse().unwrap() }
    }

    async fn install(&self, site: &Site, file: &str, more: &[&str]) -> CommandOutput {
        let mut command = tokio::process::Command::new(gateway_binary().unwrap());
        command.args(["adapter", "install", &format!("https://localhost:{}/{file}", self.port)]).args(more);
        command.env("BULKHEAD_CONFIG", site.path("gateway.toml")).env("SSL_CERT_FILE", self.certificates.authority());
        for proxy in ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        let output = within("an installation over HTTPS", command.output()).await.unwrap().unwrap();
        CommandOutput {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

#[tokio::test]
async fn an_adapter_comes_over_https_with_its_signature_or_not_at_all() {
    let strict = Strict::new().await;
    strict.press("press.wasm", "1.0.0", Some("acme")).await;
    strict.press("bare.wasm", "1.0.0", None).await;
    let files = Files::of(&strict.site.path("")).await;
    let unsigned = files.install(&strict.site, "bare.wasm", &[]).await;
    assert!(unsigned.code == Some(1) && unsigned.stderr.contains("is not signed"), "{}", unsigned.stderr);
    let absent = files.install(&strict.site, "none.wasm", &[]).await;
    assert!(absent.stderr.contains("no such file (404)"), "{}", absent.stderr);
    let plain = strict.site.command(["adapter", "install", "http://localhost/press.wasm"]).await.unwrap();
    assert!(plain.stderr.contains("https:// only"), "{}", plain.stderr);
    let stranger = Files { certificates: Certificates::make().await.unwrap(), ..files };
    let refused = stranger.install(&strict.site, "press.wasm", &[]).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("ertificate"), "{}", refused.stderr);
    assert!(!strict.site.path("adapters/press.wasm").exists());
}

#[tokio::test]
async fn a_signed_adapter_is_installed_over_https() {
    let strict = Strict::new().await;
    strict.press("press.wasm", "1.0.0", Some("acme")).await;
    let files = Files::of(&strict.site.path("")).await;
    let installed = files.install(&strict.site, "press.wasm", &["--json"]).await;
    assert_eq!(installed.code, Some(0), "{}", installed.stderr);
    assert!(installed.stdout.contains("\"signed_by\": \"acme\""), "{}", installed.stdout);
}

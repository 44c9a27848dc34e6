//! Adapters in a registry that others wrote: pushed and installed by tag and by digest, with signatures, by every way to sign in.

use crate::signed::Strict;
use bulkhead_tests::{CommandOutput, OciRegistry, RegistryAccess, gateway_binary, program, within};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::Stdio;
use tokio::io::AsyncBufReadExt;

/// A command of a site, with a password for registries in its environment and without anybody's proxies.
async fn command(site: &Strict, authority: Option<&Path>, arguments: &[&str]) -> CommandOutput {
    let mut command = tokio::process::Command::new(gateway_binary().unwrap());
    command.args(arguments).env("BULKHEAD_CONFIG", site.site.path("gateway.toml"));
    command.env("REGISTRY_PASSWORD", OciRegistry::PASSWORD).env("NO_COLOR", "1").kill_on_drop(true);
    for proxy in ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    command.envs(authority.map(|file| ("SSL_CERT_FILE", file)));
    let output = within("a command with a registry", command.output()).await.unwrap().unwrap();
    CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

const SIGN_IN: [&str; 4] = ["--username", "gateway", "--password-env", "REGISTRY_PASSWORD"];

fn said(output: &CommandOutput) -> Json {
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

fn is_refused(output: &CommandOutput, reason: &str) {
    assert!(output.code == Some(1) && output.stderr.contains(reason), "expected {reason:?}: {}", output.stderr);
}

#[tokio::test]
async fn an_adapter_goes_into_a_registry_and_comes_out_with_its_signature() {
    let registry = OciRegistry::start(RegistryAccess::Open).await.unwrap();
    let (author, site) = (Strict::new().await, Strict::new().await);
    let key = author.site.config().unwrap();
    site.site.write_file("gateway.toml", &key).unwrap();
    let file = author.press("press.wasm", "1.2.0", Some("acme")).await;
    let tag = registry.reference("acme/press:1.2.0");
    let pushed = said(&command(&author, None, &["adapter", "push", &file, &tag, "--json"]).await);
    assert_eq!(pushed["signed"], true);
    let digest = pushed["digest"].as_str().unwrap();

    // As other tools expect it: one layer, the component, and a config that says what it is.
    let manifest: Json = serde_json::from_slice(&std::fs::read(registry.file_of(digest)).unwrap()).unwrap();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "1.2.0");
    let config = std::fs::read(registry.file_of(manifest["config"]["digest"].as_str().unwrap())).unwrap();
    let config: Json = serde_json::from_slice(&config).unwrap();
    assert_eq!((&config["os"], &config["architecture"]), (&json!("wasip2"), &json!("wasm")));
    assert_eq!(config["layerDigests"], json!([manifest["layers"][0]["digest"]]));
    assert!(config["component"]["exports"].to_string().contains("bulkhead:adapter/poller@"), "{config}");

    assert_eq!(registry.tags("acme/press").len(), 2, "the version, and what refers to it");
    let installed = said(&command(&site, None, &["adapter", "install", &tag, "--json"]).await);
    assert_eq!((&installed[0]["name"], &installed[0]["signed_by"]), (&json!("press"), &json!("acme")));
    assert_eq!(std::fs::read(site.site.path("adapters/press.wasm")).unwrap(), std::fs::read(&file).unwrap());
    let by_digest = registry.reference(&format!("acme/press@{digest}"));
    let installed = said(&command(&site, None, &["adapter", "install", &by_digest, "--name", "pump", "--json"]).await);
    assert_eq!((&installed[0]["name"], &installed[0]["version"]), (&json!("pump"), &json!("1.2.0")));
    let newer = author.press("press.wasm", "1.3.0", Some("acme")).await;
    let newest = registry.reference("acme/press:1.3.0");
    said(&command(&author, None, &["adapter", "push", &newer, &newest, "--json"]).await);
    let upgraded = said(&command(&site, None, &["adapter", "upgrade", &newest, "--json"]).await);
    assert_eq!((&upgraded["name"], &upgraded["version"]), (&json!("press"), &json!("1.3.0")));
}

#[tokio::test]
async fn what_nobody_trusted_signed_or_a_registry_altered_is_refused() {
    let registry = OciRegistry::start(RegistryAccess::Open).await.unwrap();
    let site = Strict::new().await;
    let push = async |file: &str, tag: &str| {
        said(&command(&site, None, &["adapter", "push", file, &registry.reference(tag), "--json"]).await)
    };
    let install = async |name: &str| {
        let reference = registry.reference(name);
        command(&site, None, &["adapter", "install", &reference, "--name", "press"]).await
    };
    let bare = site.press("bare.wasm", "1.0.0", None).await;
    push(&bare, "acme/bare:1").await;
    is_refused(&install("acme/bare:1").await, "is not signed");
    let strange = site.press("bare.wasm", "1.0.0", Some("stranger")).await;
    push(&strange, "acme/bare:1").await;
    is_refused(&install("acme/bare:1").await, "none of security.trusted_keys");

    let nothing = install("acme/nothing:1").await;
    is_refused(&nothing, "(404)");
    is_refused(&install("acme/bare").await, "neither tag nor digest");
    let zeros = format!("acme/bare@sha256:{}", "0".repeat(64));
    is_refused(&install(&zeros).await, "(404)");

    // Both keys have signed the same bytes by now: the one that is trusted counts.
    let signed = site.press("bare.wasm", "1.0.0", Some("acme")).await;
    let pushed = push(&signed, "acme/bare:1").await;
    let taken = install("acme/bare:1").await;
    assert_eq!(taken.code, Some(0), "{}", taken.stderr);

    let manifest = std::fs::read(registry.file_of(pushed["digest"].as_str().unwrap())).unwrap();
    let manifest: Json = serde_json::from_slice(&manifest).unwrap();
    let blob = registry.file_of(manifest["layers"][0]["digest"].as_str().unwrap());
    let mut bytes = std::fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    is_refused(&install("acme/bare:1").await, "does not have this digest");
}

#[tokio::test]
async fn a_registry_with_a_password_is_asked_with_it_and_says_so_without() {
    for access in [RegistryAccess::Password, RegistryAccess::TlsWithPassword] {
        let registry = OciRegistry::start(access).await.unwrap();
        let site = Strict::new().await;
        let (file, tag) = (site.press("press.wasm", "1.0.0", Some("acme")).await, registry.reference("acme/press:1"));
        let authority = registry.authority();
        let run = async |words: &[&str]| command(&site, authority.as_deref(), words).await;
        is_refused(&run(&["adapter", "push", &file, &tag]).await, "give --username and --password-env");
        let pushed = run(&[&["adapter", "push", file.as_str(), tag.as_str()][..], &SIGN_IN].concat()).await;
        assert_eq!(pushed.code, Some(0), "{}", pushed.stderr);
        is_refused(&run(&["adapter", "install", &tag]).await, "401");
        let installed = run(&[&["adapter", "install", tag.as_str()][..], &SIGN_IN].concat()).await;
        assert!(installed.code == Some(0) && installed.stdout.contains("signed by acme"), "{}", installed.stderr);
        if authority.is_some() {
            let untrusting =
                command(&site, None, &[&["adapter", "upgrade", tag.as_str()][..], &SIGN_IN].concat()).await;
            is_refused(&untrusting, "ertificate");
        }
    }
}

/// Stands before a registry and takes tokens only, which it gives for a password. It keeps the account of what refers to what,
/// which docker-registry does not.
const TOKENS: &str = r#"import base64, hashlib, http.client, http.server, json, sys

BASIC = 'Basic ' + base64.b64encode(('gateway:' + sys.argv[2]).encode()).decode()

REFERRERS = {}

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *arguments):
        pass

    def answer(self, status, headers, body, length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)) if length is None else length)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def serve(self):
        sent = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        authorization = self.headers.get('Authorization')
        if self.path.startswith('/token?'):
            asked = 'service=test' in self.path and 'scope=repository%3Aacme%2Fpress%3Apull' in self.path
            known = authorization == BASIC and asked
            body = json.dumps({'access_token': 't0ken'} if known else {'errors': [{'message': 'who are you'}]})
            return self.answer(200 if known else 401, [], body.encode())
        if authorization != 'Bearer t0ken':
            realm = 'http://127.0.0.1:%d/token' % self.server.server_port
            return self.answer(401, [('WWW-Authenticate', 'Bearer realm="%s",service="test"' % realm)], b'{}')
        if '/referrers/' in self.path:
            known = REFERRERS.get(self.path.split('/referrers/')[1], [])
            index = {'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.index.v1+json', 'manifests': known}
            return self.answer(200, [], json.dumps(index).encode())
        registry = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))
        mine = ('authorization', 'connection', 'content-length', 'transfer-encoding')
        headers = {name: value for name, value in self.headers.items() if name.lower() not in mine}
        registry.request(self.command, self.path, sent, headers)
        response = registry.getresponse()
        body = response.read()
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in mine]
        subject = json.loads(sent).get('subject') if self.command == 'PUT' and '/manifests/' in self.path else None
        if subject:
            digest = 'sha256:' + hashlib.sha256(sent).hexdigest()
            one = {'digest': digest, 'size': len(sent), 'mediaType': self.headers['Content-Type']}
            one['artifactType'] = json.loads(sent)['artifactType']
            REFERRERS.setdefault(subject['digest'], []).append(one)
            kept.append(('OCI-Subject', subject['digest']))
        self.answer(response.status, kept, body, response.getheader('Content-Length') if self.command == 'HEAD' else None)

    do_GET = do_HEAD = do_POST = do_PUT = serve

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#;

#[tokio::test]
async fn a_registry_that_wants_tokens_gets_one_for_the_password_and_its_account_of_signatures_is_used() {
    let registry = OciRegistry::start(RegistryAccess::Open).await.unwrap();
    let mut tokens = tokio::process::Command::new(program("python3").unwrap());
    tokens.args(["-c", TOKENS, &registry.port.to_string(), OciRegistry::PASSWORD]).stdout(Stdio::piped());
    let mut tokens = tokens.stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(tokens.stdout.take().unwrap()).lines();
    let port = within("the port", lines.next_line()).await.unwrap().unwrap().unwrap();
    let site = Strict::new().await;
    let (file, tag) =
        (site.press("press.wasm", "1.0.0", Some("acme")).await, format!("oci://127.0.0.1:{port}/acme/press:1"));
    let nobody = command(&site, None, &["adapter", "push", &file, &tag]).await;
    is_refused(&nobody, "who are you");
    let pushed = command(&site, None, &[&["adapter", "push", &file, &tag][..], &SIGN_IN].concat()).await;
    assert_eq!(pushed.code, Some(0), "{}", pushed.stderr);
    let installed = command(&site, None, &[&["adapter", "install", &tag][..], &SIGN_IN].concat()).await;
    assert!(installed.code == Some(0) && installed.stdout.contains("signed by acme"), "{}", installed.stderr);
    assert_eq!(registry.tags("acme/press"), ["1"], "no tag of signatures where the registry keeps the account");
}

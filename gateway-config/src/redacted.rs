//! A config as it may leave the gateway: the text with every secret covered, and the secrets themselves, so that whoever
//! sends other texts along can cover them there too.

use crate::tree::{KeyPath, Node, Value};
use crate::walk::walk;
use crate::{AdapterSchemas, json_schema, redact, settings, tree};
use bulkhead_model::Secret;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

/// Shortest secret that is looked for in other texts: shorter ones are found everywhere by chance.
const SECRET_MIN_BYTES: usize = 4;
/// Longest file with a secret that is read to know what to look for.
const SECRET_FILE_MAX_BYTES: u64 = 64 * 1024;
/// What stands in the place of a secret that was found in another text.
const COVER: &str = "***";

/// A config without its secrets.
#[derive(Clone, PartialEq)]
pub struct Redacted {
    /// Its text, every secret in it covered with `*`, character by character.
    pub text: String,
    /// How many secrets stood in the config itself, instead of in files or the environment.
    pub inline: usize,
    /// The files, environment variables and credentials of systemd that the config takes secrets from, as it names them.
    pub references: Vec<String>,
    /// The secrets, the longest first.
    secrets: Vec<String>,
}

impl Redacted {
    /// A text with every secret of the config covered, wherever it stands in it.
    #[must_use]
    pub fn cover(&self, text: &str) -> String {
        let mut covered = text.to_owned();
        for secret in &self.secrets {
            if covered.contains(secret) {
                covered = covered.replace(secret, COVER);
            }
        }
        redact::cover_keys(&covered)
    }

    /// The same for bytes that may be no text.
    #[must_use]
    pub fn cover_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.cover(text).into_bytes();
        }
        self.secrets.iter().fold(bytes.to_vec(), |covered, secret| replaced(&covered, secret.as_bytes()))
    }

    /// The same with further texts covered.
    #[must_use]
    pub fn with(mut self, texts: &[String]) -> Self {
        self.secrets.extend(texts.iter().filter(|text| text.len() >= SECRET_MIN_BYTES).cloned());
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self
    }
}

/// The bytes with each occurrence of a secret replaced by [`COVER`].
fn replaced(bytes: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut covered = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        match rest.strip_prefix(secret) {
            Some(behind) => {
                covered.extend_from_slice(COVER.as_bytes());
                rest = behind;
            }
            None => {
                covered.push(rest[0]);
                rest = &rest[1..];
            }
        }
    }
    covered
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text: _, inline, references, secrets } = self;
        f.debug_struct("Redacted")
            .field("inline", inline)
            .field("references", references)
            .field("secrets", &secrets.len())
            .finish_non_exhaustive()
    }
}

/// Covers the secrets of a config, right or wrong: what the schemas call one, keys that sound like one, user names in URLs
/// and private keys. Reads the files that secrets are in.
#[must_use]
pub fn redacted(text: &str, path: &Path, schemas: &dyn AdapterSchemas) -> Redacted {
    let base_dir = path.parent().unwrap_or(Path::new(""));
    let read = tree::read(text);
    let mut outcome = walk(&json_schema(), &read.root, &KeyPath::default());
    outcome.append(settings::check(&read.root, base_dir, schemas).outcome);
    let mut spans = outcome.secrets;
    redact::find_telltales(&read.root, &mut spans);
    let mut found = Found { base_dir, secrets: BTreeSet::new(), references: BTreeSet::new() };
    spans.extend(redact::loose_secrets(text));
    spans.retain(|span| !span.is_empty());
    spans.sort_by_key(|span| (span.start, span.end));
    spans.dedup();
    for span in &spans {
        found.inline(text, span);
    }
    found.in_tree(&read.root, &spans);
    found.secrets.extend(redact::key_lines(text).map(str::to_owned));
    let inline = apart(&spans);
    let mut secrets: Vec<String> =
        found.secrets.into_iter().filter(|secret| secret.len() >= SECRET_MIN_BYTES).collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let shown = redact::cover_keys(&redact::cover(text, &spans));
    Redacted { text: shown, inline, references: found.references.into_iter().collect(), secrets }
}

/// How many places there are among sorted ones, those that overlap taken as one.
fn apart(spans: &[Range<usize>]) -> usize {
    let mut end = 0;
    let mut count = 0;
    for span in spans {
        count += usize::from(span.start >= end);
        end = end.max(span.end);
    }
    count
}

/// The secrets of a config, and where it takes others from.
struct Found<'b> {
    base_dir: &'b Path,
    secrets: BTreeSet<String>,
    references: BTreeSet<String>,
}

impl Found<'_> {
    /// A secret in the config's text, without its quotes, and user name and password by themselves.
    fn inline(&mut self, text: &str, span: &Range<usize>) {
        let Some(written) = text.get(span.clone()) else { return };
        let plain = written.trim().trim_matches(['"', '\'']);
        self.add(plain);
        if let Some((_, password)) = plain.split_once(':') {
            self.add(password);
        }
    }

    /// A secret's own text and those it is composed of.
    fn add(&mut self, secret: &str) {
        self.secrets.insert(secret.trim().to_owned());
        self.secrets.extend(secret.lines().map(|line| line.trim().to_owned()));
    }

    /// Looks through the tree for secrets as they read, escapes resolved, and for `{ file = … }`,
    /// `{ env = … }` and `{ credential = … }`.
    fn in_tree(&mut self, node: &Node, spans: &[Range<usize>]) {
        if let Some(text) = node.text().filter(|_| spans.contains(&node.span)) {
            self.add(text);
        }
        if let Value::Table(entries) = &node.value
            && let [entry] = entries.as_slice()
            && let Some(name) = entry.node.text()
        {
            match entry.key.as_str() {
                "file" => self.of_file(name),
                "env" => self.of_variable(name),
                "credential" => self.of_credential(name),
                _ => {}
            }
        }
        node.entries().iter().map(|entry| &entry.node).chain(node.items()).for_each(|node| self.in_tree(node, spans));
    }

    fn of_file(&mut self, name: &str) {
        self.references.insert(format!("file {name}"));
        self.in_file(&self.base_dir.join(name));
    }

    fn of_credential(&mut self, name: &str) {
        self.references.insert(format!("systemd credential {name}"));
        if let Ok(file) = Secret::credential_file(name) {
            self.in_file(&file);
        }
    }

    fn in_file(&mut self, path: &Path) {
        let mut content = String::new();
        let read =
            std::fs::File::open(path).and_then(|file| file.take(SECRET_FILE_MAX_BYTES).read_to_string(&mut content));
        // One that cannot be read is in no text of ours either.
        if read.is_ok() {
            self.add(&content);
        }
    }

    fn of_variable(&mut self, name: &str) {
        self.references.insert(format!("environment variable {name}"));
        if let Ok(value) = std::env::var(name) {
            self.add(&value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnyAdapter;

    #[test]
    fn no_secret_is_left_in_the_config_nor_in_a_text_that_repeats_one() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("api.token"), "from-a-file\n").expect("written");
        let text = "\
# password = \"in-a-comment\"
[api.credentials.a]
token = \"in\\u002dline-token\" # note
[api.credentials.b]
token = { file = \"api.token\" }
[connections.x]
adapter = \"a\"
settings = { url = \"http://user:in-a-url@host/\", passwords = [\"in-a-list\"] }
[connections.x.transports.up]
kind = \"http\"
base_url = \"http://h/\"
auth = { kind = \"header\", name = \"X-Api-Key\", value = \"header-key\" }
[connections.x.transports.broken]
key = '''
-----BEGIN PRIVATE KEY-----
MIIprivate
-----END PRIVATE KEY-----
'''
";
        let redacted = redacted(text, &dir.path().join("gateway.toml"), &AnyAdapter);
        let secrets = [
            "in-a-comment",
            "in\\u002dline-token",
            "in-line-token",
            "from-a-file",
            "in-a-url",
            "in-a-list",
            "header-key",
            "MIIprivate",
        ];
        for secret in secrets {
            assert!(!redacted.text.contains(secret), "{secret} in:\n{}", redacted.text);
            let said = format!("refused: {secret}!");
            assert!(!redacted.cover(&said).contains(secret), "{secret}");
            assert!(!format!("{redacted:?}").contains(secret));
        }
        assert_eq!(redacted.references, ["file api.token"]);
        assert!(redacted.inline >= 5 && redacted.text.contains("X-Api-Key"), "{}", redacted.text);
        assert_eq!(redacted.cover("nothing of the kind"), "nothing of the kind");
        assert_eq!(redacted.cover_bytes(b"\x02header-key\xff\x03from-a-file"), b"\x02***\xff\x03***");
        assert_eq!(redacted.with(&["ACME".into()]).cover_bytes(b"for ACME"), b"for ***");
    }
}

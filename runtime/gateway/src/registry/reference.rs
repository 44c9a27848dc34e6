//! `oci://host/maker/press:1.0.0`: what a registry has, by tag or by digest.

use std::fmt;

/// Longest name of a repository, in bytes, as registries have it.
const REPOSITORY_MAX_BYTES: usize = 255;
/// Longest tag, in bytes.
const TAG_MAX_BYTES: usize = 128;
const FORM: &str = "expected oci://HOST/NAME:TAG or oci://HOST/NAME@sha256:DIGEST";

/// The SHA-256 of bytes, as registries write it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Digest(String);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", bulkhead_bundle::sha256_hex(bytes)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag under which a registry that knows no referrers has them.
    pub(crate) fn as_tag(&self) -> String {
        self.0.replace(':', "-")
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match hex.len() == 64 && hex.bytes().all(is_hex) {
            true => Ok(Self(text)),
            false => Err(format!("{text:?} is no digest of the form sha256: and 64 hexadecimal digits")),
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

/// What to fetch from which registry, or where to put it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Host, and port where there is one.
    pub(crate) host: String,
    /// The repository in it: `maker/press`.
    pub(crate) repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Whether a source is one in a registry.
    pub(crate) fn is_one(source: &str) -> bool {
        source.starts_with("oci://")
    }

    /// Parses `oci://HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]`, with a tag or a digest.
    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{source}: {what}; {FORM}");
        let rest = source.strip_prefix("oci://").ok_or_else(|| wrong("it is no reference"))?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::try_from(digest.to_owned()).map_err(|error| wrong(&error))?)),
            None => (rest, None),
        };
        let (host, path) = rest.split_once('/').ok_or_else(|| wrong("it names no repository"))?;
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        if !is_host(host) {
            return Err(wrong(&format!("{host:?} is no host")));
        }
        if !is_repository(repository) {
            return Err(wrong(&format!("{repository:?} is no name of a repository")));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(wrong(&format!("{tag:?} is no tag")));
        }
        if tag.is_none() && digest.is_none() {
            return Err(wrong("it has neither tag nor digest"));
        }
        Ok(Self { host: host.into(), repository: repository.into(), tag: tag.map(str::to_owned), digest })
    }

    /// What to ask the registry for: the digest where there is one, else the tag.
    pub(crate) fn wanted(&self) -> &str {
        self.digest.as_ref().map(Digest::as_str).or(self.tag.as_deref()).unwrap_or_default()
    }

    /// The tag to put something under; none: it has none, or a digest, which nobody can choose.
    pub(crate) fn tag_to_push(&self) -> Option<&str> {
        self.tag.as_deref().filter(|_| self.digest.is_none())
    }

    /// The adapter's name by it: `press` of `oci://host/maker/press:1.0.0`.
    pub(crate) fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.host, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{}", digest.as_str()))
    }
}

/// A name or an address, with or without a port: nothing that a URL would take for something else.
fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

fn is_repository(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_part = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().last()];
        ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric())) && part.bytes().all(good)
    };
    name.len() <= REPOSITORY_MAX_BYTES && name.split('/').all(is_part)
}

fn is_tag(tag: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=TAG_MAX_BYTES).contains(&tag.len()) && tag.bytes().all(good) && !tag.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_or_a_digest_is_taken_apart_and_put_together_again() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, wanted) in [
            ("oci://ghcr.io/acme/press:1.0.0", "1.0.0"),
            ("oci://localhost:5000/press:latest", "latest"),
            (&format!("oci://[::1]:5000/a/b_c/d.e@{digest}"), digest.as_str()),
            (&format!("oci://r.example/press:1@{digest}"), digest.as_str()),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!((reference.to_string().as_str(), reference.wanted()), (text, wanted));
        }
        let both = Reference::parse(&format!("oci://r.example/acme/press:1@{digest}")).unwrap();
        assert_eq!((both.name(), both.tag_to_push()), ("press", None));
        assert_eq!(both.digest.unwrap().as_tag(), format!("sha256-{}", "0a".repeat(32)));
    }

    #[test]
    fn what_is_none_is_said_with_the_form_that_is_expected() {
        for text in [
            "https://host/press:1",
            "oci://host",
            "oci://host/press",
            "oci:///press:1",
            "oci://user@host/press:1",
            "oci://host/../press:1",
            "oci://host/Press:1",
            "oci://host/acme//press:1",
            "oci://host/press:-1",
            "oci://host/press:1?x",
            "oci://host/press@sha256:00",
            "oci://ho st/press:1",
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert!(error.contains("expected oci://HOST/NAME:TAG"), "{error}");
        }
    }
}

//! URLs below a base URL: joining what a guest asks for, and judging where a redirect leads. Pure.
//!
//! A request must stay at the base URL's scheme, host and port and on or below its path, whatever the guest writes and
//! however a server may decode it: dots that climb, encoded or not, are refused rather than resolved.

use reqwest::Url;

/// How often percent-encoding is undone when looking for climbing dots: some servers undo it twice.
const DECODE_ROUNDS: usize = 3;

/// The URL that every request goes to or below.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    url: Url,
    /// The path without its last slash; empty for the root.
    prefix: String,
    /// What below it is granted; none: all of it.
    paths: Vec<String>,
}

impl Base {
    /// Reads a base URL; the error is what is expected of one.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "`http://` or `https://` with host, and port and path where needed";
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(EXPECTED);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL without user and password: these belong in `auth`");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a URL without query and fragment");
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        if climbs(&prefix) {
            return Err("a path without `..`");
        }
        Ok(Self { url, prefix, paths: Vec::new() })
    }

    /// The same with these paths below it only; the error is the text that is none.
    pub(crate) fn with_paths(mut self, paths: &[String]) -> Result<Self, String> {
        let is_path = |path: &&String| {
            path.starts_with('/')
                && !path.contains(['?', '#', '\\'])
                && !path.contains(char::is_control)
                && !climbs(path)
        };
        for path in paths {
            let mut url = self.url.clone();
            url.set_path(path);
            // As it is written in a request: what must be encoded is.
            let written = url.path().trim_end_matches('/').to_owned();
            Some(path).filter(is_path).ok_or_else(|| path.clone())?;
            self.paths.push(written);
        }
        Ok(self)
    }

    /// The URL for a path and query below the base. None: it would leave the base, or might on the server.
    pub(crate) fn join(&self, path: &str) -> Option<Url> {
        if path.is_empty() {
            return Some(self.url.clone()).filter(|url| self.holds(url));
        }
        let (only_path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let begins_well = only_path.is_empty() || only_path.starts_with('/') && !only_path.starts_with("//");
        if !begins_well || path.contains(['\\', '#']) || path.contains(char::is_control) || climbs(only_path) {
            return None;
        }
        let mut url = self.url.clone();
        if !only_path.is_empty() {
            url.set_path(&format!("{}{only_path}", self.prefix));
        }
        url.set_query(query);
        self.holds(&url).then_some(url)
    }

    /// Where an answer's `Location` leads from `from`. None: out of the base.
    pub(crate) fn redirect(&self, from: &Url, location: &str) -> Option<Url> {
        let mut url = from.join(location).ok()?;
        url.set_fragment(None);
        self.holds(&url).then_some(url)
    }

    /// Whether a URL lies at or below the base.
    fn holds(&self, url: &Url) -> bool {
        let same_server = url.scheme() == self.url.scheme()
            && url.host() == self.url.host()
            && url.port_or_known_default() == self.url.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none();
        let below = url.path().strip_prefix(self.prefix.as_str());
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        same_server && below.is_some_and(|rest| is_below(rest) && self.grants(rest)) && !climbs(url.path())
    }

    /// Whether a path below the base is granted: it is one of those that are, or goes on below it with `/`, or with the `(` of a key
    /// of OData.
    fn grants(&self, rest: &str) -> bool {
        let is_one = |path: &String| {
            rest.strip_prefix(path.as_str()).is_some_and(|end| end.is_empty() || end.starts_with(['/', '(']))
        };
        self.paths.is_empty() || self.paths.iter().any(is_one)
    }

    /// Host and port, to see whether the server is there.
    pub(crate) fn server(&self) -> Option<(String, u16)> {
        let host = self.url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some((host, self.url.port_or_known_default()?))
    }
}

/// The base URL for people.
impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.url.fmt(f)
    }
}

/// Whether a path has a segment of dots, as written or after a server's decoding. A segment ends for some servers at an
/// encoded slash or a backslash, and its name at a semicolon.
fn climbs(path: &str) -> bool {
    let mut decoded = path.as_bytes().to_vec();
    for _ in 0..=DECODE_ROUNDS {
        let dots = |segment: &[u8]| {
            let name = segment.split(|&byte| byte == b';').next().unwrap_or_default();
            matches!(name, b"." | b"..")
        };
        if decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(dots) {
            return true;
        }
        let next = percent_decode(&decoded);
        if next == decoded {
            return false;
        }
        decoded = next;
    }
    // Encoded again and again: nobody who means well writes so.
    true
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let digits = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = digits.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(hex);
        (decoded, rest) = match byte {
            Some(byte) => (pushed(decoded, byte), &after[2..]),
            None => (pushed(decoded, *first), after),
        };
    }
    decoded
}

fn hex(digits: &str) -> Option<u8> {
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

fn pushed(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base() -> Base {
        Base::parse("https://erp.example:8443/odata/v4").unwrap()
    }

    #[test]
    fn paths_are_joined_below_the_base() {
        for (path, expected) in [
            ("", "https://erp.example:8443/odata/v4"),
            ("/", "https://erp.example:8443/odata/v4/"),
            ("/Orders('a%2Fb')", "https://erp.example:8443/odata/v4/Orders('a%2Fb')"),
            (
                "/Orders?$filter=Name eq 'a..b'&x=../y",
                "https://erp.example:8443/odata/v4/Orders?$filter=Name%20eq%20%27a..b%27&x=../y",
            ),
            ("?x=1", "https://erp.example:8443/odata/v4?x=1"),
            ("/a..b/...", "https://erp.example:8443/odata/v4/a..b/..."),
        ] {
            assert_eq!(base().join(path).map(String::from).as_deref(), Some(expected), "{path}");
        }
        let slashed = Base::parse("http://h/api/").unwrap();
        assert_eq!(slashed.join("/x").unwrap().as_str(), "http://h/api/x");
    }

    #[test]
    fn what_would_leave_the_base_is_refused() {
        for path in [
            "//evil.example/x",
            "http://evil.example/",
            "evil",
            "@evil.example/",
            ":80/",
            "/../secret",
            "/a/..",
            "/./a",
            "/%2e%2e/secret",
            "/%2E./secret",
            "/.%2e/secret",
            "/%252e%252e/secret",
            "/a%2f..%2f..%2fsecret",
            "/..%2fsecret",
            "/..%5csecret",
            "/..;/secret",
            "/..;x=1/secret",
            "/\\evil.example",
            "\\\\evil.example",
            "/a\\..\\b",
            "/a\nb",
            "/.\t./secret",
            "/a#b",
            "/%2525252525252e",
        ] {
            assert_eq!(base().join(path), None, "{path}");
        }
    }

    #[test]
    fn redirects_stay_inside() {
        let base = base();
        let from = base.join("/Orders/1").unwrap();
        for (location, inside) in [
            ("/odata/v4/Other", true),
            ("2", true),
            ("../Other", true),
            ("https://erp.example:8443/odata/v4/x", true),
            ("/odata/v4x", false),
            ("/odata", false),
            ("../../v5", false),
            ("//erp.example:8443/other", false),
            ("http://erp.example:8443/odata/v4/x", false),
            ("https://erp.example/odata/v4/x", false),
            ("https://evil.example:8443/odata/v4/x", false),
            ("https://user@erp.example:8443/odata/v4/x", false),
            ("/odata/v4/..%2f..%2fx", false),
        ] {
            assert_eq!(base.redirect(&from, location).is_some(), inside, "{location}");
        }
    }

    #[test]
    fn only_granted_paths_are_joined_and_followed() {
        let base = base().with_paths(&["/Orders".into(), "/a b/".into()]).unwrap();
        for (path, is_granted) in [
            ("/Orders", true),
            ("/Orders/1", true),
            ("/Orders('a%2Fb')?$top=1", true),
            ("/Orders?x=/Secret", true),
            ("/a%20b/c", true),
            ("", false),
            ("/", false),
            ("/OrdersSecret", false),
            ("/Secret", false),
            ("/orders", false),
            ("/%4frders", false),
            ("/Orders%2f..%2fSecret", false),
            ("/Orders%2fx", false),
            ("/Orders/../Secret", false),
        ] {
            assert_eq!(base.join(path).is_some(), is_granted, "{path}");
        }
        let from = base.join("/Orders/1").unwrap();
        assert!(base.redirect(&from, "2").is_some() && base.redirect(&from, "/odata/v4/Secret").is_none());
        for text in ["Orders", "/../x", "/a?b", "/a#b", "/a\\b", "/%2e%2e/x"] {
            assert_eq!(
                super::Base::parse("http://h/").unwrap().with_paths(&[text.to_owned()]).err().as_deref(),
                Some(text)
            );
        }
    }

    #[test]
    fn a_base_carries_no_secrets_and_no_query() {
        for text in ["ftp://h/", "h/x", "https://user:secret@h/", "https://h/?x=1", "https://h/#x", "http://"] {
            assert!(Base::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_joined_stays_below_the_base(path in "[/.%2e5cf;:@?#a\\\\ \t]{0,24}") {
            let base = base();
            if let Some(url) = base.join(&path) {
                prop_assert_eq!(url.host_str(), Some("erp.example"));
                prop_assert_eq!(url.port(), Some(8443));
                prop_assert!(url.path() == "/odata/v4" || url.path().starts_with("/odata/v4/"), "{}", url);
            }
        }
    }
}

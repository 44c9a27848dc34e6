//! Requests to one repository of a registry: asks as the registry wants to be asked, holds what comes against its digest.

use super::artifact::{Artifact, Descriptor, INDEX, Index, MANIFEST};
use super::challenge::Challenge;
use super::reference::{Digest, Reference};
use crate::exit::Exit;
use base64::Engine;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Request, Response, StatusCode, Url};
use serde::Deserialize;
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::Mutex;

/// Longest time for one request, a whole adapter included.
const REQUEST_MAX: Duration = Duration::from_secs(300);
/// Longest wait for a registry to be there.
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// Most redirects that are followed: a registry's blobs often lie elsewhere.
const REDIRECTS_MAX: usize = 3;
/// Longest manifest, index, token or error that is read.
const DOCUMENT_MAX_BYTES: u64 = 1 << 20;
/// Longest text of a registry that is shown.
const SHOWN_CHARS_MAX: usize = 200;

/// A user's name and password.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl Credentials {
    fn header(&self) -> Result<HeaderValue, Exit> {
        let both = format!("{}:{}", self.username, self.password);
        secret_header(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)))
    }
}

/// How a registry is reached.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) credentials: Option<Credentials>,
    /// Whether it may be asked without TLS, wherever it is.
    pub(crate) plain_http: bool,
}

/// One repository of a registry.
pub(crate) struct Registry {
    client: Client,
    /// `https://host/v2/maker/press/`.
    base: Url,
    access: Access,
    /// What a token is asked for where the registry does not say.
    scope: String,
    /// What the registry took last.
    authorization: Mutex<Option<HeaderValue>>,
}

impl Registry {
    /// For fetching.
    pub(crate) async fn new(reference: &Reference, access: Access) -> Result<Self, Exit> {
        Self::with_scope(reference, access, "pull").await
    }

    /// For pushing.
    pub(crate) async fn for_push(reference: &Reference, access: Access) -> Result<Self, Exit> {
        Self::with_scope(reference, access, "pull,push").await
    }

    async fn with_scope(reference: &Reference, access: Access, actions: &str) -> Result<Self, Exit> {
        let is_local = is_loopback(&reference.host);
        let secure = client(true, is_local)?;
        let base = base(reference, "https")?;
        let is_plain = access.plain_http || (is_local && !speaks_tls(&secure, &base).await);
        let (client, base) = match is_plain {
            true => (client(false, is_local)?, self::base(reference, "http")?),
            false => (secure, base),
        };
        let scope = format!("repository:{}:{actions}", reference.repository);
        Ok(Self { client, base, access, scope, authorization: Mutex::new(None) })
    }

    /// A manifest by tag or digest, with its digest.
    pub(crate) async fn artifact(&self, wanted: &str) -> Result<(Digest, Artifact), Exit> {
        let url = self.url(&["manifests", wanted])?;
        let bytes = self.document(url.clone(), MANIFEST).await?;
        let bytes = bytes.ok_or_else(|| Exit::failed(format!("{url}: the registry has nothing there (404)")))?;
        let digest = Digest::of(&bytes);
        if Digest::try_from(wanted.to_owned()).is_ok_and(|wanted| wanted != digest) {
            return Err(Exit::failed(format!("{url}: what came has another digest, {}", digest.as_str())));
        }
        let artifact = serde_json::from_slice(&bytes)
            .map_err(|error| Exit::failed(format!("{url}: it is no manifest of one artifact: {error}")))?;
        Ok((digest, artifact))
    }

    /// The bytes that a descriptor names.
    pub(crate) async fn blob(&self, descriptor: &Descriptor, max: u64) -> Result<Vec<u8>, Exit> {
        let url = self.url(&["blobs", descriptor.digest.as_str()])?;
        if descriptor.size > max {
            return Err(Exit::failed(format!("{url}: it has {} bytes; at most {max} are taken", descriptor.size)));
        }
        let response = self.send(self.client.get(url.clone()).build()?).await?;
        let bytes = self.body(good(response).await?, max).await?;
        match Digest::of(&bytes) == descriptor.digest {
            true => Ok(bytes),
            false => Err(Exit::failed(format!("{url}: what came does not have this digest"))),
        }
    }

    /// What refers to a manifest, by the registry's own account or, where it keeps none, by that of its clients.
    pub(crate) async fn referrers(&self, of: &Digest) -> Result<Index, Exit> {
        let url = self.url(&["referrers", of.as_str()])?;
        // Registries that do not know the request refuse it with one status or another.
        if let Ok(Some(bytes)) = self.document(url, INDEX).await
            && let Ok(index) = serde_json::from_slice(&bytes)
        {
            return Ok(index);
        }
        Ok(self.index_by_tag(of).await?.unwrap_or_else(Index::empty))
    }

    /// What refers to a manifest, as clients have written it down.
    pub(crate) async fn index_by_tag(&self, of: &Digest) -> Result<Option<Index>, Exit> {
        let url = self.url(&["manifests", &of.as_tag()])?;
        let Some(bytes) = self.document(url.clone(), INDEX).await? else { return Ok(None) };
        let index = serde_json::from_slice(&bytes);
        index.map(Some).map_err(|error| Exit::failed(format!("{url}: it is no index: {error}")))
    }

    /// Uploads bytes unless they are there.
    pub(crate) async fn put_blob(&self, descriptor: &Descriptor, bytes: Vec<u8>) -> Result<(), Exit> {
        let there = self.client.head(self.url(&["blobs", descriptor.digest.as_str()])?).build()?;
        if self.send(there).await?.status().is_success() {
            return Ok(());
        }
        // An upload's own place ends with a slash: without it some registries answer with a redirect.
        let begun = self.client.post(self.url(&["blobs", "uploads", ""])?).body(Vec::new()).build()?;
        let begun = good(self.send(begun).await?).await?;
        let place = begun.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        let place = place.and_then(|place| begun.url().join(place).ok());
        let mut place = place.ok_or_else(|| Exit::failed("the registry does not say where to upload to"))?;
        place.query_pairs_mut().append_pair("digest", descriptor.digest.as_str());
        let put = self.client.put(place).header(CONTENT_TYPE, "application/octet-stream").body(bytes).build()?;
        good(self.send(put).await?).await.map(drop)
    }

    /// Puts a manifest under a tag or its digest. Whether the registry keeps an account of what refers to what.
    pub(crate) async fn put_manifest(&self, name: &str, media_type: &str, bytes: Vec<u8>) -> Result<bool, Exit> {
        let put = self.client.put(self.url(&["manifests", name])?).header(CONTENT_TYPE, media_type).body(bytes);
        let put = good(self.send(put.build()?).await?).await?;
        Ok(put.headers().contains_key("oci-subject"))
    }

    fn url(&self, path: &[&str]) -> Result<Url, Exit> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Exit::failed("the registry's URL has no path"))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    /// A document of the registry. None: it has none there.
    async fn document(&self, url: Url, accept: &str) -> Result<Option<Vec<u8>>, Exit> {
        let response = self.send(self.client.get(url).header(ACCEPT, accept).build()?).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.body(good(response).await?, DOCUMENT_MAX_BYTES).await.map(Some)
    }

    async fn body(&self, mut response: Response, max: u64) -> Result<Vec<u8>, Exit> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > max {
                return Err(Exit::failed(format!("{}: it has more than {max} bytes", response.url())));
            }
        }
        Ok(bytes)
    }

    /// Sends a request, and once more in the way that the registry asks for.
    async fn send(&self, request: Request) -> Result<Response, Exit> {
        let again = request.try_clone();
        let mut authorization = self.authorization.lock().await;
        let first = self.client.execute(self.authorized(request, authorization.as_ref())).await?;
        let (StatusCode::UNAUTHORIZED, Some(again)) = (first.status(), again) else { return Ok(first) };
        let challenges = first.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenges.filter_map(Challenge::parse).next() else { return Ok(first) };
        let Some(answer) = self.answer(&challenge).await? else { return Ok(first) };
        let second = self.client.execute(self.authorized(again, Some(&answer))).await?;
        *authorization = Some(answer);
        Ok(second)
    }

    /// The request with what the registry took last, unless it goes to somebody else.
    fn authorized(&self, mut request: Request, authorization: Option<&HeaderValue>) -> Request {
        if let Some(value) = authorization.filter(|_| request.url().origin() == self.base.origin()) {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        request
    }

    /// What answers a challenge; none: there are no credentials for it.
    async fn answer(&self, challenge: &Challenge) -> Result<Option<HeaderValue>, Exit> {
        let (realm, service, scope) = match challenge {
            Challenge::Basic => return self.access.credentials.as_ref().map(Credentials::header).transpose(),
            Challenge::Bearer { realm, service, scope } => (realm, service, scope),
        };
        let mut url = Url::parse(realm).map_err(|error| Exit::failed(format!("{realm}: {error}")))?;
        url.query_pairs_mut()
            .extend_pairs(service.iter().map(|service| ("service", service)))
            .append_pair("scope", scope.as_ref().unwrap_or(&self.scope));
        let mut request = Request::new(Method::GET, url.clone());
        if let Some(credentials) = &self.access.credentials {
            request.headers_mut().insert(AUTHORIZATION, credentials.header()?);
        }
        let response = good(self.client.execute(request).await?).await?;
        let token = self.body(response, DOCUMENT_MAX_BYTES).await?;
        let token: Token = serde_json::from_slice(&token)
            .map_err(|error| Exit::failed(format!("{url}: what came is no token: {error}")))?;
        let token = token.token.or(token.access_token);
        let token = token.ok_or_else(|| Exit::failed(format!("{url}: what came is no token")))?;
        secret_header(&format!("Bearer {token}")).map(Some)
    }
}

fn client(https_only: bool, is_local: bool) -> Result<Client, Exit> {
    let builder = Client::builder()
        .https_only(https_only)
        .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
        .connect_timeout(CONNECT_MAX)
        .timeout(REQUEST_MAX);
    // What is on this machine is not asked for through a proxy.
    Ok(if is_local { builder.no_proxy() } else { builder }.build()?)
}

fn base(reference: &Reference, scheme: &str) -> Result<Url, Exit> {
    Url::parse(&format!("{scheme}://{}/v2/{}/", reference.host, reference.repository))
        .map_err(|error| Exit::failed(format!("{reference}: {error}")))
}

/// Whether TLS is spoken there, be it with a certificate that nobody trusts. Only asked of this machine: elsewhere somebody in
/// between could answer.
async fn speaks_tls(client: &Client, base: &Url) -> bool {
    match client.get(base.clone()).send().await {
        Ok(_) => true,
        Err(error) => chain(&error)
            .any(|error| matches!(error.downcast_ref::<rustls::Error>(), Some(rustls::Error::InvalidCertificate(_)))),
    }
}

/// An error and its causes. An `io::Error` hides what it wraps from `source`, so that is asked for besides.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// The value of a header that nothing may show.
fn secret_header(text: &str) -> Result<HeaderValue, Exit> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Exit::failed("the credentials fit into no HTTP header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether a host is this machine by its name or address: nobody is in between.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An answer that says yes, or in words what the registry says is wrong.
async fn good(mut response: Response) -> Result<Response, Exit> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let begun = response.chunk().await.ok().flatten().unwrap_or_default();
    let told = said(&begun).map(|said| format!(": {said}")).unwrap_or_default();
    let hint = match status {
        StatusCode::UNAUTHORIZED => "; give --username and --password-env",
        StatusCode::NOT_FOUND => "; is it there, and is it public?",
        _ => "",
    };
    Err(Exit::failed(format!("{}: the registry answered {status}{told}{hint}", without_query(response.url()))))
}

/// A URL for a message: an upload's place has its state in the query.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// The first message of a registry's error.
fn said(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = &body["errors"][0];
    let message = first["message"].as_str().or(first["code"].as_str())?;
    Some(bulkhead_model::printable(&message.chars().take(SHOWN_CHARS_MAX).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_be_asked_without_tls() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.9.1", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["registry.example:5000", "192.168.1.5:5000", "localhost.example", "127.0.0.1.example", "[::2]:1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[tokio::test]
    async fn any_other_is_asked_over_https_unless_the_operator_says_otherwise() {
        _ = rustls::crypto::ring::default_provider().install_default();
        let reference = Reference::parse("oci://192.0.2.1:5000/acme/press:1").unwrap();
        let of =
            async |plain_http| Registry::new(&reference, Access { credentials: None, plain_http }).await.unwrap().base;
        assert_eq!(of(false).await.as_str(), "https://192.0.2.1:5000/v2/acme/press/");
        assert_eq!(of(true).await.scheme(), "http");
    }

    #[test]
    fn a_registrys_error_is_shown_in_its_words_on_one_line() {
        let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository\nname not known"}]}"#;
        assert_eq!(said(body).unwrap(), "repository name not known");
        assert_eq!(said(b"<html>"), None);
    }
}

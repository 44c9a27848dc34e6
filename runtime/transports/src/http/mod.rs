//! HTTP as a client: requests at or below one base URL, with the operator's credentials.

mod auth;
mod fault;
mod headers;
mod networks;
mod resolve;
mod url;

use crate::address::Address;
use crate::lifecycle::{Lifecycle, Signal, Task};
use crate::plain_text::beginning;
use crate::{Capability, Context, Opened, TransportError, tls};
use async_trait::async_trait;
use auth::Auth;
use bulkhead_model::transport::Http as Settings;
use bulkhead_sandbox::backoff::{Backoff, random_u32};
use bulkhead_sandbox::capability::{Fault, Http, Incoming, Link, LinkState, Outgoing};
use fault::{RequestError, of_reqwest, read_body};
use headers::Refused;
use networks::Networks;
use parking_lot::Mutex;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Client, Method, Proxy, Response, StatusCode, Url};
use resolve::Resolver;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use url::Base;

/// Longest body to send, in bytes.
const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most characters of a path, name or URL that a message repeats.
const SHORTENED_CHARS_MAX: usize = 200;
/// Idle connections kept for the next request.
const IDLE_CONNECTIONS_MAX: usize = 4;
/// Waiting times between looks whether a server that was not reached is there again.
const PROBE_FIRST_MS: u64 = 500;
const PROBE_MAX_MS: u64 = 30_000;

/// An HTTP server as a connection's transport.
struct HttpTransport {
    /// `erp (http https://erp.example/odata)`, for faults.
    who: String,
    base: Arc<Base>,
    /// Gone after `stop`, and its idle connections with it.
    client: Mutex<Option<Client>>,
    auth: Auth,
    methods: Vec<Method>,
    timeout_ms: u32,
    max_redirects: u8,
    max_response_bytes: usize,
    probe: Arc<Probe>,
    task: Task,
    requests: AtomicU64,
    failures: AtomicU64,
    redirects: AtomicU64,
}

pub(crate) fn open(settings: &Settings, context: Context) -> Result<Opened, TransportError> {
    let base = Base::parse(&settings.base_url)
        .map_err(|expected| context.setting_error("base_url", without_user(&settings.base_url), expected))?;
    let base = base
        .with_paths(&settings.allow_paths)
        .map_err(|text| context.setting_error("allow_paths", text, "a path such as `/orders`"))?;
    let networks = Networks::parse(&settings.allow_networks)
        .map_err(|text| context.setting_error("allow_networks", text, networks::EXPECTED))?;
    let resolver = Resolver::new(networks);
    let methods = methods(&settings.allow_methods)
        .map_err(|text| context.setting_error("allow_methods", text, "the name of a method such as `POST`"))?;
    let auth = Auth::new(settings.auth.as_ref(), &context)?;
    let connect_timeout = Duration::from_millis(settings.connect_timeout_ms.into());
    let client = client(settings, connect_timeout, &resolver, &context)?;
    // With a proxy only the proxy can be looked at.
    let server = match &settings.proxy {
        None => base.server(),
        Some(proxy) => Url::parse(proxy)
            .ok()
            .and_then(|url| Some((url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port_or_known_default()?))),
    };
    let (host, port) = server.ok_or_else(|| context.setting_error("proxy", "(proxy)", "a URL with host and port"))?;
    let life = Arc::new(Lifecycle::new(&context, format!("http {base}")));
    let probe = Probe { address: Address { host, port }, resolver, connect_timeout, life, wanted: Notify::new() };
    let transport = Arc::new(HttpTransport {
        who: format!("{} (http {base})", context.connection),
        base: Arc::new(base),
        client: Mutex::new(Some(client)),
        auth,
        methods,
        timeout_ms: settings.timeout_ms,
        max_redirects: settings.max_redirects,
        max_response_bytes: usize::try_from(settings.max_response_bytes).unwrap_or(usize::MAX),
        probe: Arc::new(probe),
        task: Task::default(),
        requests: AtomicU64::new(0),
        failures: AtomicU64::new(0),
        redirects: AtomicU64::new(0),
    });
    Ok(Opened { link: transport.clone(), capability: Capability::Http(transport), frames: None })
}

/// The granted methods; the error is the text that is none.
fn methods(names: &[String]) -> Result<Vec<Method>, String> {
    let one = |name: &String| {
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase()) && name != "CONNECT";
        Method::from_bytes(name.as_bytes()).ok().filter(|_| is_name).ok_or_else(|| name.clone())
    };
    names.iter().map(one).collect()
}

/// A URL for an error message; what stands before an `@` may be a password.
fn without_user(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

fn client(
    settings: &Settings,
    connect_timeout: Duration,
    resolver: &Resolver,
    context: &Context,
) -> Result<Client, TransportError> {
    let mut tls = tls::client_config(&settings.tls, context)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if settings.tls.server_name.is_some() {
        let expected = "no server_name: the host of `base_url` is the name that the certificate must carry";
        return Err(context.setting_error("tls.server_name", "set", expected));
    }
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .dns_resolver(resolver.clone())
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .user_agent(concat!("bulkhead/", env!("CARGO_PKG_VERSION")));
    let builder = match &settings.proxy {
        None => builder.no_proxy(),
        Some(proxy) => builder.proxy(Proxy::all(proxy).map_err(|_| {
            context.setting_error("proxy", without_user(proxy), "`http://host:port` or `socks5://host:port`")
        })?),
    };
    builder.build().map_err(|error| {
        let reason = error.without_url().to_string();
        context.setting_error("tls", "these settings", format!("settings the HTTP client takes: {reason}"))
    })
}

impl HttpTransport {
    async fn exchange(&self, outgoing: &Outgoing) -> Result<Incoming, RequestError> {
        let client = self.client.lock().clone().ok_or(RequestError::Stopped)?;
        let mut url = self.base.join(&outgoing.path).ok_or_else(|| {
            let path = shortened(&outgoing.path);
            RequestError::NotGranted(format!(
                "the path `{path}` is not one below the base URL, or not in `allow_paths`"
            ))
        })?;
        let mut method = Method::from_bytes(outgoing.method.as_bytes())
            .map_err(|_| RequestError::BadRequest(format!("`{}` is no HTTP method", shortened(&outgoing.method))))?;
        self.check_method(&method)?;
        if outgoing.body.len() > BODY_MAX_BYTES {
            let bytes = outgoing.body.len();
            return Err(RequestError::TooLarge(format!("a body of {bytes} bytes: at most {BODY_MAX_BYTES}")));
        }
        let fields = headers::filter(&outgoing.headers, self.auth.header_name()).map_err(|refused| match refused {
            Refused::Field(name) => RequestError::NotGranted(format!("the header `{name}`, which the host sets")),
            Refused::Invalid(name) => RequestError::BadRequest(format!("the header `{}`", shortened(&name))),
            Refused::TooMany => RequestError::BadRequest("more than 100 headers".into()),
        })?;
        let mut body = outgoing.body.clone();
        for _ in 0..=self.max_redirects {
            let response = self.authorized(&client, &method, &url, &fields, &body).await?;
            let Some(next) = self.redirect(&response, &method, &url)? else {
                return self.whole(response).await;
            };
            self.redirects.fetch_add(1, Ordering::Relaxed);
            if response.status() == StatusCode::SEE_OTHER && method != Method::HEAD {
                method = Method::GET;
                body = Vec::new();
            }
            url = next;
        }
        Err(RequestError::Broken(format!("more than {} redirects", self.max_redirects)))
    }

    fn check_method(&self, method: &Method) -> Result<(), RequestError> {
        if self.methods.contains(method) {
            return Ok(());
        }
        let granted: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        let name = shortened(method.as_str());
        let message = format!("the method {name} is not in `allow_methods`, which has: {}", granted.join(", "));
        Err(RequestError::NotGranted(message))
    }

    /// Sends a request with credentials, and once more with new ones if these are refused and others can be had.
    async fn authorized(
        &self,
        client: &Client,
        method: &Method,
        url: &Url,
        fields: &HeaderMap,
        body: &[u8],
    ) -> Result<Response, RequestError> {
        let credential = self.auth.credential(client, None).await?;
        let number = credential.as_ref().map(|(_, number)| *number);
        let response = send(client, method, url, fields, body, credential).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.auth.can_renew() {
            return Ok(response);
        }
        let credential = self.auth.credential(client, number).await?;
        send(client, method, url, fields, body, credential).await
    }

    /// Where to go on: none where the answer is one for the guest. Methods with a body are repeated only where the
    /// status says so (307, 308); after 303 the answer is fetched with GET. What 303 answers has been done: where the
    /// grant does not let its result be fetched, the guest must not take that for a refusal of what it sent.
    fn redirect(&self, response: &Response, method: &Method, from: &Url) -> Result<Option<Url>, RequestError> {
        let follows = match response.status().as_u16() {
            301 | 302 => matches!(*method, Method::GET | Method::HEAD),
            303 | 307 | 308 => true,
            _ => false,
        };
        let Some(location) = response.headers().get(LOCATION).filter(|_| follows && self.max_redirects > 0) else {
            return Ok(None);
        };
        let location = String::from_utf8_lossy(location.as_bytes());
        let next = self.base.redirect(from, &location);
        if response.status() == StatusCode::SEE_OTHER && !matches!(*method, Method::GET | Method::HEAD) {
            return Ok(next.filter(|_| self.methods.contains(&Method::GET)));
        }
        next.map(Some).ok_or_else(|| {
            RequestError::Redirected(format!(
                "a redirect to `{}`, which is not below the base URL, or not in `allow_paths`",
                shortened(&location)
            ))
        })
    }

    async fn whole(&self, response: Response) -> Result<Incoming, RequestError> {
        let status = response.status().as_u16();
        let headers = headers::incoming(response.headers());
        let body = read_body(response, self.max_response_bytes).await?;
        Ok(Incoming { status, headers, body })
    }
}

/// Sends one request and waits for the head of its answer.
async fn send(
    client: &Client,
    method: &Method,
    url: &Url,
    fields: &HeaderMap,
    body: &[u8],
    credential: Option<(auth::Credential, u64)>,
) -> Result<Response, RequestError> {
    let mut fields = fields.clone();
    if let Some((credential, _)) = credential {
        credential.put(&mut fields);
    }
    let request = client.request(method.clone(), url.clone()).headers(fields);
    let has_body = !body.is_empty() || matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    let request = if has_body { request.body(body.to_vec()) } else { request };
    request.send().await.map_err(of_reqwest)
}

/// The beginning of what a guest or a server wrote.
fn shortened(text: &str) -> Cow<'_, str> {
    beginning(text, SHORTENED_CHARS_MAX)
}

#[async_trait]
impl Http for HttpTransport {
    async fn request(&self, request: Outgoing) -> Result<Incoming, Fault> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let limit = Duration::from_millis(self.timeout_ms.into());
        let result = tokio::time::timeout(limit, self.exchange(&request)).await.unwrap_or(Err(RequestError::Timeout));
        match &result {
            Ok(_) => self.probe.life.set(LinkState::Up),
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if error.is_down() {
                    let reason = error.fault(&self.base.to_string(), self.timeout_ms).message;
                    self.probe.life.set(LinkState::Down { reason });
                    self.probe.wanted.notify_one();
                }
            }
        }
        result.map_err(|error| error.fault(&self.who, self.timeout_ms))
    }
}

/// Looks whether the server is there, by connecting and hanging up: at the start, and while it was not reached.
struct Probe {
    address: Address,
    resolver: Resolver,
    connect_timeout: Duration,
    life: Arc<Lifecycle>,
    wanted: Notify,
}

impl Probe {
    async fn keep(self: Arc<Self>) {
        let mut signals = self.life.signals();
        let first = Duration::from_millis(PROBE_FIRST_MS);
        let mut backoff = Backoff::new(first, Duration::from_millis(PROBE_MAX_MS));
        loop {
            let looked = tokio::select! {
                looked = self.look() => looked,
                signal = signals.next() => if signal == Signal::Stop { return } else { continue },
            };
            match looked {
                Ok(()) => {
                    self.life.set(LinkState::Up);
                    let signal = tokio::select! {
                        () = self.wanted.notified() => None,
                        signal = signals.next() => Some(signal),
                    };
                    if signal == Some(Signal::Stop) {
                        return;
                    }
                }
                Err(reason) => self.life.set(LinkState::Down { reason }),
            }
            // Also after a request that failed at a server that takes connections, as with a wrong certificate.
            if !signals.pause(backoff.next(random_u32())).await {
                return;
            }
            if self.life.state() == LinkState::Up {
                backoff.succeeded();
            }
        }
    }

    async fn look(&self) -> Result<(), String> {
        let connect = async {
            let addresses = self.resolver.addresses(&self.address.host, self.address.port).await?;
            TcpStream::connect(&addresses[..]).await
        };
        match tokio::time::timeout(self.connect_timeout, connect).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("cannot connect to {}: {error}", self.address)),
            Err(_) => {
                let limit = self.connect_timeout.as_millis();
                Err(format!("cannot connect to {}: no answer within {limit} ms", self.address))
            }
        }
    }
}

#[async_trait]
impl Link for HttpTransport {
    fn start(&self) {
        self.task.spawn(&self.probe.life, self.probe.clone().keep());
    }

    fn state(&self) -> watch::Receiver<LinkState> {
        self.probe.life.watch()
    }

    async fn reconnect(&self) {
        self.probe.life.reconnect();
    }

    async fn stop(&self) {
        self.client.lock().take();
        self.task.stop(&self.probe.life).await;
    }

    fn describe(&self) -> String {
        format!("http {}", self.base)
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        [
            ("requests_total", &self.requests),
            ("request_failures_total", &self.failures),
            ("redirects_total", &self.redirects),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
        .into()
    }
}

//! Bulkhead adapter: readings to an HTTP server as JSON.
//!
//! Method, path and body are templates over a batch or over each of its readings. A batch that the server refuses as a
//! whole is halved until the readings that it will not take stand alone; only these are given up.

mod context;
mod settings;
mod template;

pub use settings::{CheckMethod, DEFAULT_BATCH_BODY, DEFAULT_READING_BODY, Method, Mode, Settings};

use bulkhead_sdk::http::{Incoming, Outgoing};
use bulkhead_sdk::prelude::*;
use bulkhead_upstream::{DeliveryTime, Progress, Verdict, Verdicts, excerpt, key_of_part, retry_fault};
use minijinja::Value as TemplateValue;
use template::Templates;

/// The role of the transport that leads to the server.
const UPSTREAM: &str = "upstream";
/// Most requests for one batch that is sent whole: enough to find two bad readings in ten thousand. What has not been sent
/// by then is the batch's rest, and comes again.
pub const REQUESTS_MAX: u32 = 64;

/// The adapter.
#[derive(Debug)]
pub struct HttpJson {
    settings: Settings,
    templates: Templates,
    verdicts: Verdicts,
}

impl Adapter for HttpJson {
    type Settings = Settings;

    fn start(settings: Settings) -> Result<Self, Fault> {
        let verdicts = Verdicts::parse(settings.success.as_deref(), settings.reject.as_deref())
            .map_err(|mistake| Fault::reconfigure("bad-settings", format!("settings.success and reject: {mistake}")))?;
        check_headers(&settings)?;
        Ok(HttpJson { templates: Templates::compile(&settings)?, verdicts, settings })
    }

    fn check(&mut self) -> Result<String, Fault> {
        let what = format!("{} {}", self.settings.check_method.name(), shown(&self.settings.check_path));
        let request = Outgoing {
            method: self.settings.check_method.name().to_owned(),
            path: self.settings.check_path.clone(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let answer = http::request(UPSTREAM, &request)?;
        match answer.status {
            200..=399 => Ok(format!("{what} answered {}", answer.status)),
            _ => Err(retry_fault(&what, &answer, &excerpt(&answer.body))),
        }
    }
}

impl Sink for HttpJson {
    fn deliver(&mut self, batch: &Batch) -> Result<Outcome, Fault> {
        match self.settings.mode {
            Mode::Batch => self.deliver_whole(batch),
            Mode::Reading => self.deliver_each(batch),
        }
    }
}

/// What one request came to.
enum Sent {
    Taken,
    Refused(Fault),
    Later(Fault),
}

impl HttpJson {
    /// One request for each reading; the first that has to wait makes the rest wait, and so does a delivery that lasts long.
    fn deliver_each(&self, batch: &Batch) -> Result<Outcome, Fault> {
        let time = DeliveryTime::begin();
        let mut progress = Progress::default();
        for entry in &batch.entries {
            if let Err(fault) = time.check(&progress) {
                return progress.stopped(fault);
            }
            let reading = context::reading(batch, entry);
            let key = key_of_part(batch, entry.seq, entry.seq);
            let context = context::alone(batch, &key, reading);
            match self.send(&context, &key) {
                Sent::Taken => progress.taken(1),
                Sent::Refused(fault) => progress.refused(fault),
                Sent::Later(fault) => return progress.stopped(fault),
            }
        }
        Ok(progress.done())
    }

    /// One request for the batch; one that is refused is sent again in halves, the first half first.
    fn deliver_whole(&self, batch: &Batch) -> Result<Outcome, Fault> {
        let time = DeliveryTime::begin();
        let mut progress = Progress::default();
        // How many entries the next requests take: the last is the next one's.
        let mut counts = vec![batch.entries.len()];
        let mut requests = 0;
        while let Some(count) = counts.pop() {
            if requests == REQUESTS_MAX {
                let message = format!("{REQUESTS_MAX} requests were not enough to find the readings that are refused");
                return progress.stopped(Fault::retry("batch-halving", message).after_ms(0));
            }
            if let Err(fault) = time.check(&progress) {
                return progress.stopped(fault);
            }
            requests += 1;
            let first = progress.next();
            match self.send_part(batch, first, count) {
                Sent::Taken => progress.taken(count),
                Sent::Refused(fault) if count == 1 => progress.refused(fault),
                Sent::Refused(_) => counts.extend([count - count / 2, count / 2]),
                Sent::Later(fault) => return progress.stopped(fault),
            }
        }
        Ok(progress.done())
    }

    /// Sends a run of a batch's entries. A part has a key of its own, which is the same when the same entries come again.
    fn send_part(&self, batch: &Batch, first: usize, count: usize) -> Sent {
        let entries = &batch.entries[first..first + count];
        let key = match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => key_of_part(batch, first.seq, last.seq),
            _ => batch.key.clone(),
        };
        let readings: Vec<TemplateValue> = entries.iter().map(|entry| context::reading(batch, entry)).collect();
        let context = context::together(batch, &key, readings);
        self.send(&context, &key)
    }

    fn send(&self, context: &TemplateValue, key: &str) -> Sent {
        let request = match self.request(context, key) {
            Ok(request) => request,
            Err(fault) => return Sent::Later(fault),
        };
        match http::request(UPSTREAM, &request) {
            Err(fault) => Sent::Later(fault),
            Ok(answer) => self.judge(&request, &answer),
        }
    }

    fn request(&self, context: &TemplateValue, key: &str) -> Result<Outgoing, Fault> {
        let mut headers = vec![("content-type".to_owned(), self.settings.content_type.clone())];
        if !self.settings.idempotency_header.is_empty() {
            headers.push((self.settings.idempotency_header.clone(), key.to_owned()));
        }
        headers.extend(self.settings.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(Outgoing {
            method: self.settings.method.name().to_owned(),
            path: self.templates.path(context)?,
            headers,
            body: self.templates.body(context)?.into_bytes(),
        })
    }

    fn judge(&self, request: &Outgoing, answer: &Incoming) -> Sent {
        let what = format!("{} {}", request.method, shown(&request.path));
        let text = excerpt(&answer.body);
        match self.verdicts.of(answer.status) {
            Verdict::Taken => Sent::Taken,
            Verdict::Later => Sent::Later(retry_fault(&what, answer, &text)),
            Verdict::Refused => {
                let said = if text.is_empty() { "without a reason".to_owned() } else { format!(": {text}") };
                let message =
                    format!("{what} answered {}{}{said}", answer.status, if text.is_empty() { ", " } else { "" });
                Sent::Refused(Fault::reject(format!("status-{}", answer.status), message))
            }
        }
    }
}

/// A path in a message.
fn shown(path: &str) -> &str {
    if path.is_empty() { "the base URL" } else { path }
}

/// Header fields that the settings may not set: the host's own, and what this adapter sets by other keys.
fn check_headers(settings: &Settings) -> Result<(), Fault> {
    let is_token = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let named = settings.headers.keys().map(|name| ("headers", name));
    let idempotency = Some(("idempotency_header", &settings.idempotency_header)).filter(|(_, name)| !name.is_empty());
    for (key, name) in named.chain(idempotency) {
        let reason = match name.to_ascii_lowercase().as_str() {
            "authorization" | "proxy-authorization" => "credentials belong into the transport's `auth`",
            "content-type" => "it is set by `content_type`",
            "host" | "content-length" | "connection" | "keep-alive" | "transfer-encoding" | "te" | "trailer"
            | "upgrade" | "expect" => "it is the gateway's own",
            _ if !is_token(name) => "that is no name of a header field",
            _ => continue,
        };
        return Err(Fault::reconfigure("bad-settings", format!("settings.{key}: `{name}`: {reason}")));
    }
    let values = settings.headers.values().chain([&settings.content_type]);
    match values.into_iter().find(|value| value.chars().any(char::is_control)) {
        Some(_) => Err(Fault::reconfigure("bad-settings", "settings.headers: a value holds a control character")),
        None => Ok(()),
    }
}

bulkhead_sdk::export!(HttpJson: sink);

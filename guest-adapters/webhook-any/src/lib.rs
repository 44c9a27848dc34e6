//! Bulkhead adapter: XML, forms and any bytes posted to a webhook as readings, answered as the sender expects it.
//!
//! What is posted becomes JSON, which the mapping of `bulkhead-json-points` reads like that of the other adapters. The answer
//! is sent once the readings are committed.

mod answer;
mod form;
mod settings;
mod xml;

pub use settings::{AnswerSettings, Format, HookSettings, Settings};

use answer::{Outcome, answer};
use bulkhead_json_points::{Arrival, Encoding, Mapping, Origins, Rule, RuleSettings};
use bulkhead_sdk::File;
use bulkhead_sdk::prelude::*;
use settings::HOOKS_MAX;

/// Most problems that an answer names.
const PROBLEMS_MAX: usize = 20;
/// Longest name of a file that a reading keeps, in characters.
const FILE_NAME_MAX_CHARS: usize = 255;

/// The adapter.
#[derive(Debug)]
pub struct WebhookAny {
    hooks: Vec<Hook>,
}

/// An entry of `hooks`, ready.
#[derive(Debug)]
struct Hook {
    format: Format,
    takes: Takes,
    answer: Option<AnswerSettings>,
}

#[derive(Debug)]
enum Takes {
    /// What a mapping finds. `array`: the names down to elements that are an array though there is one.
    Values { origins: Origins, encoding: Encoding, array: Vec<String> },
    /// All of it, at a path.
    Whole { path: String, point: Point },
}

impl Adapter for WebhookAny {
    type Settings = Settings;

    fn start(settings: Settings) -> Result<Self, Fault> {
        Ok(Self { hooks: compile(&settings)? })
    }

    fn check(&mut self) -> Result<String, Fault> {
        Ok(format!("{} hooks are ready", self.hooks.len()))
    }
}

impl Responder for WebhookAny {
    fn respond(&mut self, request: &Request) -> Result<Reply, Fault> {
        let refused = |status, error: String| answer(&Outcome::Refused { status, error }, Format::Bytes, None);
        if !matches!(request.method.as_str(), "POST" | "PUT") {
            let mut reply = refused(405, format!("{} is not taken here; use POST", request.method));
            reply.headers.push(("allow".to_owned(), "POST, PUT".to_owned()));
            return Ok(reply);
        }
        let content_type = header(request, "content-type");
        let mut at_path = Vec::new();
        for hook in &mut self.hooks {
            if hook.is_at(&request.path)? {
                at_path.push(hook);
            }
        }
        if at_path.is_empty() {
            return Ok(refused(404, format!("no hook is at {}", request.path)));
        }
        let mut fitting = at_path.into_iter().filter(|hook| fits(hook.format, content_type)).peekable();
        let Some((format, settings)) = fitting.peek().map(|hook| (hook.format, hook.answer.clone())) else {
            return Ok(refused(415, format!("`{content_type}` is not taken at {}", request.path)));
        };
        let mut gathered = Gathered::default();
        for hook in fitting {
            hook.read(request, content_type, &mut gathered)?;
        }
        let reply = answer(&gathered.outcome(), format, settings.as_ref());
        Ok(Reply { readings: gathered.readings, ..reply })
    }
}

/// What the hooks of a path make of a body.
#[derive(Debug, Default)]
struct Gathered {
    readings: Vec<Reading>,
    problems: Vec<String>,
}

impl Gathered {
    fn problem(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Refused where there are problems and no value. The readings are kept in both cases: Bad ones say that something came
    /// and could not be used.
    fn outcome(&self) -> Outcome {
        let readings = self.readings.iter().filter(|reading| reading.value.is_some()).count();
        match (readings, self.problems.as_slice()) {
            (0, [_, ..]) => Outcome::Refused { status: 400, error: self.problems.join("; ") },
            (readings, problems) => Outcome::Taken { readings, problems: problems.to_vec() },
        }
    }
}

impl Hook {
    fn is_at(&mut self, path: &str) -> Result<bool, Fault> {
        match &mut self.takes {
            Takes::Values { origins, .. } => origins.is_read(path),
            Takes::Whole { path: own, .. } => Ok(path == own),
        }
    }

    fn read(&mut self, request: &Request, content_type: &str, gathered: &mut Gathered) -> Result<(), Fault> {
        match &mut self.takes {
            Takes::Whole { point, .. } => {
                gathered.readings.push(Reading::at(*point, Value::File(file_of(request, content_type))));
                Ok(())
            }
            Takes::Values { origins, encoding, array } => {
                let json = match self.format {
                    Format::Xml => xml::to_json(&request.body, *encoding, array),
                    _ => form::to_json(&request.body, content_type, *encoding),
                };
                // What is no such body is no JSON either: each point gets a Bad reading, as for JSON that is none.
                let payload = json.as_ref().map(ToString::to_string).unwrap_or_default();
                let origin = format_args!("path {}", request.path);
                let arrival = Arrival { origin, received: request.received, status_without_time: Status::GOOD };
                if let Err(error) = &json {
                    gathered.problem(format!("path {}: {error}", request.path));
                }
                let mut problems = Vec::new();
                let report = &mut |point, fault: Fault| {
                    log::report(point, &fault);
                    problems.push(fault.message);
                };
                origins.read(&request.path, payload.as_bytes(), arrival, &mut gathered.readings, report)?;
                if json.is_ok() {
                    problems.into_iter().for_each(|problem| gathered.problem(problem));
                }
                Ok(())
            }
        }
    }
}

/// The value of a header field; empty where there is none.
fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// Whether a body of a media type can be of a format. Some devices name none.
fn fits(format: Format, content_type: &str) -> bool {
    let plain = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match format {
        _ if plain.is_empty() => true,
        Format::Xml => matches!(plain.as_str(), "application/xml" | "text/xml") || plain.ends_with("+xml"),
        Format::Form => plain == "application/x-www-form-urlencoded" || plain == "multipart/form-data",
        Format::Bytes => true,
    }
}

/// The body as a file, under the name that the sender gives it.
fn file_of(request: &Request, content_type: &str) -> File {
    let given = form::parameter(header(request, "content-disposition"), "filename").unwrap_or_default();
    let name: String = given.rsplit(['/', '\\']).next().unwrap_or_default().chars().take(FILE_NAME_MAX_CHARS).collect();
    let name = if name.is_empty() { "body".to_owned() } else { name };
    let media_type = if content_type.is_empty() { "application/octet-stream" } else { content_type };
    File { name, media_type: media_type.to_owned(), data: request.body.clone() }
}

/// Every entry compiled, or every mistake in one fault.
fn compile(settings: &Settings) -> Result<Vec<Hook>, Fault> {
    let mut mistakes = Vec::new();
    if settings.hooks.is_empty() || settings.hooks.len() > HOOKS_MAX {
        mistakes.push(format!("hooks: {} entries, expected 1 to {HOOKS_MAX}", settings.hooks.len()));
    }
    let mut hooks = Vec::new();
    for (index, hook) in settings.hooks.iter().enumerate() {
        let found = mistakes_of(hook);
        if !found.is_empty() {
            mistakes.extend(found.iter().map(|mistake| format!("hooks[{index}].{mistake}")));
            continue;
        }
        match takes(hook)? {
            Ok(takes) => hooks.push(Hook { format: hook.format, takes, answer: hook.answer.clone() }),
            Err(found) => mistakes.extend(found.iter().map(|mistake| format!("hooks[{index}].{mistake}"))),
        }
    }
    if mistakes.is_empty() { Ok(hooks) } else { Err(Fault::reconfigure("bad-settings", mistakes.join("; "))) }
}

fn mistakes_of(hook: &HookSettings) -> Vec<String> {
    let mut mistakes = Vec::new();
    if !hook.path.starts_with('/') {
        mistakes.push(format!("path: `{}` does not begin with `/`", hook.path));
    }
    if let Some(answer) = hook.answer.as_ref().filter(|answer| !(200..300).contains(&answer.status)) {
        mistakes.push(format!("answer.status: {}, expected 200 to 299", answer.status));
    }
    if hook.format == Format::Bytes {
        if hook.name.as_ref().is_none_or(String::is_empty) {
            mistakes.push("name: the point that the whole body is a reading of is missing".to_owned());
        }
        if hook.path.contains("/+") || hook.path.contains("/#") {
            mistakes.push("path: no wildcards go together with the format `bytes`".to_owned());
        }
        if !hook.points.is_empty() || hook.each.is_some() || hook.time.is_some() {
            mistakes.push("points, each, time: nothing is looked for in a body of the format `bytes`".to_owned());
        }
    }
    mistakes
}

/// What an entry takes, or its mistakes.
fn takes(hook: &HookSettings) -> Result<Result<Takes, Vec<String>>, Fault> {
    if hook.format == Format::Bytes {
        let name = hook.name.clone().unwrap_or_default();
        let point = points::declare_one(NewPoint::new(&name, Kind::File).description(Some("What was posted.")))?;
        return Ok(Ok(Takes::Whole { path: hook.path.clone(), point }));
    }
    // What the mapping reads has been decoded by then.
    let mapping = Mapping { encoding: Encoding::Utf8, ..hook.mapping() };
    let rule =
        RuleSettings { key: "path", filter: &hook.path, name: hook.name.as_deref(), mapping, takes_arrays: false };
    match Rule::compile(&rule) {
        Err(mistakes) => Ok(Err(mistakes)),
        Ok(rule) => {
            let array = hook.each.as_deref().map(names_down_to).unwrap_or_default();
            Ok(Ok(Takes::Values { origins: Origins::new(vec![rule])?, encoding: hook.encoding, array }))
        }
    }
}

/// `$.devices.device[*]` as its names.
fn names_down_to(each: &str) -> Vec<String> {
    let path = each.trim_start_matches('$').trim_start_matches('.').trim_end_matches("[*]");
    path.split('.').map(str::to_owned).collect()
}

bulkhead_sdk::export!(WebhookAny: responder);

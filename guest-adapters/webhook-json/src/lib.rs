//! Bulkhead adapter: JSON posted to a webhook as readings.
//!
//! The answer is sent once the readings are committed: 200 with their number and with what was wrong with single values, or
//! 400 with the reason why the payload could not be used.

mod settings;

pub use settings::{HookSettings, Settings};

use bulkhead_json_points::{Arrival, Origins, Rule, RuleSettings};
use bulkhead_sdk::prelude::*;
use serde_json::json;
use settings::HOOKS_MAX;

/// Most problems that an answer names.
const PROBLEMS_MAX: usize = 20;

/// The adapter.
#[derive(Debug)]
pub struct WebhookJson {
    hooks: Origins,
}

impl Adapter for WebhookJson {
    type Settings = Settings;

    fn start(settings: Settings) -> Result<Self, Fault> {
        Ok(WebhookJson { hooks: Origins::new(compile(&settings)?)? })
    }

    fn check(&mut self) -> Result<String, Fault> {
        Ok(format!("{} hooks are ready", self.hooks.counts().0))
    }
}

impl Responder for WebhookJson {
    fn respond(&mut self, request: &Request) -> Result<Reply, Fault> {
        if !matches!(request.method.as_str(), "POST" | "PUT") {
            let mut reply = answer(405, &json!({ "error": format!("{} is not taken here; use POST", request.method) }));
            reply.headers.push(("allow".to_owned(), "POST, PUT".to_owned()));
            return Ok(reply);
        }
        let origin = format_args!("path {}", request.path);
        let arrival = Arrival { origin, received: request.received, status_without_time: Status::GOOD };
        let mut readings = Vec::new();
        let mut problems = Vec::new();
        let report = &mut |point, fault: Fault| {
            log::report(point, &fault);
            if problems.len() < PROBLEMS_MAX && !problems.contains(&fault.message) {
                problems.push(fault.message);
            }
        };
        match self.hooks.read(&request.path, &request.body, arrival, &mut readings, report) {
            Err(fault) => Err(Fault { message: format!("path {}", fault.message), ..fault }),
            Ok(false) => Ok(answer(404, &json!({ "error": format!("no hook is at {}", request.path) }))),
            Ok(true) => Ok(reply(readings, &problems)),
        }
    }
}

/// 200 where any value came through or nothing was wrong; 400 where there are problems and no value. The readings are kept
/// in both cases: Bad ones say that something came and could not be used.
fn reply(readings: Vec<Reading>, problems: &[String]) -> Reply {
    let values = readings.iter().filter(|reading| reading.value.is_some()).count();
    let reply = match (values, problems) {
        (_, []) => answer(200, &json!({ "readings": values })),
        (0, _) => answer(400, &json!({ "error": problems.join("; ") })),
        _ => answer(200, &json!({ "readings": values, "problems": problems })),
    };
    Reply { readings, ..reply }
}

fn answer(status: u16, body: &serde_json::Value) -> Reply {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Reply { status, headers, body: body.to_string().into_bytes(), readings: Vec::new() }
}

/// Every entry compiled, or every mistake in one fault.
fn compile(settings: &Settings) -> Result<Vec<Rule>, Fault> {
    let mut mistakes = Vec::new();
    if settings.hooks.is_empty() || settings.hooks.len() > HOOKS_MAX {
        mistakes.push(format!("hooks: {} entries, expected 1 to {HOOKS_MAX}", settings.hooks.len()));
    }
    let mut rules = Vec::new();
    for (index, hook) in settings.hooks.iter().enumerate() {
        if !hook.path.starts_with('/') {
            mistakes.push(format!("hooks[{index}].path: `{}` does not begin with `/`", hook.path));
            continue;
        }
        let rule = RuleSettings {
            key: "path",
            filter: &hook.path,
            name: hook.name.as_deref(),
            mapping: hook.mapping(),
            takes_arrays: true,
        };
        match Rule::compile(&rule) {
            Ok(rule) => rules.push(rule),
            Err(found) => mistakes.extend(found.iter().map(|mistake| format!("hooks[{index}].{mistake}"))),
        }
    }
    if mistakes.is_empty() { Ok(rules) } else { Err(Fault::reconfigure("bad-settings", mistakes.join("; "))) }
}

bulkhead_sdk::export!(WebhookJson: responder);

//! One operation of the document: what is said of it once, and what follows from the table of what each path needs.

use crate::access::table::{Endpoint, Need};
use crate::gate::changes_something;
use axum::http::Method;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// Makes schemas; those of named types become components.
pub(super) struct Schemas {
    of_answers: SchemaGenerator,
    of_bodies: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            of_answers: settings.clone().for_serialize().into_generator(),
            of_bodies: settings.for_deserialize().into_generator(),
        }
    }

    pub(super) fn of_answer<T: JsonSchema>(&mut self) -> Value {
        self.of_answers.subschema_for::<T>().to_value()
    }

    pub(super) fn of_body<T: JsonSchema>(&mut self) -> Value {
        self.of_bodies.subschema_for::<T>().to_value()
    }

    /// The components.
    pub(super) fn into_named(mut self) -> Map<String, Value> {
        let mut all = self.of_answers.take_definitions(true);
        for (name, schema) in self.of_bodies.take_definitions(true) {
            let before = all.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "two types are called {name}");
        }
        all
    }
}

/// An operation.
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// As the document has it.
    pub(super) path: &'static str,
    /// As the table has it.
    pub(super) row: &'static str,
    pub(super) id: &'static str,
    tag: &'static str,
    summary: &'static str,
    about: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<String, Value>,
    /// Codes of problems by status.
    problems: BTreeMap<u16, Vec<&'static str>>,
    /// Its answer has no end that is known when it begins, and so no tag.
    streams: bool,
    /// Errors have the format of OData, or that of an adapter.
    has_own_errors: bool,
}

/// An operation at a path that the table has, too.
pub(super) fn operation(
    tag: &'static str,
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    Operation {
        method,
        path,
        row: path,
        id,
        tag,
        summary,
        about: "",
        parameters: Vec::new(),
        body: None,
        answers: BTreeMap::new(),
        problems: BTreeMap::new(),
        streams: false,
        has_own_errors: false,
    }
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

impl Operation {
    /// The table has another path, whose end takes any number of segments.
    pub(super) fn at(self, row: &'static str) -> Self {
        Self { row, ..self }
    }

    /// More about it than the summary.
    pub(super) fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// A query parameter.
    pub(super) fn query(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(json!({ "name": name, "in": "query", "description": description, "schema": schema }));
        self
    }

    /// A query parameter that can stand several times.
    pub(super) fn queries(mut self, name: &str, schema: Value, description: &str) -> Self {
        let schema = json!({ "type": "array", "items": schema });
        self.parameters.push(json!({
            "name": name, "in": "query", "description": description, "style": "form", "explode": true, "schema": schema,
        }));
        self
    }

    /// A header field.
    pub(super) fn header(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(json!({ "name": name, "in": "header", "description": description, "schema": schema }));
        self
    }

    /// Who has the answer already can ask whether it is another one now.
    pub(super) fn conditional(mut self) -> Self {
        if self.answers.contains_key("304") {
            return self;
        }
        if let Some(answer) = self.answers.get_mut("200") {
            let tag =
                json!({ "description": "Names this content, for If-None-Match.", "schema": { "type": "string" } });
            answer["headers"].as_object_mut().expect("made above").entry("ETag").or_insert(tag);
        }
        self.header("If-None-Match", json!({ "type": "string" }), "The ETag of the answer that is there already.")
            .gives_any("304", "It is still the same.", Value::Null)
    }

    /// It can be sent again with the same key.
    pub(super) fn once(self) -> Self {
        self.header(
            "Idempotency-Key",
            json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\t -~]*[!-~][\\t -~]*$" }),
            "Sent again with the same key and body, it is not done again: the answer is repeated.",
        )
        .problem(400, &["bad-key"])
        .problem(409, &["key-in-use"])
        .problem(422, &["key-reused"])
    }

    /// A body of JSON.
    pub(super) fn takes<T: JsonSchema>(self, schemas: &mut Schemas, example: Value) -> Self {
        let schema = schemas.of_body::<T>();
        self.takes_any(json!({ JSON: { "schema": schema, "example": example } }))
            .problem(400, &["bad-body"])
            .problem(413, &["body-too-large"])
            .problem(415, &["media-type"])
    }

    /// A body of these media types.
    pub(super) fn takes_any(mut self, content: Value) -> Self {
        self.body = Some(json!({ "required": true, "content": content }));
        self
    }

    /// An answer of JSON.
    pub(super) fn gives<T: JsonSchema>(
        self,
        schemas: &mut Schemas,
        status: u16,
        description: &str,
        example: Value,
    ) -> Self {
        let schema = schemas.of_answer::<T>();
        self.gives_any(&status.to_string(), description, json!({ JSON: { "schema": schema, "example": example } }))
    }

    /// An answer without a body.
    pub(super) fn gives_nothing(self, description: &str) -> Self {
        self.gives_any("204", description, Value::Null)
    }

    /// An answer of these media types.
    pub(super) fn gives_any(mut self, status: &str, description: &str, content: Value) -> Self {
        let mut answer = json!({
            "description": description,
            "headers": { "X-Request-Id": reference("headers", "RequestId") },
        });
        if !content.is_null() {
            answer["content"] = content;
        }
        self.answers.insert(status.to_owned(), answer);
        self
    }

    /// The answer of a status has a header field.
    pub(super) fn with_header(mut self, status: &str, name: &str, description: &str) -> Self {
        let answer = self.answers.get_mut(status).expect("the answer comes first");
        answer["headers"][name] = json!({ "description": description, "schema": { "type": "string" } });
        self
    }

    /// It can end in problems with these codes.
    pub(super) fn problem(mut self, status: u16, codes: &[&'static str]) -> Self {
        self.problems.entry(status).or_default().extend(codes);
        self
    }

    /// Its answer comes piece by piece.
    pub(super) fn streams(self) -> Self {
        Self { streams: true, ..self }
    }

    /// Its errors have another format, which it says itself.
    pub(super) fn own_errors(self) -> Self {
        Self { has_own_errors: true, ..self }
    }

    /// Its part of the document.
    pub(super) fn described(mut self) -> Value {
        let endpoint = Endpoint::at(self.row).unwrap_or_else(|| panic!("{} is in no row of the table", self.row));
        let method = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let need = endpoint.need(&method).unwrap_or_else(|| panic!("{} {} is not taken", self.method, self.row));
        if self.method == "GET"
            && self.path.starts_with("/api/v1/")
            && self.answers.contains_key("200")
            && !self.streams
        {
            self = self.conditional();
        }
        self.add_path_parameters();
        self.add_common_problems(need, changes_something(&method, self.path));
        let (role, security) = needed(need);
        let mut described = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "description": format!("{}{}{role}", self.about, if self.about.is_empty() { "" } else { "\n\n" }),
            "security": security,
            "x-required-role": need_name(need),
            "responses": self.responses(),
        });
        if !self.parameters.is_empty() {
            described["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            described["requestBody"] = body;
        }
        described
    }

    fn add_path_parameters(&mut self) {
        for name in self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')) {
            let (description, example) = path_parameter(name);
            self.parameters.push(json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": description,
                "schema": { "type": "string", "minLength": 1 },
                "example": example,
            }));
        }
    }

    fn add_common_problems(&mut self, need: Need, changes: bool) {
        let mut add = |status: u16, codes: &[&'static str]| {
            let all = self.problems.entry(status).or_default();
            all.extend(codes.iter().filter(|code| !all.contains(code)).collect::<Vec<_>>());
        };
        add(400, &["no-host", "unknown-parameter"]);
        if !self.parameters.is_empty() {
            add(400, &["bad-parameter", "bad-path"]);
        }
        add(403, &["foreign-host", "needs-tls"]);
        if need != Need::Nobody {
            add(401, &["unauthorized"]);
            add(403, &["role-needed", "outside-scope"]);
            add(429, &["locked-out"]);
        }
        if changes {
            add(403, &["csrf", "foreign-origin"]);
        }
        add(429, &["too-many-requests"]);
        add(431, &["too-many-headers"]);
        add(500, &["internal"]);
        add(503, &["busy", "stopping"]);
        add(504, &["timeout"]);
    }

    fn responses(&self) -> Value {
        let mut all: Map<String, Value> = self.answers.clone().into_iter().collect();
        for (status, codes) in &self.problems {
            let mut problem = problem(*status, codes);
            let own = all.get(&status.to_string()).or_else(|| all.get("default"));
            if let Some(content) = own.filter(|_| self.has_own_errors).and_then(|own| own["content"].as_object()) {
                // Whoever asks can meet either.
                problem["content"].as_object_mut().expect("made above").extend(content.clone());
            }
            all.insert(status.to_string(), problem);
        }
        all.into()
    }
}

/// The answer to a request that is not served.
fn problem(status: u16, codes: &[&str]) -> Value {
    let title = axum::http::StatusCode::from_u16(status).expect("a status").canonical_reason().expect("a known status");
    let listed = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
    let code = codes.first().expect("at least one code");
    let mut answer = json!({
        "description": format!("{title}: {listed}"),
        "headers": { "X-Request-Id": reference("headers", "RequestId") },
        "content": { PROBLEM: {
            "schema": reference("schemas", "Problem"),
            "example": {
                "type": format!("urn:bulkhead:problem:{code}"), "title": title, "status": status, "code": code,
                "detail": "In a sentence.", "instance": "urn:bulkhead:request:5f0c9a1b-42",
            },
        } },
    });
    if matches!(status, 429 | 503) {
        answer["headers"]["Retry-After"] = reference("headers", "RetryAfter");
    }
    answer
}

fn need_name(need: Need) -> &'static str {
    match need {
        Need::Nobody => "none",
        Need::Role(role) => role.name(),
        Need::Config => "admin",
        Need::Webhook => "operator",
    }
}

/// What an operation needs, in words and as OpenAPI has it.
fn needed(need: Need) -> (String, Value) {
    let ways = ["bearer", "apiKey", "basic", "session", "mutualTLS"];
    let any = || Value::Array(ways.iter().map(|way| json!({ *way: [] })).collect());
    match need {
        Need::Nobody => ("Needs no credential.".into(), json!([])),
        Need::Role(role) => (format!("Needs the role {}.", role.name()), any()),
        Need::Config => {
            let text = "Needs the role admin; a credential of the config with the role operator will do while nobody is an admin.";
            (text.into(), any())
        }
        Need::Webhook => {
            let text =
                "Needs the role operator, or, where the connection has a signature, a right one and nothing else.";
            (text.into(), any())
        }
    }
}

/// What a name in a path is, and one that the demo has.
fn path_parameter(name: &str) -> (&'static str, &'static str) {
    match name {
        "connection" => ("The name of a connection.", "boiler"),
        "point" => ("The name of a point; a `/` in it may stand as it is.", "setpoint"),
        "route" => ("The name of a route.", "everything-to-erp"),
        "id" => ("The name of an import.", "history-2025"),
        "letter" => ("The number of a dead letter.", "17"),
        "user" => ("The name of a user.", "anna"),
        "key" => ("The name of a key, or what it begins with.", "historian"),
        "adapter" => ("The name of an adapter.", "modbus-registers"),
        "path" => ("What is below; it may have any number of segments.", "Connections"),
        "asset" => ("The name of a file of the page.", "page.js"),
        other => panic!("nobody has said what {{{other}}} in a path is"),
    }
}

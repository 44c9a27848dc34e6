//! The audit log: every change and every refusal, who, from where, what, with which result. Records are appended to a file of
//! one JSON object a line in the data folder, which is rotated and never rewritten.
//!
//! What never stands in it: passwords, keys, tokens, cookies, signatures, bodies, header fields, the query of a webhook, and a
//! name that nobody here has (people type passwords into the field for the name).

mod file;
mod recorder;

pub use file::AuditLog;
pub(crate) use recorder::{Happened, Note, Recorder, result_of};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// How a record's deed ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AuditResult {
    /// It was done.
    Done,
    /// It was not let.
    Refused,
    /// It was let and did not work.
    Failed,
}

/// One thing that somebody did or wanted to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AuditRecord {
    /// Its number, which rises and is never given twice.
    #[serde(default)]
    pub id: u64,
    /// When, in nanoseconds since 1970; the wall clock can be wrong.
    pub time_ns: i64,
    /// The user, key, credential or certificate; none: nobody that is known.
    pub who: Option<String>,
    /// How they proved it: `password`, `session`, `key`, `config`, `certificate`, `token`, `local`, `command-line`.
    pub proof: Option<String>,
    /// Their role.
    pub role: Option<String>,
    /// The address it came from, or `command line` with the user of the operating system.
    pub from: String,
    /// What: method and path, or the command.
    pub what: String,
    /// How it ended.
    pub result: AuditResult,
    /// The id of the request, which its answer has in the header `X-Request-Id`; none: a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The status of the answer; none: a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was refused or failed: the code of the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// More about a change: the value that was written, the name of a key that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Json>,
    /// Refusals before this one that were not recorded, because there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl AuditRecord {
    /// A record of what the gateway itself did: it took a config up, from the file or from the API, which has its own record.
    pub(crate) fn of_gateway(time_ns: i64, what: &str) -> Self {
        Self { proof: None, role: None, from: "gateway".into(), ..Self::of_command(time_ns, what.to_owned(), None) }
    }

    /// A record of a command that changes the data folder itself, by a user of the operating system.
    #[must_use]
    pub fn of_command(time_ns: i64, what: String, detail: Option<Json>) -> Self {
        let user = rustix::process::getuid().as_raw();
        Self {
            id: 0,
            time_ns,
            who: None,
            proof: Some("command-line".into()),
            role: Some("admin".into()),
            from: format!("command line, user id {user}"),
            what,
            result: AuditResult::Done,
            request: None,
            status: None,
            code: None,
            detail,
            left_out: 0,
        }
    }
}

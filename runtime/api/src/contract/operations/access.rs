//! Sessions, users, keys and the audit log.

use super::super::operation::{Operation, Schemas, operation};
use super::{LIMIT, limit, moment, number};
use crate::audit_paths::AuditPage;
use crate::keys::{Keys, MadeKey};
use crate::session::{Credentials, ShownSender};
use crate::users::{NewPassword, NewUser, ShownUser, Users};
use serde_json::{Value, json};

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let mut all = sessions(schemas);
    all.extend(users(schemas));
    all.extend(keys(schemas));
    all.push(audit(schemas));
    all
}

fn sessions(schemas: &mut Schemas) -> Vec<Operation> {
    let sender = || {
        json!({
            "connections": null, "csrf_token": "Zm9vYmFyYmF6cXV4", "name": "anna", "proof": "session", "role": "admin", "user": "anna",
        })
    };
    vec![
        operation("access", "POST", "/api/v1/login", "logIn", "Begin a session")
            .about("The cookie is for the browser; `csrf_token` is for the page, which repeats it in X-CSRF-Token when it changes something.")
            .takes::<Credentials>(schemas, json!({ "username": "anna", "password": "correct horse" }))
            .gives::<ShownSender>(schemas, 200, "Who one is now.", sender())
            .with_header("200", "Set-Cookie", "The session.")
            .problem(401, &["unauthorized"])
            .problem(429, &["locked-out"]),
        operation("access", "POST", "/api/v1/logout", "logOut", "End the session").gives_nothing("It has ended."),
        operation("access", "GET", "/api/v1/session", "getSession", "Who one is")
            .gives::<ShownSender>(schemas, 200, "Who sends this request.", sender()),
    ]
}

fn users(schemas: &mut Schemas) -> Vec<Operation> {
    let anna = || json!({ "name": "anna", "role": "admin" });
    vec![
        operation("access", "GET", "/api/v1/users", "listUsers", "All users").gives::<Users>(
            schemas,
            200,
            "By name.",
            json!({ "users": [anna()] }),
        ),
        operation("access", "POST", "/api/v1/users", "addUser", "Make a user")
            .takes::<NewUser>(schemas, json!({ "name": "anna", "role": "admin", "password": "correct horse" }))
            .gives::<ShownUser>(schemas, 201, "The user.", anna())
            .problem(422, &["bad-account"]),
        operation("access", "DELETE", "/api/v1/users/{user}", "removeUser", "Remove a user; their sessions end")
            .gives_nothing("They are gone.")
            .problem(404, &["no-such-account"])
            .problem(422, &["bad-account"]),
        operation(
            "access",
            "POST",
            "/api/v1/users/{user}/password",
            "setPassword",
            "Give a user another password; their sessions end",
        )
        .takes::<NewPassword>(schemas, json!({ "password": "another correct horse" }))
        .gives_nothing("It counts.")
        .problem(404, &["no-such-account"])
        .problem(422, &["bad-account"]),
    ]
}

fn keys(schemas: &mut Schemas) -> Vec<Operation> {
    let key = || -> Value {
        json!({
            "connections": ["boiler"], "created": "2026-11-22T10:12:40Z", "expires": "2027-11-22T00:00:00Z", "has_ended": false,
            "name": "historian", "prefix": "bk_1a2b3c4d", "role": "viewer",
        })
    };
    let mut made = key();
    made["key"] = "bk_1a2b3c4d_the-rest-is-secret".into();
    let wanted =
        json!({ "name": "historian", "role": "viewer", "connections": ["boiler"], "expires": "2027-11-22T00:00:00Z" });
    vec![
        operation("access", "GET", "/api/v1/keys", "listKeys", "All keys, without their secrets").gives::<Keys>(
            schemas,
            200,
            "By name.",
            json!({ "keys": [key()] }),
        ),
        operation("access", "POST", "/api/v1/keys", "createKey", "Make a key")
            .takes::<crate::keys::Wanted>(schemas, wanted)
            .gives::<MadeKey>(schemas, 201, "The key, whose text is shown this once.", made)
            .problem(422, &["bad-account", "no-such-connection"]),
        operation("access", "DELETE", "/api/v1/keys/{key}", "revokeKey", "Revoke a key")
            .gives_nothing("It is good for nothing.")
            .problem(404, &["no-such-account"])
            .problem(422, &["bad-account"]),
    ]
}

fn audit(schemas: &mut Schemas) -> Operation {
    operation("access", "GET", "/api/v1/audit", "listAudit", "Who changed what, and who was refused")
        .query("since", moment(), "Only what happened then or later: RFC 3339, or milliseconds since 1970.")
        .query("after", number(), "`next` of the page before.")
        .query("limit", limit(), LIMIT)
        .gives::<AuditPage>(schemas, 200, "Records, the oldest first.", json!({
            "next": null,
            "records": [{
                "id": 7, "time": "2026-11-22T10:12:40.1Z", "time_ns": 1795342360100000000_i64, "who": "anna", "proof": "session",
                "role": "operator", "from": "192.0.2.7", "what": "POST /api/v1/connections/boiler/points/setpoint", "result": "done",
                "request": "5f0c9a1b-42", "status": 200, "detail": { "written": 62.5 },
            }],
        }))
}

//! Routes, dead letters and backups.

use super::super::operation::{Operation, Schemas, operation};
use super::things::golden;
use super::{LIMIT, limit, number, text};
use crate::backup::{ShownBackup, Wanted};
use crate::dead_letters::{Discarded, LettersPage, ShownLetter, ShownReplayed, Taken};
use crate::routes::{Routes, ShownRoute};
use serde_json::{Value, json};

const BEFORE: &str = "`next` of the page before.";

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let mut all = routes(schemas);
    all.extend(letters(schemas));
    all.extend(backups(schemas));
    all
}

fn routes(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("routes", "GET", "/api/v1/routes", "listRoutes", "All routes with cursor and backlog")
            .gives::<Routes>(schemas, 200, "Every route.", golden!("routes")),
        operation("routes", "GET", "/api/v1/routes/{route}", "getRoute", "One route")
            .gives::<ShownRoute>(schemas, 200, "The route.", golden!("route"))
            .problem(404, &["no-such-route"]),
        operation(
            "routes",
            "DELETE",
            "/api/v1/routes/{route}",
            "forgetRoute",
            "Forget a route that the config no longer has",
        )
        .gives_nothing("Its cursor and its dead letters are gone.")
        .problem(404, &["no-such-route"])
        .problem(409, &["route-in-use"]),
        operation(
            "routes",
            "GET",
            "/api/v1/routes/{route}/dead-letters",
            "listDeadLettersOfRoute",
            "Dead letters of a route",
        )
        .query("before", number(), BEFORE)
        .query("limit", limit(), LIMIT)
        .gives::<LettersPage>(schemas, 200, "The newest first.", golden!("dead_letters"))
        .problem(404, &["no-such-route"]),
    ]
}

fn letters(schemas: &mut Schemas) -> Vec<Operation> {
    let letter = || golden!("dead_letters")["dead_letters"][0].clone();
    let route = "Only readings of this route. Not together with `connection`.";
    let connection = "Only frames of this connection. Not together with `route`.";
    let list = golden!("dead_letters");
    vec![
        operation("routes", "GET", "/api/v1/dead-letters", "listDeadLetters", "What could not be delivered")
            .query("route", text(), route)
            .query("connection", text(), connection)
            .query("before", number(), BEFORE)
            .query("limit", limit(), LIMIT)
            .gives::<LettersPage>(schemas, 200, "The newest first.", list),
        operation(
            "routes",
            "DELETE",
            "/api/v1/dead-letters",
            "discardDeadLetters",
            "Remove dead letters of a route or connection for good",
        )
        .query("route", text(), route)
        .query("connection", text(), connection)
        .query("up_to", number(), "Only those with this number or a lower one.")
        .gives::<Discarded>(schemas, 200, "What is gone.", json!({ "discarded": 3 }))
        .problem(409, &["being-replayed"]),
        operation(
            "routes",
            "POST",
            "/api/v1/dead-letters/replay",
            "replayDeadLetters",
            "Try dead letters of a route or connection again",
        )
        .about("The oldest first, up to 1,000 or half a minute.")
        .query("route", text(), route)
        .query("connection", text(), connection)
        .gives::<ShownReplayed>(
            schemas,
            200,
            "What came of it.",
            json!({ "taken": 10, "refused": 0, "stopped": null, "kept": 0 }),
        )
        .problem(404, &["no-such-route", "no-such-connection"])
        .problem(409, &["being-replayed", "not-replayable", "missing-role"])
        .problem(502, &["not-delivered", "adapter-crashed"])
        .problem(503, &["not-running"]),
        operation("routes", "GET", "/api/v1/dead-letters/{letter}", "getDeadLetter", "One dead letter")
            .gives::<ShownLetter>(schemas, 200, "The letter.", letter())
            .problem(404, &["no-such-dead-letter"]),
        operation(
            "routes",
            "DELETE",
            "/api/v1/dead-letters/{letter}",
            "discardDeadLetter",
            "Remove a dead letter for good",
        )
        .gives_nothing("It is gone.")
        .problem(404, &["no-such-dead-letter"])
        .problem(409, &["being-replayed"]),
        operation(
            "routes",
            "POST",
            "/api/v1/dead-letters/{letter}/replay",
            "replayDeadLetter",
            "Try a dead letter again",
        )
        .gives::<Taken>(schemas, 200, "It was taken and is removed.", json!({ "id": 11, "taken": true }))
        .problem(404, &["no-such-dead-letter", "no-such-route", "no-such-connection"])
        .problem(409, &["being-replayed", "not-replayable", "missing-role"])
        .problem(502, &["refused-again", "not-delivered", "adapter-crashed"])
        .problem(503, &["not-running"]),
    ]
}

fn backups(schemas: &mut Schemas) -> Vec<Operation> {
    let running = || json!({ "dir": "data/backups/before-update", "name": "before-update", "state": "running" });
    let done: Value = json!({
        "begun": "2026-11-22T03:54:38.012407114Z", "bytes": 1617920, "dir": "data/backups/before-update", "files": 4,
        "last_seq": 180, "log": "eb66ac7bd41409c663e026f47800a305", "name": "before-update", "readings": 180, "segments": 1,
        "state": "done",
    });
    vec![
        operation("operations", "GET", "/api/v1/backup", "getBackup", "What the newest backup is at")
            .gives::<ShownBackup>(schemas, 200, "The newest one since the start.", done)
            .problem(404, &["no-backup"]),
        operation("operations", "POST", "/api/v1/backup", "beginBackup", "Begin a backup below the configured folder")
            .takes::<Wanted>(schemas, json!({ "name": "before-update" }))
            .gives::<ShownBackup>(schemas, 202, "It is being made: ask until it is no longer `running`.", running())
            .problem(400, &["bad-name"])
            .problem(404, &["no-backup"])
            .problem(409, &["backup-exists", "backup-running"])
            .problem(507, &["no-room"]),
    ]
}

//! The log: history, everything behind a cursor, the event stream, and what is missing.

use super::super::operation::{Operation, Schemas, operation};
use super::things::golden;
use super::{LIMIT, limit, moment, position, text};
use crate::gaps::GapsPage;
use crate::history::{HistoryPage, PullPage};
use crate::limits::STREAM_SELECTORS_MAX;
use crate::log_state::{ExpiredPage, LogState};
use serde_json::{Value, json};

const CURSOR: &str = "Behind this seq, or behind a cursor as it was handed out.";

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("readings", "GET", "/api/v1/connections/{connection}/points/{point}/readings", "listHistory", "The history of a point")
            .at("/api/v1/connections/{connection}/points/{*point}")
            .about("In the order of the log, which is that of commits. `from` belongs to the span, `to` does not.")
            .query("from", moment(), "Readings acquired then or later: RFC 3339, or milliseconds since 1970.")
            .query("to", moment(), "Readings acquired before.")
            .query("after", position(), CURSOR)
            .query("limit", limit(), LIMIT)
            .listed::<HistoryPage>(schemas, "A page.", golden!("history"))
            .problem(404, &["no-such-connection", "no-such-point"])
            .problem(410, &["other-log", "gone"]),
        operation("readings", "GET", "/api/v1/readings", "pullReadings", "Everything behind a cursor")
            .about(
                "Every reading of every point, in order. Store the readings and `cursor` in one transaction and ask again with \
                 `after`: nothing is missed and nothing comes twice.",
            )
            .query("after", position(), CURSOR)
            .query("limit", limit(), LIMIT)
            .listed::<PullPage>(schemas, "A page. The link leads on even when nothing is there yet.", pulled())
            .problem(410, &["other-log"]),
        operation("readings", "GET", "/api/v1/events", "streamReadings", "The same as server-sent events")
            .about("Begins with the next reading, or behind `after` or `Last-Event-ID`. At most 32 are open at a time.")
            .query("after", position(), CURSOR)
            .query("connection", text(), "Only this connection's.")
            .queries("select", text(), &format!("A pattern `connection/point` with `*` and `?`; up to {STREAM_SELECTORS_MAX}."))
            .header("Last-Event-ID", position(), "The id of the last event, from a client that comes back.")
            .streams()
            .gives_any("200", "Events `readings` and `gap`.", json!({ "text/event-stream": {
                "schema": { "type": "string" },
                "example": "event: readings\nid: 47a8840bc68faa9df9d5bfdfaa2a0007-1285\ndata: {\"readings\":[]}\n\n",
            } }))
            .problem(400, &["bad-event-id"])
            .problem(404, &["no-such-connection"]),
        operation("readings", "GET", "/api/v1/gaps", "listGaps", "What is missing from the log, and why")
            .paged()
            .listed::<GapsPage>(schemas, "Gaps, the oldest first.", json!({
                "gaps": [{
                    "connection": null, "first_seq": 1, "id": 1, "last_seq": 40960, "reason": "dropped-when-full",
                    "routes": ["to-cloud"], "rows": 40960, "time": "2026-11-22T04:10:09.120331Z",
                }],
                "next": null,
            })),
        operation("readings", "GET", "/api/v1/log", "getLog", "What the log takes and what became of it")
            .gives::<LogState>(schemas, 200, "The log.", log_state()),
        operation("readings", "GET", "/api/v1/log/expired", "listExpired", "Readings that went before others, by connection")
            .paged()
            .gives::<ExpiredPage>(schemas, 200, "Spans.", json!({
                "expired": [{ "connection": "scale", "first_seq": 2, "last_seq": 100, "readings": 50 }],
                "next": null,
            })),
    ]
}

fn pulled() -> Value {
    json!({
        "cursor": "47a8840bc68faa9df9d5bfdfaa2a0007-2", "first_available_seq": 1, "gap": null,
        "log": "47a8840bc68faa9df9d5bfdfaa2a0007", "missing": [], "more": true,
        "readings": [
            { "connection": "boiler", "point": "pump", "seq": 1, "status": 0, "status_name": "Good", "time": "2026-11-22T01:16:00.557579709Z", "value": true },
            { "connection": "boiler", "point": "flow_temp", "seq": 2, "status": 0, "status_name": "Good", "time": "2026-11-22T01:16:00.557579709Z", "value": 63.12694549560547 },
        ],
    })
}

fn log_state() -> Value {
    json!({
        "log": "47a8840bc68faa9df9d5bfdfaa2a0007", "first_available_seq": 1, "last_seq": 1285,
        "segments": { "number": 1, "unsealed": 0, "bytes": 90112 },
        "quota": { "used_bytes": 4526080, "max_bytes": 4294967296_u64, "reserve": true },
        "disk": { "free_bytes": 21474836480_u64, "written_bytes": 12582912, "written_bytes_per_day": null },
        "committed": { "readings": 1285, "commits": 410, "failed": 0 }, "refused_when_full": 0,
        "dropped": { "segments": 0, "readings": 0 }, "expired_readings": 0,
        "gaps": { "number": 0, "readings": 0, "of_unknown_size": 0 },
        "damaged": { "files": 0, "kept_bytes": 0, "removed_for_room": 0 },
        "segments_abandoned": 0, "longest_pause_ms": 3,
    })
}

//! The event stream: exactly once across a disconnect, filters, gaps and its end.

use crate::harness::{Gateway, PATIENCE, Points, QUIET, answer, declare, reading};
use bulkhead_log::Log;
use bulkhead_model::{Kind, PointInfo, Value};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value as Json;

/// One event, or a comment with an id.
#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Json,
}

/// A client of the stream.
struct Stream {
    response: Response,
    buffer: String,
}

impl Stream {
    async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    /// The next event; none at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let event = parse(event);
                self.buffer = rest.to_owned();
                return Some(event);
            }
            let chunk =
                tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("an event in time").unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The values of at least `count` readings, and the last id.
    async fn values(&mut self, count: usize) -> (Vec<i64>, String) {
        let (mut values, mut id) = (Vec::new(), String::new());
        while values.len() < count {
            let event = self.next().await.expect("more readings");
            values.extend(values_of(&event));
            id = event.id;
        }
        (values, id)
    }
}

fn parse(text: &str) -> Event {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    Event {
        name: field("event: "),
        id: field("id: "),
        data: serde_json::from_str(&field("data: ")).unwrap_or_default(),
    }
}

fn values_of(event: &Event) -> Vec<i64> {
    let readings = event.data["readings"].as_array().cloned().unwrap_or_default();
    readings.iter().map(|reading| reading["value"].as_i64().unwrap()).collect()
}

async fn append(log: &Log, points: &Points, values: std::ops::Range<i64>) {
    let readings = values.map(|value| reading(points.odd, value, Some(Value::Integer(value)))).collect();
    log.append(readings).await.unwrap();
}

#[tokio::test]
async fn a_resumed_stream_has_every_reading_exactly_once() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    append(&gateway.log, &points, 0..10).await;
    let (log, odd) = (gateway.log.clone(), points.odd);
    let appending = tokio::spawn(async move {
        for value in 10..2_000 {
            log.append(vec![reading(odd, value, Some(Value::Integer(value)))]).await.unwrap();
        }
    });
    let mut all = Vec::new();
    let mut last: Option<String> = None;
    while all.len() < 2_000 {
        let request = match &last {
            // A browser repeats the URL it began with: the header wins.
            Some(id) => gateway.get("/api/v1/events?after=0").header("last-event-id", id),
            None => gateway.get("/api/v1/events?after=0"),
        };
        let mut stream = Stream::open(request).await;
        let (values, id) = stream.values((2_000 - all.len()).min(150)).await;
        all.extend(values);
        last = Some(id);
    }
    appending.await.unwrap();
    assert_eq!(all, (0..2_000).collect::<Vec<i64>>());
    gateway.stop().await;
}

#[tokio::test]
async fn a_fresh_stream_begins_with_the_next_reading_and_has_a_position_at_once() {
    let (gateway, points) = Gateway::with_readings().await;
    let mut stream = Stream::open(gateway.get("/api/v1/events")).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.name.as_str(), first.id), ("", format!("{}-11", gateway.log.id())));
    append(&gateway.log, &points, 5..6).await;
    let event = stream.next().await.unwrap();
    assert_eq!((event.name.as_str(), values_of(&event)), ("readings", vec![5]));
    assert_eq!(event.data["readings"][0]["point"], crate::harness::ODD_NAME);
    gateway.stop().await;
}

#[tokio::test]
async fn filters_take_connections_and_patterns() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    let pump = gateway.log.declare("pump", &[PointInfo::new("hall/3/speed", Kind::Integer)]).unwrap()[0];
    append(&gateway.log, &points, 1..3).await;
    gateway.log.append(vec![reading(pump, 0, Some(Value::Integer(100)))]).await.unwrap();
    append(&gateway.log, &points, 3..4).await;
    for (query, expected) in [
        ("connection=pump", vec![100]),
        ("select=boiler/hall*", vec![1, 2, 3]),
        ("select=pump/*&select=boiler/none", vec![100]),
        ("select=*/hall/3*", vec![1, 2, 100, 3]),
    ] {
        let mut stream = Stream::open(gateway.get(&format!("/api/v1/events?after=0&{query}"))).await;
        assert_eq!(stream.values(expected.len()).await.0, expected, "{query}");
    }
    for (query, status) in [("select=boiler", 400), ("connection=pmp", 404), ("selct=a/b", 400), ("after=x", 400)] {
        let (found, problem) = answer(gateway.get(&format!("/api/v1/events?{query}"))).await;
        assert_eq!(found.as_u16(), status, "{query}: {problem}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_id_of_another_log_is_answered_with_a_gap_and_everything_there_is() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    append(&gateway.log, &points, 1..4).await;
    let foreign = format!("{}-2", "0".repeat(32));
    let mut stream = Stream::open(gateway.get("/api/v1/events").header("last-event-id", foreign)).await;
    let gap = stream.next().await.unwrap();
    assert_eq!((gap.name.as_str(), gap.data["reason"].as_str()), ("gap", Some("other-log")));
    assert_eq!(stream.values(3).await.0, [1, 2, 3]);
    let garbage = gateway.get("/api/v1/events").header("last-event-id", "seven");
    assert_eq!(answer(garbage).await.0, StatusCode::BAD_REQUEST);
    gateway.stop().await;
}

#[tokio::test]
async fn streams_are_bounded_in_number_and_end_with_the_server() {
    let gateway = Gateway::start(QUIET).await;
    let mut streams = Vec::new();
    let refused = loop {
        let response = gateway.get("/api/v1/events").send().await.unwrap();
        if response.status() != StatusCode::OK {
            break response;
        }
        streams.push(Stream { response, buffer: String::new() });
        assert!(streams.len() <= 100, "there is no bound");
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    gateway.stop().await;
    for stream in &mut streams {
        while stream.next().await.is_some() {}
    }
}

#[tokio::test]
async fn what_retention_has_dropped_is_an_event_of_its_own() {
    let (gateway, points) = Gateway::with_readings().await;
    gateway.drop_everything().await;
    append(&gateway.log, &points, 50..51).await;
    let last = format!("{}-4", gateway.log.id());
    let mut stream = Stream::open(gateway.get("/api/v1/events").header("last-event-id", last)).await;
    let gap = stream.next().await.unwrap();
    assert_eq!(gap.data, serde_json::json!({ "reason": "retention", "from": 5, "to": 11 }));
    assert_eq!((gap.name.as_str(), gap.id), ("gap", format!("{}-11", gateway.log.id())));
    assert_eq!(stream.values(1).await.0, [50]);
    gateway.stop().await;
}
